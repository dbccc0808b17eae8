import type { ExpiringTable } from "../expiring-table.js";
import { checkedLimit } from "../limits.js";
import { checkPruneRule, type PruneRule } from "../prune-rule.js";
import type { FencingToken, Retention } from "../task-store.js";
import type { Connection } from "./connection.js";

const finished = "status IN ('succeeded', 'failed', 'canceled')";
// The plus sign keeps the planner on the index by finishing time, where it can stop at the limit.
const settled = `+${finished} AND NOT EXISTS (SELECT 1 FROM node_tasks
  WHERE node_tasks.task_uid = tasks.uid AND node_tasks.status IN ('enqueued', 'processing'))`;

/** Tables that prune themselves. */
export interface SelfPruningTables {
  readonly workflows: { prune(rule: PruneRule, fence: FencingToken): Promise<number> };
  readonly jobs: { prune(rule: PruneRule, fence: FencingToken): Promise<number> };
  readonly canaryRuns: {
    prune(rule: { ranBefore: number; limit?: number }, fence: FencingToken): Promise<number>;
  };
  /** The tables whose rows end by themselves. */
  readonly expiring: readonly ExpiringTable[];
}

/** Deletes history on SQLite, a bounded batch a transaction. */
export class SqliteRetention implements Retention {
  readonly #tables: SelfPruningTables;
  readonly #fast: Connection;
  readonly #pruneTasksBefore;
  readonly #pruneOldestTasks;
  readonly #countFinished;

  constructor(fast: Connection, tables: SelfPruningTables) {
    this.#tables = tables;
    this.#fast = fast;
    this.#pruneTasksBefore = fast.prepare<[number, number]>(
      `DELETE FROM tasks WHERE uid IN (SELECT uid FROM tasks
         WHERE finished_at < ? AND ${settled} ORDER BY finished_at, uid LIMIT ?)`,
    );
    this.#pruneOldestTasks = fast.prepare<[number]>(
      `DELETE FROM tasks WHERE uid IN (SELECT uid FROM tasks
         WHERE finished_at IS NOT NULL AND ${settled} ORDER BY finished_at, uid LIMIT ?)`,
    );
    this.#countFinished = fast.prepare<[], { n: number }>(
      `SELECT coalesce(sum(n), 0) AS n FROM task_counts WHERE ${finished}`,
    );
  }

  async pruneTasks(rule: PruneRule, fence: FencingToken): Promise<number> {
    const { finishedBefore, keepFinished } = rule;
    const limit = checkPruneRule(rule);
    return this.#fast.fencedWrite("prune tasks", fence, () => {
      let pruned = 0;
      if (finishedBefore !== undefined) pruned += this.#pruneTasksBefore.run(finishedBefore, limit).changes;
      if (keepFinished !== undefined && pruned < limit) {
        const excess = (this.#countFinished.get()?.n ?? 0) - keepFinished;
        if (excess > 0) pruned += this.#pruneOldestTasks.run(Math.min(excess, limit - pruned)).changes;
      }
      return pruned;
    });
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
