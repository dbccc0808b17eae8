import { checkPruneRule, type PruneRule } from "../prune-rule.js";
import type { FencingToken } from "../task-store.js";
import type { Connection } from "./connection.js";

/** Where the finished rows of a table are, in SQL. */
export interface FinishedRowsOptions {
  readonly table: string;
  /** The primary key. */
  readonly key: string;
  /** The order in which they go, oldest first. */
  readonly order: string;
  /** Which rows may go; all that have finished unless given. */
  readonly prunable?: string;
  /** Gives one row with the number `n` of finished rows; a count over the table unless given. */
  readonly count?: string;
  /** What an error says was being done. */
  readonly operation: string;
}

/** The history in a table on SQLite: deletes finished rows as `Retention` says, a bounded batch a transaction. */
export class FinishedRows {
  readonly #connection: Connection;
  readonly #operation: string;
  readonly #pruneBefore;
  readonly #pruneOldest;
  readonly #count;

  constructor(connection: Connection, options: FinishedRowsOptions) {
    const { table, key, order, prunable, operation } = options;
    this.#connection = connection;
    this.#operation = operation;
    const oldest = (finished: string): string => {
      const condition = prunable === undefined ? finished : `${finished} AND ${prunable}`;
      return `DELETE FROM ${table} WHERE ${key} IN (SELECT ${key} FROM ${table}
        WHERE ${condition} ORDER BY ${order} LIMIT ?)`;
    };
    this.#pruneBefore = connection.prepare<[number, number]>(oldest("finished_at < ?"));
    this.#pruneOldest = connection.prepare<[number]>(oldest("finished_at IS NOT NULL"));
    this.#count = connection.prepare<[], { n: number }>(
      options.count ?? `SELECT count(*) AS n FROM ${table} WHERE finished_at IS NOT NULL`,
    );
  }

  async prune(rule: PruneRule, fence: FencingToken): Promise<number> {
    const { finishedBefore, keepFinished } = rule;
    const limit = checkPruneRule(rule);
    return this.#connection.fencedWrite(this.#operation, fence, () => {
      let pruned = 0;
      if (finishedBefore !== undefined) pruned += this.#pruneBefore.run(finishedBefore, limit).changes;
      if (keepFinished !== undefined && pruned < limit) {
        const excess = (this.#count.get()?.n ?? 0) - keepFinished;
        if (excess > 0) pruned += this.#pruneOldest.run(Math.min(excess, limit - pruned)).changes;
      }
      return pruned;
    });
  }
}
