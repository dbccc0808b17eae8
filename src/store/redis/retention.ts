import type { ExpiringTable } from "../expiring-table.js";
import { checkedLimit } from "../limits.js";
import type { PruneRule } from "../prune-rule.js";
import type { FencingToken, Retention } from "../task-store.js";

/** A table whose finished rows are history; `prune` is as `Retention` says of it. */
export interface HistoryTable {
  prune(rule: PruneRule, fence: FencingToken): Promise<number>;
}

/** What a retention prunes. */
export interface RetainedTables {
  readonly tasks: HistoryTable;
  readonly workflows: HistoryTable;
  readonly jobs: HistoryTable;
  readonly canaryRuns: {
    prune(rule: { ranBefore: number; limit?: number }, fence: FencingToken): Promise<number>;
  };
  /** The tables whose rows end by themselves. */
  readonly expiring: readonly ExpiringTable[];
}

/** Deletes history on Redis: each table knows how. */
export class RedisRetention implements Retention {
  readonly #tables: RetainedTables;

  constructor(tables: RetainedTables) {
    this.#tables = tables;
  }

  pruneTasks(rule: PruneRule, fence: FencingToken): Promise<number> {
    return this.#tables.tasks.prune(rule, fence);
  }

  pruneWorkflows(rule: PruneRule, fence: FencingToken): Promise<number> {
    return this.#tables.workflows.prune(rule, fence);
  }

  pruneJobs(rule: PruneRule, fence: FencingToken): Promise<number> {
    return this.#tables.jobs.prune(rule, fence);
  }

  pruneCanaryRuns(rule: { ranBefore: number; limit?: number }, fence: FencingToken): Promise<number> {
    return this.#tables.canaryRuns.prune(rule, fence);
  }

  async pruneExpired(rule: { limit?: number }, fence: FencingToken): Promise<number> {
    const limit = checkedLimit(rule.limit, 1_000);
    let pruned = 0;
    for (const table of this.#tables.expiring) pruned += await table.pruneExpired(limit, fence);
    return pruned;
  }
}
