import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Logger } from "pino";
import { type ProxyStatus, ProxyStatusSchema } from "../../gen/miroir/v1/cluster_pb.js";
import {
  type Delta,
  type Epoch,
  type Hello,
  LeaseHolderSchema,
  type NodeCredentials,
  type LeaseHolder as ToldHolder,
  type Topology,
  type Welcome,
  WelcomeSchema,
} from "../../gen/miroir/v1/topology_pb.js";
import type { Timer, World } from "../../runtime/world.js";
import { diffTopologies } from "../../topology/delta.js";
import { compareEpochs, epochReached, formatEpoch } from "../../topology/epoch.js";
import { minProtocolOf, negotiate, type ProtocolRange, protocolOf } from "../../topology/protocol.js";
import { type AckOutcome, AckWaits } from "./ack-waits.js";
import { ProtocolBehindError } from "./protocol-gate.js";
import { ProxyStream } from "./proxy-stream.js";
import type { TopologyManager } from "./topology-manager.js";
import { type LeaseHolder, WriteLeases } from "./write-leases.js";

export type { AckOutcome };

/** Gives the keys with which proxies reach nodes. */
export interface CredentialsSource {
  /** For every node of the topology that asks for a key. */
  current(): readonly NodeCredentials[];
  /** Calls back when they have changed; returns the function that ends it. */
  onChange(listener: () => void): () => void;
}

/** Why a proxy cannot be served. */
export class ProxyRefusedError extends Error {
  override readonly name = "ProxyRefusedError";
  readonly kind: "not_leader" | "full" | "invalid" | "replaced" | "silent" | "closing";

  constructor(kind: ProxyRefusedError["kind"], message: string) {
    super(message);
    this.kind = kind;
  }
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
/** Milliseconds of the pause between telling all proxies of others, for each of them. */
const TELLING_MS = 1;

interface ToldHolders {
  readonly from: readonly LeaseHolder[];
  readonly holders: ToldHolder[];
  /** The one that proxies which know of one writer only send their writes to. */
  readonly main: LeaseHolder | undefined;
}

interface Connected {
  readonly stream: ProxyStream;
  /** What others are told of it as long as the stream lasts. */
  readonly holder: LeaseHolder;
  readonly connectedAt: number;
  /** The last heartbeat, and when it came on the monotonic clock. */
  heartbeat: { readonly sequence: bigint; readonly at: number } | undefined;
  /** Until when the granted lease runs, on the monotonic clock. */
  leaseUntil: number | undefined;
}

class Fleet implements ProxyFleet {
  readonly #options: ProxyFleetOptions;
  readonly #leaseMs: number;
  readonly #graceMs: number;
  readonly #silenceMs: number;
  readonly #leases: WriteLeases;
  readonly #byProxy = new Map<string, Connected>();
  readonly #waits: AckWaits;
  #serving: { readonly kind: "yes" } | { readonly kind: "no"; readonly reason: string } = {
    kind: "no",
    reason: "this control plane has not begun its term yet",
  };
  /** To the topology sent last, from each that a proxy held. */
  #deltas: { readonly next: Topology; readonly byBase: Map<Topology, Delta> } | undefined;
  #sweep: Timer | undefined;
  #told: ToldHolders | undefined;
  /** One object for each holder, so that what stays in a list is told from what is new. */
  readonly #toldOfHolder = new WeakMap<LeaseHolder, ToldHolder>();
  /** Runs after all proxies were told of the holders of leases. */
  #telling: Timer | undefined;
  #tellsAgain = false;

  constructor(options: ProxyFleetOptions) {
    this.#options = options;
    this.#leaseMs = options.leaseMs ?? 3_000;
    this.#graceMs = options.graceMs ?? 2_000;
    this.#silenceMs = options.silenceMs ?? 30_000;
    this.#waits = new AckWaits(options.world.timers, (epoch, session) => this.#ackOutcome(epoch, session));
    this.#leases = new WriteLeases({
      world: options.world,
      leaseMs: this.#leaseMs,
      onChange: () => this.#answerAll(),
    });
    options.topology.onChange(() => {
      for (const { stream } of this.#byProxy.values()) stream.published();
    });
    options.credentials.onChange(() => {
      for (const { stream } of this.#byProxy.values()) stream.credentialsChanged();
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
    this.#telling?.cancel();
    this.#telling = undefined;
    for (const { stream } of this.#byProxy.values()) stream.end(new ProxyRefusedError("closing", reason));
  }

  async open(hello: Hello): Promise<ProxyStream> {
    checkHello(hello);
    await this.#raiseAbove(hello.lastEpoch);
    if (this.#serving.kind === "no") throw new ProxyRefusedError("not_leader", this.#serving.reason);
    const { topology, credentials, logger, world } = this.#options;
    const welcome = this.#welcome(hello);
    const former = this.#byProxy.get(hello.proxyId);
    const max = this.#options.maxProxies ?? 2_000;
    if (former === undefined && this.#byProxy.size >= max) {
      throw new ProxyRefusedError("full", `${max} proxies are connected already`);
    }
    const base =
      hello.lastEpoch === undefined
        ? undefined
        : topology.history.find(hello.lastEpoch, hello.lastContentHash);
    const stream = new ProxyStream(hello, welcome, base, {
      newest: () => topology.current(),
      credentials: () => credentials.current(),
      diff: (from, to) => this.#diffOf(from, to),
      monotonic: () => world.clock.monotonic(),
    });
    const same = former?.stream.hello.session === hello.session ? former : undefined;
    this.#leases.replace(hello.proxyId, hello.session);
    this.#byProxy.set(hello.proxyId, {
      stream,
      holder: holderOf(stream),
      connectedAt: world.clock.now(),
      heartbeat: undefined,
      leaseUntil: same?.leaseUntil,
    });
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
    this.#options.observer?.connected(this.#byProxy.size);
    return stream;
  }

  ack(stream: ProxyStream, nonce: bigint, epoch: Epoch | undefined): void {
    const outcome = stream.ack(nonce, epoch);
    if (outcome.kind !== "acked") return;
    this.#options.observer?.acknowledged(outcome.afterMs);
    const proxy = this.#connected(stream);
    // Its last heartbeat was too early for a lease, maybe.
    if (proxy !== undefined && !this.#leases.holds(stream.hello.session)) this.#renew(proxy);
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
    const proxy = this.#connected(stream);
    if (proxy === undefined) return;
    proxy.heartbeat = { sequence, at: this.#now() };
    this.#renew(proxy);
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
    const holders = new Set(this.#leases.holders().map(({ session }) => session));
    const written = new Map<string, number>();
    for (const { writer } of this.#options.topology.current().indexes) {
      if (writer !== undefined) written.set(writer.session, (written.get(writer.session) ?? 0) + 1);
    }
    return [...this.#byProxy.values()]
      .sort((a, b) => (a.stream.hello.proxyId < b.stream.hello.proxyId ? -1 : 1))
      .map((proxy) => {
        const { session } = proxy.stream.hello;
        return this.#status(proxy, holders.has(session), written.get(session) ?? 0);
      });
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

  /** What a proxy is greeted with, if it knows greetings. @throws ProtocolBehindError where it would misread the topology */
  #welcome(hello: Hello): Welcome | undefined {
    const { protocol, topology, version } = this.#options;
    const spoken = protocolOf(hello);
    const outcome = negotiate(protocol, spoken, minProtocolOf(topology.current()));
    if (outcome.kind === "agreed") {
      return hello.protocolMax === 0
        ? undefined
        : create(WelcomeSchema, { protocol: outcome.protocol, version });
    }
    const who =
      outcome.behind === "client"
        ? `the proxy ${hello.proxyId} (version ${hello.version})`
        : `the control plane (version ${version})`;
    throw new ProtocolBehindError("the topology stream", outcome.required, { max: outcome.spoken, who });
  }

  #diffOf(base: Topology, next: Topology): Delta {
    if (this.#deltas?.next !== next) this.#deltas = { next, byBase: new Map() };
    const { byBase } = this.#deltas;
    const known = byBase.get(base);
    if (known !== undefined) return known;
    const delta = diffTopologies(base, next);
    byBase.set(base, delta);
    return delta;
  }

  #connected(stream: ProxyStream): Connected | undefined {
    const proxy = this.#byProxy.get(stream.hello.proxyId);
    return proxy?.stream === stream && !stream.ended() ? proxy : undefined;
  }

  #remove(stream: ProxyStream): boolean {
    if (this.#byProxy.get(stream.hello.proxyId)?.stream !== stream) return false;
    this.#byProxy.delete(stream.hello.proxyId);
    this.#options.observer?.connected(this.#byProxy.size);
    return true;
  }

  /** Why the proxy gets no lease; undefined where it gets one. */
  #refusal(stream: ProxyStream): string | undefined {
    if (this.#serving.kind === "no") return this.#serving.reason;
    const newest = this.#options.topology.current().epoch;
    const nacked = stream.nacked();
    if (nacked !== undefined && epochReached(nacked.epoch, newest ?? nacked.epoch)) {
      return `this proxy refused epoch ${formatEpoch(nacked.epoch)}: ${nacked.error}`;
    }
    if (stream.acked() === undefined) return "this proxy has not acknowledged a topology yet";
    const since = stream.behindSince();
    const { session } = stream.hello;
    // What it wrote may be another's by now, so that it has to know before it may write again.
    if (!this.#leases.holds(session) && (since !== undefined || this.#leases.isBarred(session))) {
      return "this proxy does not hold the newest topology yet";
    }
    if (since !== undefined && this.#now() - since > this.#graceMs) {
      return `this proxy is behind: it holds epoch ${formatEpoch(stream.acked())}, newest is ${formatEpoch(newest)}`;
    }
    return undefined;
  }

  /** Grants a proxy that has asked of late what it may have, and tells it. */
  #renew(proxy: Connected): void {
    const { heartbeat, stream } = proxy;
    if (heartbeat === undefined || this.#now() - heartbeat.at >= this.#leaseMs) return;
    if (this.#refusal(stream) === undefined) this.#leases.grant(proxy.holder);
    this.#answer(proxy);
  }

  /**
   * Answers the proxy's last heartbeat, for the first time or anew: a lease counts from when the proxy sent the
   * heartbeat, so that answering it again with other holders of leases promises nothing more.
   */
  #answer(proxy: Connected): void {
    const { heartbeat, stream } = proxy;
    if (heartbeat === undefined || stream.ended()) return;
    const refusal =
      this.#refusal(stream) ??
      (this.#leases.holds(stream.hello.session) ? undefined : "the lease is granted with the next heartbeat");
    const { holders, main } = this.#holders();
    if (refusal === undefined) proxy.leaseUntil = heartbeat.at + this.#leaseMs;
    stream.grant({
      holders,
      rest: {
        sequence: heartbeat.sequence,
        durationMs: refusal === undefined ? this.#leaseMs : 0,
        refusal: refusal ?? "",
        writerAddress: main?.address ?? "",
        ...(main === undefined ? {} : { writer: { proxyId: main.proxyId, session: main.session } }),
        holdersComplete: this.#leases.complete(),
      },
    });
  }

  /** The holders of leases as proxies are told of them; the same objects until there are others. */
  #holders(): ToldHolders {
    const from = this.#leases.holders();
    if (this.#told?.from !== from) {
      this.#told = {
        from,
        holders: from.map((holder) => this.#toldOf(holder)),
        // Who knows of one writer only cannot pass writes on to the others; one that can does it for it.
        main: from.find(({ peerAddress }) => peerAddress !== "") ?? from[0],
      };
    }
    return this.#told;
  }

  #toldOf(holder: LeaseHolder): ToldHolder {
    const known = this.#toldOfHolder.get(holder);
    if (known !== undefined) return known;
    const { proxyId, session, peerAddress, peerKey } = holder;
    const told = create(LeaseHolderSchema, { proxyId, session, peerAddress, peerKey });
    this.#toldOfHolder.set(holder, told);
    return told;
  }

  /**
   * Tells every proxy of the holders of leases: at once, and again at the end of a pause that grows with their number, where there are others by
   * then. A thousand proxies that come together would otherwise be told a thousand times each.
   */
  #answerAll(): void {
    this.#waits.look();
    if (this.#telling !== undefined) {
      this.#tellsAgain = true;
      return;
    }
    for (const proxy of this.#byProxy.values()) this.#answer(proxy);
    this.#tellsAgain = false;
    this.#telling = this.#options.world.timers.after(this.#byProxy.size * TELLING_MS, () => {
      this.#telling = undefined;
      if (this.#tellsAgain) this.#answerAll();
    });
  }

  #status(proxy: Connected, writer: boolean, writtenIndexes: number): ProxyStatus {
    const { hello } = proxy.stream;
    const { clock } = this.#options.world;
    const acked = proxy.stream.acked();
    const nacked = proxy.stream.nacked();
    const left = proxy.leaseUntil === undefined ? 0 : proxy.leaseUntil - clock.monotonic();
    return create(ProxyStatusSchema, {
      proxyId: hello.proxyId,
      session: hello.session,
      address: hello.address,
      version: hello.version,
      protocolMax: protocolOf(hello).max,
      error: nacked?.error ?? "",
      writer,
      writtenIndexes,
      connectedAt: timestampFromMs(proxy.connectedAt),
      acknowledgementSeconds: proxy.stream.ackedAfterMs() / 1_000,
      ...(acked === undefined ? {} : { acked }),
      ...(nacked === undefined ? {} : { nacked: nacked.epoch }),
      ...(left <= 0 ? {} : { leaseUntil: timestampFromMs(Math.round(clock.now() + left)) }),
    });
  }

  #ackOutcome(epoch: Epoch, session: string): AckOutcome | undefined {
    const proxy = [...this.#byProxy.values()].find(({ stream }) => stream.hello.session === session);
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
      const now = this.#now();
      for (const { stream } of this.#byProxy.values()) {
        if (now - stream.lastHeardAt <= this.#silenceMs) continue;
        stream.end(new ProxyRefusedError("silent", `the proxy was silent for ${this.#silenceMs} ms`));
      }
      this.#scheduleSweep();
    });
  }

  #now(): number {
    return this.#options.world.clock.monotonic();
  }
}

function holderOf({ hello }: ProxyStream): LeaseHolder {
  const { proxyId, session, address, peerAddress, peerKey } = hello;
  return { proxyId, session, address, peerAddress, peerKey };
}

function checkHello(hello: Hello): void {
  const faults = [
    ...(/^[\w.:-]{1,128}$/.test(hello.proxyId) ? [] : ["proxy_id is 1 to 128 letters, digits or . _ : -"]),
    ...(/^[\w.:-]{1,128}$/.test(hello.session) ? [] : ["session is 1 to 128 letters, digits or . _ : -"]),
    ...(hello.address === "" || (hello.address.length <= 2_048 && URL.canParse(hello.address))
      ? []
      : ["address is a base URL"]),
    ...(hello.peerAddress.length <= 300 && hello.peerKey.length <= 200
      ? []
      : ["peer_address has at most 300 characters, and peer_key 200"]),
    ...(hello.version.length <= 128 ? [] : ["version has at most 128 characters"]),
  ];
  if (faults.length > 0) throw new ProxyRefusedError("invalid", `hello: ${faults.join("; ")}`);
}
