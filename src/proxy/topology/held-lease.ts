import type { Lease } from "../../gen/miroir/v1/topology_pb.js";
import type { Clock } from "../../runtime/world.js";
import type { WriteLease, WriterDirectory, WritingProxies, WritingProxy } from "./topology-view.js";

/** Heartbeats whose answers may still come. */
const MAX_OUTSTANDING = 64;

/**
 * The lease as the proxy holds it: granted by answers to heartbeats, counted from when each heartbeat was sent (invariant 2). The answers
 * also tell who else holds one.
 */
export class HeldLease implements WriteLease, WriterDirectory {
  readonly proxyId: string;
  readonly session: string;
  readonly #clock: Clock;
  readonly #sentAt = new Map<bigint, number>();
  readonly #listeners = new Set<() => void>();
  #sequence = 0n;
  #until = Number.NEGATIVE_INFINITY;
  #writers: WritingProxies = { proxies: [], complete: false };
  /** The holders as of the last answer of the present stream. */
  #named: readonly WritingProxy[] = [];
  #reason = "the control plane has granted no lease yet";
  #closed = false;

  constructor(proxyId: string, session: string, clock: Clock) {
    this.proxyId = proxyId;
    this.session = session;
    this.#clock = clock;
  }

  /** Notes that a heartbeat is sent now, and returns its sequence. */
  heartbeat(): bigint {
    this.#sequence += 1n;
    this.#sentAt.set(this.#sequence, this.#clock.monotonic());
    if (this.#sentAt.size > MAX_OUTSTANDING) this.#sentAt.delete(this.#sequence - BigInt(MAX_OUTSTANDING));
    return this.#sequence;
  }

  /** Takes the control plane's answer to a heartbeat of the present stream; one to an unknown heartbeat grants nothing. */
  answer(lease: Lease): void {
    this.#named = namedBy(lease, this.#named);
    const sentAt = this.#sentAt.get(lease.sequence);
    if (sentAt === undefined || this.#closed) return;
    if (lease.durationMs === 0) {
      // What was granted before runs out by itself.
      this.#reason = lease.refusal === "" ? "the control plane did not renew the lease" : lease.refusal;
    } else {
      this.#reason = "the lease ran out: the control plane has not renewed it";
      this.#until = sentAt + lease.durationMs;
    }
    this.#become(merged(this.#writers, this.#named, lease.holdersComplete));
  }

  /**
   * Forgets the heartbeats of a stream that has ended; what was granted runs on. Topologies of the next stream can name writers that have come
   * meanwhile, so nobody is taken for gone until the next answer.
   */
  streamEnded(): void {
    this.#sentAt.clear();
    this.#become({ ...this.#writers, complete: false });
  }

  /** Gives the lease up for good. */
  giveUp(): void {
    this.#closed = true;
    this.#until = Number.NEGATIVE_INFINITY;
    this.#reason = "this proxy is shutting down";
  }

  state(): ReturnType<WriteLease["state"]> {
    const leftMs = this.#until - this.#clock.monotonic();
    if (leftMs > 0) return { kind: "held", leftMs };
    const none = { kind: "none", reason: this.#reason } as const;
    return Number.isFinite(this.#until) ? { ...none, endedAt: this.#until } : none;
  }

  writers(): WritingProxies {
    return this.#writers;
  }

  onWritersChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #become(writers: WritingProxies): void {
    const former = this.#writers;
    this.#writers = writers;
    if (former.complete === writers.complete && former.proxies === writers.proxies) return;
    if (former.complete === writers.complete && sessionsOf(former) === sessionsOf(writers)) return;
    for (const listener of [...this.#listeners]) listener();
  }
}

/** The holders that an answer speaks of, which may be in words of those of the answer before. */
function namedBy(lease: Lease, former: readonly WritingProxy[]): readonly WritingProxy[] {
  if (lease.holdersUnchanged) return former;
  if (!lease.holdersChanged) return lease.holders;
  const gone = new Set(lease.holdersGone);
  const named = former.filter(({ session }) => !gone.has(session));
  for (const [at, holder] of lease.holders.entries()) named.splice(lease.holderPlaces[at] ?? 0, 0, holder);
  return named;
}

/** A control plane that has just begun to lead does not know of every holder yet: those known from before may be alive. */
function merged(former: WritingProxies, holders: readonly WritingProxy[], complete: boolean): WritingProxies {
  if (complete) return { proxies: holders, complete };
  const known = new Set(holders.map(({ session }) => session));
  return {
    proxies: [...holders, ...former.proxies.filter(({ session }) => !known.has(session))],
    complete,
  };
}

function sessionsOf({ proxies }: WritingProxies): string {
  return proxies.map(({ session }) => session).join(" ");
}
