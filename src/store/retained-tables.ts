import type { ExpiringTable } from "./expiring-table.js";
import { checkedLimit } from "./limits.js";
import type { PruneRule } from "./prune-rule.js";
import type { FencingToken, Retention } from "./task-store.js";

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

/** The retention of a store, whatever its backend: each table knows how to prune itself. */
export function retentionOf({ tasks, workflows, jobs, canaryRuns, expiring }: RetainedTables): Retention {
  return {
    pruneTasks: (rule, fence) => tasks.prune(rule, fence),
    pruneWorkflows: (rule, fence) => workflows.prune(rule, fence),
    pruneJobs: (rule, fence) => jobs.prune(rule, fence),
    pruneCanaryRuns: (rule, fence) => canaryRuns.prune(rule, fence),
    pruneExpired: async (rule, fence) => {
      const limit = checkedLimit(rule.limit, 1_000);
      let pruned = 0;
      for (const table of expiring) pruned += await table.pruneExpired(limit, fence);
      return pruned;
    },
  };
}
