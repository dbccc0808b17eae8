import type { Logger } from "pino";
import type { Timer, World } from "../../runtime/world.js";
import { type FencingToken, type LeaseTable, leaseScope } from "../../store/task-store.js";

/** The store's name of the control plane's own lease. */
export const LEADER_SCOPE = leaseScope("leader");

/** Whether this process leads the control plane. */
export type LeadershipState =
  | { readonly kind: "leader"; readonly fence: FencingToken }
  | { readonly kind: "follower" }
  | { readonly kind: "closed" };

/** This process does not hold the leader lease, so it must not write. */
export class NotLeaderError extends Error {
  override readonly name = "NotLeaderError";
}

/** Holds, or waits for, the leader lease of the control plane (invariant 3). */
export interface Leadership {
  state(): LeadershipState;
  /**
   * The fencing token that every write to the store carries. Throws {@link NotLeaderError} from the moment on at which
   * the lease may have run out, whether or not the store could be asked.
   */
  fence(): FencingToken;
  /** Calls back after each change of state or term; returns the function that ends it. */
  onChange(listener: (state: LeadershipState) => void): () => void;
  /**
   * Gives the lease back and takes it again under a term above `aboveTerm`. Resolves with the new token; rejects with
   * {@link NotLeaderError} where another process was faster.
   */
  raise(aboveTerm: number): Promise<FencingToken>;
  /** Tries for the lease once, now, and from then on until {@link close}. Rejects only with the store's first error. */
  start(): Promise<LeadershipState>;
  /** Gives the lease back and stops trying. */
  close(): Promise<void>;
}

/** What {@link createLeadership} works with. */
export interface LeadershipOptions {
  readonly leases: LeaseTable;
  readonly world: World;
  readonly logger: Logger;
  /** Names one run of one process, never used again. */
  readonly holder: string;
  /** Milliseconds that a lease lasts; 10,000 unless given. */
  readonly ttlMs?: number;
  /** Milliseconds between renewals; 3,000 unless given. */
  readonly renewMs?: number;
  /** Milliseconds between attempts to take the lease; 1,000 unless given. */
  readonly retryMs?: number;
  /**
   * Asked with the lease in hand, before anything is done with it: the highest term known outside the lease table, such as the stored
   * topology's, above which the lease's own is raised. Where it rejects, the lease is given back.
   */
  readonly aboveTerm?: () => Promise<number>;
}

/** Leadership that has not been asked for yet; see {@link Leadership.start}. */
export function createLeadership(options: LeadershipOptions): Leadership {
  return new LeaseLoop(options);
}

class LeaseLoop implements Leadership {
  readonly #options: LeadershipOptions;
  readonly #ttlMs: number;
  readonly #renewMs: number;
  readonly #retryMs: number;
  readonly #listeners = new Set<(state: LeadershipState) => void>();
  #state: LeadershipState = { kind: "follower" };
  /** The last lease that the store gave; it may have renewed it although this process takes it for over. */
  #held: FencingToken | undefined;
  /** On the monotonic clock; counted from before the store was asked, so that it ends before the store's own time. */
  #validUntil = 0;
  #next: Timer | undefined;
  #expiry: Timer | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: LeadershipOptions) {
    this.#options = options;
    this.#ttlMs = options.ttlMs ?? 10_000;
    this.#renewMs = options.renewMs ?? 3_000;
    this.#retryMs = options.retryMs ?? 1_000;
  }

  state(): LeadershipState {
    if (this.#state.kind === "leader" && this.#expired()) this.#become({ kind: "follower" });
    return this.#state;
  }

  fence(): FencingToken {
    const state = this.state();
    if (state.kind === "leader") return state.fence;
    throw new NotLeaderError(
      state.kind === "closed"
        ? "this control plane is shutting down"
        : "this control plane is not the leader; ask another one, or try again shortly",
    );
  }

  onChange(listener: (state: LeadershipState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  raise(aboveTerm: number): Promise<FencingToken> {
    return this.#alone(async () => {
      const former = this.fence();
      if (former.term > aboveTerm) return former;
      await this.#options.leases.release(former);
      await this.#acquire(aboveTerm);
      return this.fence();
    });
  }

  async start(): Promise<LeadershipState> {
    await this.#alone(() => this.#acquire());
    this.#schedule();
    return this.state();
  }

  async close(): Promise<void> {
    if (this.#state.kind === "closed") return;
    this.#become({ kind: "closed" });
    this.#next?.cancel();
    this.#expiry?.cancel();
    await this.#last;
    if (this.#held !== undefined) await this.#options.leases.release(this.#held);
  }

  /** Runs `work` after everything begun before it. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#last.then(work);
    this.#last = run.catch(() => undefined);
    return run;
  }

  #schedule(): void {
    if (this.#state.kind === "closed") return;
    const delayMs = this.#state.kind === "leader" ? this.#renewMs : this.#retryMs;
    this.#next = this.#options.world.timers.after(delayMs, () => {
      this.#alone(() => this.#turn())
        .catch((error: unknown) => {
          this.#options.logger.warn({ err: error }, "the store did not answer about the leader lease");
        })
        .finally(() => this.#schedule());
    });
  }

  async #turn(): Promise<void> {
    const state = this.state();
    if (state.kind === "closed") return;
    if (state.kind === "follower") {
      await this.#acquire();
      return;
    }
    const asked = this.#options.world.clock.monotonic();
    const lease = await this.#options.leases.renew(state.fence, this.#ttlMs);
    if (lease === undefined) {
      this.#options.logger.warn({ term: state.fence.term }, "the leader lease was lost");
      this.#held = undefined;
      this.#become({ kind: "follower" });
      await this.#acquire();
      return;
    }
    this.#extend(asked);
  }

  async #acquire(above = 0): Promise<void> {
    if (this.#state.kind === "closed") return;
    const { leases, logger, world } = this.#options;
    let asked = world.clock.monotonic();
    let token = await this.#take(above);
    if (token === undefined) {
      this.#become({ kind: "follower" });
      return;
    }
    try {
      const known = (await this.#options.aboveTerm?.()) ?? 0;
      if (known >= token.term) {
        await leases.release(token);
        asked = world.clock.monotonic();
        token = await this.#take(known);
      }
    } catch (error) {
      if (token !== undefined) await leases.release(token);
      throw error;
    }
    // close() may have run while the store was asked; the lease is then given back by nobody else.
    if (this.#isClosed()) {
      if (token !== undefined) await leases.release(token);
      return;
    }
    if (token === undefined) {
      this.#become({ kind: "follower" });
      return;
    }
    this.#held = token;
    this.#extend(asked);
    logger.info({ term: token.term, holder: token.holder }, "leading the control plane");
    this.#become({ kind: "leader", fence: token });
  }

  async #take(aboveTerm: number): Promise<FencingToken | undefined> {
    const { holder, leases } = this.#options;
    const lease = await leases.acquire({ scope: LEADER_SCOPE, holder, ttlMs: this.#ttlMs, aboveTerm });
    return lease === undefined ? undefined : { scope: LEADER_SCOPE, holder, term: lease.term };
  }

  #isClosed(): boolean {
    return this.#state.kind === "closed";
  }

  #extend(asked: number): void {
    this.#validUntil = asked + this.#ttlMs;
    this.#expiry?.cancel();
    const left = Math.max(0, this.#validUntil - this.#options.world.clock.monotonic());
    this.#expiry = this.#options.world.timers.after(left, () => this.state());
  }

  #expired(): boolean {
    return this.#options.world.clock.monotonic() >= this.#validUntil;
  }

  #become(state: LeadershipState): void {
    const former = this.#state;
    // What was asked of the store before close() answers after it: closed is for good.
    if (former.kind === "closed") return;
    if (former.kind === state.kind && termOf(former) === termOf(state)) return;
    this.#state = state;
    for (const listener of [...this.#listeners]) {
      try {
        listener(state);
      } catch (error) {
        this.#options.logger.error({ err: error }, "a listener to leadership failed");
      }
    }
  }
}

function termOf(state: LeadershipState): number | undefined {
  return state.kind === "leader" ? state.fence.term : undefined;
}
