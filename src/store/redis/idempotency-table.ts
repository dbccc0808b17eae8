import type { ExpiringTable } from "../expiring-table.js";
import { checkIdempotencyEntry } from "../idempotency-entry.js";
import type { IdempotencyKey, TaskUid } from "../ids.js";
import { checkTtl } from "../limits.js";
import type { FencingToken, IdempotencyRow, IdempotencyTable } from "../task-store.js";
import type { RedisBackend } from "./commit.js";
import { RedisLruTable } from "./lru-table.js";
import { RowFields } from "./row-fields.js";

/** Idempotency keys on Redis. */
export class RedisIdempotencyTable implements IdempotencyTable, ExpiringTable {
  readonly #rows: RedisLruTable;
  readonly #limit: number;

  /** `limit`: how many keys are kept. */
  constructor(backend: RedisBackend, limit: number) {
    this.#rows = new RedisLruTable(backend, "idempotency_cache");
    this.#limit = limit;
  }

  async claim(
    entry: Omit<IdempotencyRow, "expiresAt">,
    ttlMs: number,
  ): Promise<{ readonly claimed: boolean; readonly row: IdempotencyRow }> {
    checkIdempotencyEntry(entry);
    checkTtl(ttlMs, "An idempotency key's life");
    const { key, bodySha256, taskUid } = entry;
    const reply = await this.#rows.run(
      "lru-idempotency-claim",
      key,
      [key, ttlMs, this.#limit, Buffer.from(bodySha256), taskUid],
      "write",
      "record an idempotency key",
    );
    const [claimed, row] = reply as [number, unknown];
    return { claimed: claimed === 1, row: decode(row) };
  }

  async get(key: IdempotencyKey): Promise<IdempotencyRow | undefined> {
    const row = await this.#rows.run("lru-get", key, [], "read", "read an idempotency key");
    return row === null ? undefined : decode(row);
  }

  async release(key: IdempotencyKey, taskUid: TaskUid): Promise<boolean> {
    const args = [key, "task_uid", taskUid];
    return (await this.#rows.run("lru-delete", key, args, "write", "release an idempotency key")) === 1;
  }

  count(): Promise<number> {
    return this.#rows.count("count the idempotency keys");
  }

  pruneExpired(limit: number, fence: FencingToken): Promise<number> {
    return this.#rows.pruneExpired(limit, fence, "prune idempotency keys");
  }
}

function decode(row: unknown): IdempotencyRow {
  const fields = new RowFields(row, "an idempotency key");
  return {
    key: fields.text("key") as IdempotencyKey,
    bodySha256: fields.bytes("body_sha256"),
    taskUid: fields.integer("task_uid") as TaskUid,
    expiresAt: fields.integer("expires_at"),
  };
}
