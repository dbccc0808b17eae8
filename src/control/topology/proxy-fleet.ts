import type { Logger } from "pino";
import type { ProxyStatus } from "../../gen/miroir/v1/cluster_pb.js";
import type { Epoch, Hello, NodeCredentials } from "../../gen/miroir/v1/topology_pb.js";
import type { Timer, World } from "../../runtime/world.js";
import { compareEpochs, epochReached, formatEpoch } from "../../topology/epoch.js";
import { minProtocolOf, type ProtocolRange } from "../../topology/protocol.js";
import { type AckOutcome, AckWaits } from "./ack-waits.js";
import { ConnectedProxies } from "./connected-proxies.js";
import { LeaseAnswers } from "./lease-answers.js";
import { checkHello, welcomeOf } from "./proxy-greeting.js";
import { ProxyRefusedError } from "./proxy-refused-error.js";
import { proxyStatuses } from "./proxy-status.js";
import { ProxyStream } from "./proxy-stream.js";
import { SharedDeltas } from "./shared-deltas.js";
import type { TopologyManager } from "./topology-manager.js";
import { type LeaseHolder, WriteLeases } from "./write-leases.js";

/** Gives the keys with which proxies reach nodes. */
export interface CredentialsSource {
  /** For every node of the topology that asks for a key. */
  current(): readonly NodeCredentials[];
  /** Calls back when they have changed; returns the function that ends it. */
  onChange(listener: () => void): () => void;
}

/** What a fleet reports as it happens; every member is called synchronously. */
export interface FleetObserver {
  connected(proxies: number): void;
  acknowledged(afterMs: number): void;
  refused(): void;
  sent(kind: "snapshot" | "delta" | "lease" | "welcome"): void;
}

/** What {@link createProxyFleet} works with. */
export interface ProxyFleetOptions {
  readonly topology: TopologyManager;
  readonly credentials: CredentialsSource;
  readonly world: World;
  readonly logger: Logger;
  /**
   * Publishes the topology under a term above `term`; called when a proxy holds an epoch above the present one, after
   * a restored backup, say.
   */
  readonly raiseTerm: (term: number) => Promise<void>;
  readonly observer?: FleetObserver;
  /** What this process speaks. */
  readonly protocol: ProtocolRange;
  /** Miroir's version. */
  readonly version: string;
  /** Milliseconds that a write lease lasts; 3,000 unless given. */
  readonly leaseMs?: number;
  /** Milliseconds for which a proxy may stay behind and still have its lease renewed; 2,000 unless given. */
  readonly graceMs?: number;
  /** Proxies that may be connected at once; 2,000 unless given. */
  readonly maxProxies?: number;
  /** Milliseconds without any message after which a stream is ended; 30,000 unless given. */
  readonly silenceMs?: number;
}

/** The connected proxies: what each holds, and their write leases. */
export interface ProxyFleet {
  /** Serves proxies, once the manager's term has begun. */
  begin(): void;
  /** Ends every stream, and refuses new ones until the next term begins. */
  end(reason: string): void;
  /** A new stream; rejects with {@link ProxyRefusedError}. A stream of the same proxy that is still open is ended. */
  open(hello: Hello): Promise<ProxyStream>;
  ack(stream: ProxyStream, nonce: bigint, epoch: Epoch | undefined): void;
  nack(stream: ProxyStream, nonce: bigint, error: string): void;
  heartbeat(stream: ProxyStream, sequence: bigint): void;
  goodbye(stream: ProxyStream): void;
  /** The stream is over, for whatever reason. */
  closed(stream: ProxyStream): void;
  /** The connected proxies, in ascending order of id. */
  proxies(): readonly ProxyStatus[];
  /** The proxies that may write, connected or not, in ascending order of id. */
  writers(): readonly LeaseHolder[];
  /**
   * Does something that relies on a session having no write lease, which it is not granted meanwhile.
   *
   * @throws LeaseHeldError where it may hold one
   */
  withoutLease<T>(session: string, work: () => Promise<T>): Promise<T>;
  /**
   * Waits until the proxy of that session has acknowledged `epoch` or a later one, has refused it, or is certain not to write any more
   * (invariant 2). Rejects with the signal's reason when it aborts.
   */
  waitForAck(epoch: Epoch, session: string, signal: AbortSignal): Promise<AckOutcome>;
}

/** A fleet that serves nobody yet; see {@link ProxyFleet.begin}. */
export function createProxyFleet(options: ProxyFleetOptions): ProxyFleet {
  return new Fleet(options);
}

/** How far a proxy's epoch may be above the present one and still be believed. */
const MAX_TERM_LEAP = 1_000_000n;

class Fleet implements ProxyFleet {
  readonly #options: ProxyFleetOptions;
  readonly #silenceMs: number;
  readonly #proxies = new ConnectedProxies();
  readonly #deltas = new SharedDeltas();
  readonly #leases: WriteLeases;
  readonly #answers: LeaseAnswers;
  readonly #waits: AckWaits;
  #serving: { readonly kind: "yes" } | { readonly kind: "no"; readonly reason: string } = {
    kind: "no",
    reason: "this control plane has not begun its term yet",
  };
  #sweep: Timer | undefined;

  constructor(options: ProxyFleetOptions) {
    this.#options = options;
    const { credentials, topology, world, leaseMs = 3_000, graceMs = 2_000 } = options;
    this.#silenceMs = options.silenceMs ?? 30_000;
    this.#waits = new AckWaits(world.timers, (epoch, session) => this.#ackOutcome(epoch, session));
    this.#leases = new WriteLeases({
      world,
      leaseMs,
      onChange: () => {
        this.#waits.look();
        this.#answers.tellAll();
      },
    });
    this.#answers = new LeaseAnswers({
      topology,
      proxies: this.#proxies,
      leases: this.#leases,
      world,
      leaseMs,
      graceMs,
      whyNotServing: () => (this.#serving.kind === "no" ? this.#serving.reason : undefined),
    });
    topology.onChange(() => {
      for (const { stream } of this.#proxies.all()) stream.published();
    });
    credentials.onChange(() => {
      for (const { stream } of this.#proxies.all()) stream.credentialsChanged();
    });
  }

  begin(): void {
    this.#leases.begin();
    this.#serving = { kind: "yes" };
    this.#scheduleSweep();
  }

  end(reason: string): void {
    this.#serving = { kind: "no", reason };
    this.#leases.end();
    this.#sweep?.cancel();
    this.#answers.end();
    for (const { stream } of this.#proxies.all()) stream.end(new ProxyRefusedError("closing", reason));
  }

  async open(hello: Hello): Promise<ProxyStream> {
    checkHello(hello);
    await this.#raiseAbove(hello.lastEpoch);
    if (this.#serving.kind === "no") throw new ProxyRefusedError("not_leader", this.#serving.reason);
    const { topology, credentials, logger, protocol, version, world } = this.#options;
    const welcome = welcomeOf(hello, { protocol, version, minProtocol: minProtocolOf(topology.current()) });
    const former = this.#proxies.byId(hello.proxyId);
    const max = this.#options.maxProxies ?? 2_000;
    if (former === undefined && this.#proxies.size >= max) {
      throw new ProxyRefusedError("full", `${max} proxies are connected already`);
    }
    const base =
      hello.lastEpoch === undefined
        ? undefined
        : topology.history.find(hello.lastEpoch, hello.lastContentHash);
    const stream = new ProxyStream(hello, welcome, base, {
      newest: () => topology.current(),
      credentials: () => credentials.current(),
      diff: (from, to) => this.#deltas.between(from, to),
      monotonic: () => world.clock.monotonic(),
    });
    this.#leases.replace(hello.proxyId, hello.session);
    this.#proxies.add(stream, world.clock.now());
    former?.stream.end(
      new ProxyRefusedError(
        "replaced",
        `proxy ${hello.proxyId} has opened another stream (session ${hello.session})`,
      ),
    );
    logger.info(
      {
        proxyId: hello.proxyId,
        session: hello.session,
        held: formatEpoch(hello.lastEpoch),
        delta: base !== undefined,
      },
      "a proxy subscribed",
    );
    this.#options.observer?.connected(this.#proxies.size);
    return stream;
  }

  ack(stream: ProxyStream, nonce: bigint, epoch: Epoch | undefined): void {
    const outcome = stream.ack(nonce, epoch);
    if (outcome.kind !== "acked") return;
    this.#options.observer?.acknowledged(outcome.afterMs);
    const proxy = this.#proxies.of(stream);
    // Its last heartbeat was too early for a lease, maybe.
    if (proxy !== undefined && !this.#leases.holds(stream.hello.session)) this.#answers.renew(proxy);
    this.#waits.look();
  }

  nack(stream: ProxyStream, nonce: bigint, error: string): void {
    const outcome = stream.nack(nonce, error);
    if (outcome.kind !== "nacked") return;
    this.#options.logger.error(
      { proxyId: stream.hello.proxyId, epoch: formatEpoch(outcome.epoch), error: stream.nacked()?.error },
      "a proxy refused a topology",
    );
    this.#options.observer?.refused();
    this.#waits.look();
  }

  heartbeat(stream: ProxyStream, sequence: bigint): void {
    const proxy = this.#proxies.of(stream);
    if (proxy !== undefined) this.#answers.heartbeat(proxy, sequence);
  }

  goodbye(stream: ProxyStream): void {
    const { proxyId, session } = stream.hello;
    this.#options.logger.info({ proxyId, session }, "a proxy said goodbye");
    this.#remove(stream);
    stream.end();
    this.#leases.release(session);
    this.#waits.look();
  }

  closed(stream: ProxyStream): void {
    stream.end();
    if (this.#remove(stream))
      this.#options.logger.info({ proxyId: stream.hello.proxyId }, "a proxy is disconnected");
  }

  proxies(): readonly ProxyStatus[] {
    const { topology, world } = this.#options;
    return proxyStatuses(this.#proxies.all(), this.#leases.holders(), topology.current(), world.clock);
  }

  writers(): readonly LeaseHolder[] {
    return this.#leases.holders();
  }

  withoutLease<T>(session: string, work: () => Promise<T>): Promise<T> {
    return this.#leases.without(session, work);
  }

  waitForAck(epoch: Epoch, session: string, signal: AbortSignal): Promise<AckOutcome> {
    return this.#waits.wait(epoch, session, signal);
  }

  /** The store may be older than what proxies have seen; then the line of epochs goes on above them (invariant 1). */
  async #raiseAbove(reported: Epoch | undefined): Promise<void> {
    if (reported === undefined || this.#serving.kind === "no") return;
    const current = this.#options.topology.current().epoch;
    if (current === undefined || compareEpochs(reported, current) !== "higher") return;
    if (reported.term > current.term + MAX_TERM_LEAP) {
      throw new ProxyRefusedError(
        "invalid",
        `the proxy says it holds epoch ${formatEpoch(reported)}, which is too far above ${formatEpoch(current)} to be believed`,
      );
    }
    this.#options.logger.warn(
      { reported: formatEpoch(reported), current: formatEpoch(current) },
      "a proxy holds a newer epoch than this control plane: a new term begins above it",
    );
    await this.#options.raiseTerm(Number(reported.term));
  }

  #remove(stream: ProxyStream): boolean {
    if (!this.#proxies.remove(stream)) return false;
    this.#options.observer?.connected(this.#proxies.size);
    return true;
  }

  #ackOutcome(epoch: Epoch, session: string): AckOutcome | undefined {
    const proxy = this.#proxies.bySession(session);
    if (proxy === undefined) return this.#leases.mayHold(session) ? undefined : { kind: "gone" };
    if (epochReached(proxy.stream.acked(), epoch)) return { kind: "acked" };
    const nacked = proxy.stream.nacked();
    return nacked?.sent === "snapshot" && epochReached(nacked.epoch, epoch)
      ? { kind: "refused", error: nacked.error }
      : undefined;
  }

  #scheduleSweep(): void {
    this.#sweep?.cancel();
    this.#sweep = this.#options.world.timers.after(this.#silenceMs / 4, () => {
      const now = this.#options.world.clock.monotonic();
      for (const { stream } of this.#proxies.all()) {
        if (now - stream.lastHeardAt <= this.#silenceMs) continue;
        stream.end(new ProxyRefusedError("silent", `the proxy was silent for ${this.#silenceMs} ms`));
      }
      this.#scheduleSweep();
    });
  }
}
