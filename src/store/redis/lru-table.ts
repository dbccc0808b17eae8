import type { FencingToken } from "../task-store.js";
import { fencedError, leaseKey, type RedisBackend } from "./commit.js";
import type { CallMode } from "./connection.js";
import type { RedisTable } from "./keyspace.js";

/**
 * What tables have in common whose rows end by themselves and of which the least recently used make room. Each change
 * is one script, by the server's clock: rows hold when they end, which decides, and the server frees them then.
 */
export class RedisLruTable {
  readonly #backend: RedisBackend;
  readonly #table: RedisTable;
  readonly #shared: readonly string[];

  constructor(backend: RedisBackend, table: RedisTable) {
    this.#backend = backend;
    this.#table = table;
    const { keys } = backend;
    this.#shared = [keys.index(table, "by_expiry"), keys.index(table, "by_use"), keys.table(table)];
  }

  /** Runs a script of the table on a row; its first argument is the time. Strings of the reply are bytes. */
  run(
    script: string,
    id: string,
    args: readonly (string | number | Buffer)[],
    mode: CallMode,
    operation: string,
  ): Promise<unknown> {
    const { connection, keys, now } = this.#backend;
    const row = keys.row(this.#table, id);
    return connection.runForBytes(script, [row, ...this.#shared], [now(), ...args], mode, operation);
  }

  /** How many rows have not ended. */
  async count(operation: string): Promise<number> {
    return Number(await this.run("lru-count", "", [], "read", operation));
  }

  /** See `ExpiringTable`. */
  async pruneExpired(limit: number, fence: FencingToken, operation: string): Promise<number> {
    const { connection, keys, now } = this.#backend;
    const reply = await connection.run(
      "lru-prune",
      [leaseKey(keys, fence.scope), ...this.#shared],
      [now(), fence.holder, fence.term, limit],
      "write",
      operation,
    );
    if (Array.isArray(reply)) throw fencedError(fence, reply.slice(1));
    return Number(reply);
  }
}
