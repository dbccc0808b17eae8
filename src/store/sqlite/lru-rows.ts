import { maxEvictedPerInsertion, sweptPerInsertion } from "../lru-bounds.js";
import type { Connection } from "./connection.js";

/**
 * What tables have in common whose rows end by themselves (`expires_at`) and of which the least recently used
 * (`last_used_at`) make room. Its methods run inside a transaction of the caller's.
 */
export class LruRows {
  readonly #limit: number;
  readonly #latestUse;
  readonly #count;
  readonly #countEnded;
  readonly #deleteEnded;
  readonly #deleteLeastUsed;

  /** `table` must be counted in `row_counts`; `id` is the column of its primary key. */
  constructor(fast: Connection, table: "sessions" | "idempotency_cache", id: string, limit: number) {
    this.#limit = limit;
    this.#latestUse = fast.prepare<[], { latest: number | null }>(
      `SELECT max(last_used_at) AS latest FROM ${table}`,
    );
    this.#count = fast.prepare<[], { n: number }>(`SELECT n FROM row_counts WHERE table_name = '${table}'`);
    this.#countEnded = fast.prepare<[number], { n: number }>(
      `SELECT count(*) AS n FROM ${table} WHERE expires_at <= ?`,
    );
    this.#deleteEnded = fast.prepare<[number, number]>(
      `DELETE FROM ${table} WHERE ${id} IN
         (SELECT ${id} FROM ${table} WHERE expires_at <= ? ORDER BY expires_at, ${id} LIMIT ?)`,
    );
    this.#deleteLeastUsed = fast.prepare<[number]>(
      `DELETE FROM ${table} WHERE ${id} IN (SELECT ${id} FROM ${table} ORDER BY last_used_at, ${id} LIMIT ?)`,
    );
  }

  /** The time of a use: now, but above every earlier one, so that the order of uses is exact. */
  nextUse(now: number): number {
    return Math.max(now, (this.#latestUse.get()?.latest ?? 0) + 1);
  }

  /** Clears away some rows that have ended, before one is inserted. */
  sweep(now: number): void {
    this.#deleteEnded.run(now, sweptPerInsertion);
  }

  /** Takes out what exceeds the limit: rows that have ended first, then the least recently used. */
  makeRoom(now: number): void {
    const excess = Math.min(this.#total() - this.#limit, maxEvictedPerInsertion);
    if (excess <= 0) return;
    const ended = this.#deleteEnded.run(now, excess).changes;
    if (ended < excess) this.#deleteLeastUsed.run(excess - ended);
  }

  /** How many rows have not ended. */
  countLive(now: number): number {
    return this.#total() - (this.#countEnded.get(now)?.n ?? 0);
  }

  /** Deletes rows that have ended, those that ended first before others. Returns how many went. */
  prune(now: number, limit: number): number {
    return this.#deleteEnded.run(now, limit).changes;
  }

  #total(): number {
    return this.#count.get()?.n ?? 0;
  }
}
