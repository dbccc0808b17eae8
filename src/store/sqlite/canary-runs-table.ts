import { checkCanaryRun, checkRunTime, findCanaryRunStatus, unknownCanary } from "../canary-run.js";
import type { CanaryId } from "../ids.js";
import { checkedLimit } from "../limits.js";
import { checkName, readAtLeast } from "../row-format.js";
import type { CanaryRunRow, CanaryRunsTable, FencingToken } from "../task-store.js";
import type { Connection } from "./connection.js";
import { RecordColumns, type SqlRecord } from "./record-columns.js";

/** Runs of canaries on SQLite; they go with their canary. */
export class SqliteCanaryRunsTable implements CanaryRunsTable {
  readonly #fast: Connection;
  readonly #kept: number;
  readonly #findCanary;
  readonly #upsert;
  readonly #trim;
  readonly #newest;
  readonly #before;
  readonly #prune;

  /** `kept`: how many runs of each canary stay. */
  constructor(fast: Connection, kept: number) {
    this.#fast = fast;
    this.#kept = kept;
    this.#findCanary = fast.prepare<[string], { found: 1 }>("SELECT 1 AS found FROM canaries WHERE id = ?");
    this.#upsert = fast.prepare<[SqlRecord]>(
      `INSERT INTO canary_runs (canary_id, ran_at, status, latency_ms, failed_assertions_json)
       VALUES (:canary_id, :ran_at, :status, :latency_ms, :failed_assertions_json)
       ON CONFLICT (canary_id, ran_at) DO UPDATE SET status = excluded.status,
         latency_ms = excluded.latency_ms, failed_assertions_json = excluded.failed_assertions_json`,
    );
    this.#trim = fast.prepare<[{ id: string; kept: number }]>(
      `DELETE FROM canary_runs WHERE canary_id = :id AND ran_at <= (SELECT ran_at FROM canary_runs
         WHERE canary_id = :id ORDER BY ran_at DESC LIMIT 1 OFFSET :kept)`,
    );
    this.#newest = fast.prepare<[string, number], SqlRecord>(
      "SELECT * FROM canary_runs WHERE canary_id = ? ORDER BY ran_at DESC LIMIT ?",
    );
    this.#before = fast.prepare<[string, number, number], SqlRecord>(
      "SELECT * FROM canary_runs WHERE canary_id = ? AND ran_at < ? ORDER BY ran_at DESC LIMIT ?",
    );
    this.#prune = fast.prepare<[number, number]>(
      `DELETE FROM canary_runs WHERE (canary_id, ran_at) IN (SELECT canary_id, ran_at FROM canary_runs
         WHERE ran_at < ? ORDER BY ran_at, canary_id LIMIT ?)`,
    );
  }

  async record(row: CanaryRunRow, fence: FencingToken): Promise<void> {
    checkCanaryRun(row);
    this.#fast.fencedWrite("record a canary's run", fence, () => {
      if (this.#findCanary.get(row.canaryId) === undefined) throw unknownCanary(row.canaryId);
      this.#upsert.run({
        canary_id: row.canaryId,
        ran_at: row.ranAt,
        status: row.status,
        latency_ms: row.latencyMs,
        failed_assertions_json: row.failedAssertionsJson,
      });
      this.#trim.run({ id: row.canaryId, kept: this.#kept });
    });
  }

  async list(
    canaryId: CanaryId,
    page: { before?: number; limit?: number } = {},
  ): Promise<readonly CanaryRunRow[]> {
    checkName(canaryId, "A canary's id");
    const { before } = page;
    const limit = checkedLimit(page.limit, 100);
    if (before !== undefined) checkRunTime(before, "before");
    return this.#fast
      .read("list a canary's runs", () =>
        before === undefined ? this.#newest.all(canaryId, limit) : this.#before.all(canaryId, before, limit),
      )
      .map(decode);
  }

  /** Deletes at most `limit` (1,000 unless given) runs before `ranBefore`, the oldest first. Returns how many went. */
  async prune(rule: { ranBefore: number; limit?: number }, fence: FencingToken): Promise<number> {
    const { ranBefore } = rule;
    const limit = checkedLimit(rule.limit, 1_000);
    checkRunTime(ranBefore, "ranBefore");
    return this.#fast.fencedWrite(
      "prune runs of canaries",
      fence,
      () => this.#prune.run(ranBefore, limit).changes,
    );
  }
}

function decode(record: SqlRecord): CanaryRunRow {
  const columns = new RecordColumns(record, "a canary's run");
  const status = findCanaryRunStatus(columns.text("status"));
  if (status === undefined) throw columns.corrupt("status", "is unknown");
  return {
    canaryId: columns.text("canary_id") as CanaryId,
    ranAt: columns.integer("ran_at"),
    status,
    latencyMs: readAtLeast(columns, "latency_ms", 0),
    failedAssertionsJson: columns.textOrNull("failed_assertions_json"),
  };
}
