import type { FencingToken } from "./lease.js";

/** Keeps history bounded (invariant 12). */
export interface Retention {
  /**
   * Deletes tasks that finished before `finishedBefore` and those beyond the `keepFinished` that finished
   * last, oldest first; never an unfinished task, nor one with an unfinished node task. At most `limit`
   * (1 to 10,000; 1,000 unless given) a call, so that it never holds up other calls for long. Returns how
   * many went; call again while that is `limit`.
   */
  pruneTasks(
    rule: { finishedBefore?: number; keepFinished?: number; limit?: number },
    fence: FencingToken,
  ): Promise<number>;
  /** The same for finished workflows. */
  pruneWorkflows(
    rule: { finishedBefore?: number; keepFinished?: number; limit?: number },
    fence: FencingToken,
  ): Promise<number>;
  /** The same for finished jobs. */
  pruneJobs(
    rule: { finishedBefore?: number; keepFinished?: number; limit?: number },
    fence: FencingToken,
  ): Promise<number>;
  /** Deletes runs of canaries that ran before `ranBefore`, the oldest of all first, `limit` at most (as above). */
  pruneCanaryRuns(rule: { ranBefore: number; limit?: number }, fence: FencingToken): Promise<number>;
  /**
   * Deletes what has ended by the store's clock: sessions, idempotency keys, admin sessions, counters of rate
   * limits, observations of scoped keys; `limit` of each (as above). Nobody sees them any more in any case: this
   * frees their room. Returns how many went in all; call again while that is `limit` or more.
   */
  pruneExpired(rule: { limit?: number }, fence: FencingToken): Promise<number>;
}
