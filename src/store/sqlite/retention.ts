import { checkInteger, checkTime, maxBatch } from "../limits.js";
import type { FencingToken, Retention } from "../task-store.js";
import type { Connection } from "./connection.js";

const finished = "status IN ('succeeded', 'failed', 'canceled')";
// The plus sign keeps the planner on the index by finishing time, where it can stop at the limit.
const settled = `+${finished} AND NOT EXISTS (SELECT 1 FROM node_tasks
  WHERE node_tasks.task_uid = tasks.uid AND node_tasks.status IN ('enqueued', 'processing'))`;

/** Deletes history on SQLite, a bounded batch a transaction. */
export class SqliteRetention implements Retention {
  readonly #durable: Connection;
  readonly #fast: Connection;
  readonly #pruneTasksBefore;
  readonly #pruneOldestTasks;
  readonly #countFinished;
  readonly #pruneWorkflows;
  readonly #pruneJobs;

  constructor(durable: Connection, fast: Connection) {
    this.#durable = durable;
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
    this.#pruneWorkflows = durable.prepare<[number, number]>(
      `DELETE FROM workflows WHERE id IN (SELECT id FROM workflows
         WHERE finished_at < ? ORDER BY finished_at LIMIT ?)`,
    );
    this.#pruneJobs = fast.prepare<[number, number]>(
      `DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE finished_at < ? ORDER BY finished_at LIMIT ?)`,
    );
  }

  async pruneTasks(
    rule: { finishedBefore?: number; keepFinished?: number; limit?: number },
    fence: FencingToken,
  ): Promise<number> {
    const { finishedBefore, keepFinished } = rule;
    const limit = checkedLimit(rule.limit);
    checkTime(finishedBefore, "finishedBefore");
    if (keepFinished !== undefined) checkInteger(keepFinished, 0, Number.MAX_SAFE_INTEGER, "keepFinished");
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

  async pruneWorkflows(
    rule: { finishedBefore: number; limit?: number },
    fence: FencingToken,
  ): Promise<number> {
    const limit = checkedLimit(rule.limit);
    return this.#durable.fencedWrite(
      "prune workflows",
      fence,
      () => this.#pruneWorkflows.run(rule.finishedBefore, limit).changes,
    );
  }

  async pruneJobs(rule: { finishedBefore: number; limit?: number }, fence: FencingToken): Promise<number> {
    const limit = checkedLimit(rule.limit);
    return this.#fast.fencedWrite(
      "prune jobs",
      fence,
      () => this.#pruneJobs.run(rule.finishedBefore, limit).changes,
    );
  }
}

function checkedLimit(limit = 1_000): number {
  checkInteger(limit, 1, maxBatch, "A batch's limit");
  return limit;
}
