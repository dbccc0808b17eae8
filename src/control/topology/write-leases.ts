import { compareText } from "../../placement/rendezvous.js";
import type { Timer, World } from "../../runtime/world.js";

/** A proxy that may write. */
export interface LeaseHolder {
  readonly proxyId: string;
  readonly session: string;
  /** Base URL of its HTTP API. */
  readonly address: string;
  /** `HOST:PORT` of its PeerService; empty where it serves none. */
  readonly peerAddress: string;
  readonly peerKey: string;
}

/** A session may hold a write lease, so that its indexes are not anybody else's. */
export class LeaseHeldError extends Error {
  override readonly name = "LeaseHeldError";
}

interface Lease {
  readonly holder: LeaseHolder;
  /** When it has certainly run out, on the monotonic clock. */
  readonly until: number;
  /** Another session of the same proxy has come. */
  readonly isReplaced: boolean;
}

/** What {@link WriteLeases} works with. */
export interface WriteLeasesOptions {
  readonly world: World;
  /** Milliseconds that a lease lasts. */
  readonly leaseMs: number;
  /** There may be other {@link WriteLeases.holders}. */
  readonly onChange: () => void;
}

/**
 * The write leases of the proxies (invariant 2): one for each that keeps up with the topology, whoever else holds one. Who writes which index
 * is in the topology; the leases say which of those writers may be alive.
 *
 * What is known here ends with the process. So the leader of a new term takes every session for a possible holder until the
 * leases that others granted have run out.
 */
export class WriteLeases {
  readonly #options: WriteLeasesOptions;
  /** Longer than the lease, since clocks do not run alike. */
  readonly #certainMs: number;
  readonly #bySession = new Map<string, Lease>();
  /** By session: how many pieces of work rely on it having no lease. */
  readonly #barred = new Map<string, number>();
  /** Until when unknown sessions may hold leases; undefined while this control plane does not lead. */
  #completeFrom: number | undefined;
  #timer: Timer | undefined;
  /** What {@link holders} gives until it may have changed. */
  #holders: readonly LeaseHolder[] | undefined;

  constructor(options: WriteLeasesOptions) {
    this.#options = options;
    this.#certainMs = options.leaseMs + Math.max(50, options.leaseMs / 20);
  }

  /** Starts to grant, when this control plane becomes the leader. */
  begin(): void {
    this.#completeFrom = this.#now() + this.#certainMs;
    this.#changed();
  }

  /** Stops to grant, when this control plane is no longer the leader. Leases that were granted run on. */
  end(): void {
    this.#completeFrom = undefined;
    this.#bySession.clear();
    this.#timer?.cancel();
  }

  /** Grants a lease, or renews it: it has certainly run out a lease and a little after now. */
  grant(holder: LeaseHolder): void {
    const isNew = !this.#bySession.has(holder.session);
    this.#bySession.set(holder.session, {
      holder,
      until: this.#now() + this.#certainMs,
      isReplaced: false,
    });
    // The watch for a lease that is renewed comes too early, and is set anew then.
    if (isNew) this.#changed();
  }

  /** The proxy gave its lease back: it holds none any more, whatever was granted. */
  release(session: string): void {
    if (this.#bySession.delete(session)) this.#changed();
  }

  /** A new session of a proxy has come. Its earlier ones may write on until their leases end, but are nobody's first choice. */
  replace(proxyId: string, session: string): void {
    const former = [...this.#bySession.values()].filter(
      ({ holder, isReplaced }) => holder.proxyId === proxyId && holder.session !== session && !isReplaced,
    );
    for (const lease of former) this.#bySession.set(lease.holder.session, { ...lease, isReplaced: true });
    if (former.length > 0) this.#changed();
  }

  /** Whether `session` may still hold a lease, for all that is known here. */
  mayHold(session: string): boolean {
    const lease = this.#bySession.get(session);
    return lease === undefined ? !this.complete() : this.#now() < lease.until;
  }

  /** Whether a lease of `session` is running that was granted here. */
  holds(session: string): boolean {
    const lease = this.#bySession.get(session);
    return lease !== undefined && this.#now() < lease.until;
  }

  /** Whether `session` must not be granted a lease that it does not hold: see {@link without}. */
  isBarred(session: string): boolean {
    return this.#barred.has(session);
  }

  /**
   * Does something that relies on `session` having no lease, which it is not granted meanwhile: takes an index from it, say, so that whatever it
   * believes to have written since its lease ended is not acknowledged.
   *
   * @throws LeaseHeldError where it may hold one
   */
  async without<T>(session: string, work: () => Promise<T>): Promise<T> {
    if (this.mayHold(session)) throw new LeaseHeldError(`session ${session} may hold a write lease`);
    this.#barred.set(session, (this.#barred.get(session) ?? 0) + 1);
    try {
      return await work();
    } finally {
      const left = (this.#barred.get(session) ?? 1) - 1;
      if (left > 0) this.#barred.set(session, left);
      else this.#barred.delete(session);
    }
  }

  /**
   * The proxies whose leases may be running, in ascending order of id; earlier sessions of a proxy behind its latest one. The same array until
   * there are others.
   */
  holders(): readonly LeaseHolder[] {
    this.#holders ??= [...this.#bySession.values()]
      .sort(
        (a, b) =>
          compareText(a.holder.proxyId, b.holder.proxyId) || Number(a.isReplaced) - Number(b.isReplaced),
      )
      .map(({ holder }) => holder);
    return this.#holders;
  }

  /** Whether {@link holders} are certainly all. */
  complete(): boolean {
    return this.#completeFrom !== undefined && this.#now() >= this.#completeFrom;
  }

  #changed(): void {
    this.#holders = undefined;
    this.#watch();
    this.#options.onChange();
  }

  /** Looks again when the next lease has certainly run out, or nobody unknown can hold one any more. */
  #watch(): void {
    this.#timer?.cancel();
    const now = this.#now();
    const isComplete = this.complete();
    let next = this.#completeFrom === undefined || isComplete ? Number.POSITIVE_INFINITY : this.#completeFrom;
    for (const { until } of this.#bySession.values()) next = Math.min(next, until);
    if (!Number.isFinite(next)) return;
    this.#timer = this.#options.world.timers.after(Math.max(0, next - now), () => this.#look(isComplete));
  }

  #look(wasComplete: boolean): void {
    const now = this.#now();
    const ended = [...this.#bySession].filter(([, { until }]) => until <= now);
    for (const [session] of ended) this.#bySession.delete(session);
    if (ended.length > 0 || this.complete() !== wasComplete) this.#changed();
    else this.#watch();
  }

  #now(): number {
    return this.#options.world.clock.monotonic();
  }
}
