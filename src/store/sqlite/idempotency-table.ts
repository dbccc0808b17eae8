import type { Clock } from "../../runtime/world.js";
import type { ExpiringTable } from "../expiring-table.js";
import { checkIdempotencyEntry } from "../idempotency-entry.js";
import type { IdempotencyKey, TaskUid } from "../ids.js";
import { checkTtl } from "../limits.js";
import type { FencingToken, IdempotencyRow, IdempotencyTable } from "../task-store.js";
import type { Connection } from "./connection.js";
import { LruRows } from "./lru-rows.js";

interface IdempotencyRecord {
  key: string;
  body_sha256: Buffer;
  task_uid: number;
  last_used_at: number;
  expires_at: number;
}

/** Idempotency keys on SQLite. */
export class SqliteIdempotencyTable implements IdempotencyTable, ExpiringTable {
  readonly #fast: Connection;
  readonly #clock: Pick<Clock, "now">;
  readonly #rows: LruRows;
  readonly #selectLive;
  readonly #replace;
  readonly #touch;
  readonly #delete;

  /** `limit`: how many keys are kept. */
  constructor(fast: Connection, clock: Pick<Clock, "now">, limit: number) {
    this.#fast = fast;
    this.#clock = clock;
    this.#rows = new LruRows(fast, "idempotency_cache", "key", limit);
    this.#selectLive = fast.prepare<[string, number], IdempotencyRecord>(
      "SELECT * FROM idempotency_cache WHERE key = ? AND expires_at > ?",
    );
    this.#replace = fast.prepare<[IdempotencyRecord]>(
      `INSERT INTO idempotency_cache (key, body_sha256, task_uid, last_used_at, expires_at)
       VALUES (:key, :body_sha256, :task_uid, :last_used_at, :expires_at)
       ON CONFLICT (key) DO UPDATE SET body_sha256 = excluded.body_sha256, task_uid = excluded.task_uid,
         last_used_at = excluded.last_used_at, expires_at = excluded.expires_at`,
    );
    this.#touch = fast.prepare<[number, string]>(
      "UPDATE idempotency_cache SET last_used_at = ? WHERE key = ?",
    );
    this.#delete = fast.prepare<[string, number, number]>(
      "DELETE FROM idempotency_cache WHERE key = ? AND task_uid = ? AND expires_at > ?",
    );
  }

  async claim(
    entry: Omit<IdempotencyRow, "expiresAt">,
    ttlMs: number,
  ): Promise<{ readonly claimed: boolean; readonly row: IdempotencyRow }> {
    checkIdempotencyEntry(entry);
    checkTtl(ttlMs, "An idempotency key's life");
    return this.#fast.write("record an idempotency key", () => {
      const now = this.#clock.now();
      const stored = this.#selectLive.get(entry.key, now);
      if (stored !== undefined) {
        this.#touch.run(this.#rows.nextUse(now), entry.key);
        return { claimed: false, row: decode(stored) };
      }
      this.#rows.sweep(now);
      const record: IdempotencyRecord = {
        key: entry.key,
        body_sha256: Buffer.from(entry.bodySha256),
        task_uid: entry.taskUid,
        last_used_at: this.#rows.nextUse(now),
        expires_at: now + ttlMs,
      };
      this.#replace.run(record);
      this.#rows.makeRoom(now);
      return { claimed: true, row: decode(record) };
    });
  }

  async get(key: IdempotencyKey): Promise<IdempotencyRow | undefined> {
    const record = this.#fast.read("read an idempotency key", () =>
      this.#selectLive.get(key, this.#clock.now()),
    );
    return record === undefined ? undefined : decode(record);
  }

  async release(key: IdempotencyKey, taskUid: TaskUid): Promise<boolean> {
    return this.#fast.write(
      "release an idempotency key",
      () => this.#delete.run(key, taskUid, this.#clock.now()).changes > 0,
    );
  }

  async count(): Promise<number> {
    return this.#fast.read("count the idempotency keys", () => this.#rows.countLive(this.#clock.now()));
  }

  async pruneExpired(limit: number, fence: FencingToken): Promise<number> {
    return this.#fast.fencedWrite("prune idempotency keys", fence, () =>
      this.#rows.prune(this.#clock.now(), limit),
    );
  }
}

function decode(record: IdempotencyRecord): IdempotencyRow {
  return {
    key: record.key as IdempotencyKey,
    bodySha256: new Uint8Array(record.body_sha256),
    taskUid: record.task_uid as TaskUid,
    expiresAt: record.expires_at,
  };
}
