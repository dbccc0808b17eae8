import { checkCanaryRun, checkRunTime, unknownCanary } from "../canary-run.js";
import { StoreCorruptError } from "../errors.js";
import type { CanaryId } from "../ids.js";
import { checkedLimit } from "../limits.js";
import { checkName } from "../row-format.js";
import type { CanaryRunRow, CanaryRunStatus, CanaryRunsTable, FencingToken } from "../task-store.js";
import { type Commit, fencedError, leaseKey, type RedisBackend } from "./commit.js";

const letters: Readonly<Record<CanaryRunStatus, string>> = { pass: "p", fail: "f", error: "e" };
const statuses: Readonly<Record<string, CanaryRunStatus>> = { p: "pass", f: "fail", e: "error" };

/**
 * Runs of canaries on Redis: a list a canary, the oldest first, each run a short text. A thousand passes take 18 kB so;
 * as a sorted set by time they would take 119 kB, as a hash 56 kB, as a stream 27 kB (and a stream takes neither
 * a run out of order nor another one of the same time). Beside the lists, one sorted set has the time of each
 * canary's oldest run, by which pruning finds those that have any to prune.
 */
export class RedisCanaryRunsTable implements CanaryRunsTable {
  readonly #backend: RedisBackend;
  readonly #kept: number;
  readonly #oldest: string;

  /** `kept`: how many runs of each canary stay. */
  constructor(backend: RedisBackend, kept: number) {
    this.#backend = backend;
    this.#kept = kept;
    this.#oldest = backend.keys.index("canary_runs", "oldest");
  }

  async record(row: CanaryRunRow, fence: FencingToken): Promise<void> {
    checkCanaryRun(row);
    const { connection, keys } = this.#backend;
    const { canaryId, ranAt } = row;
    const reply = await connection.run(
      "canary-run-record",
      [
        leaseKey(keys, fence.scope),
        keys.row("canaries", canaryId),
        keys.row("canary_runs", canaryId),
        this.#oldest,
      ],
      [fence.holder, fence.term, canaryId, ranAt, encodeCanaryRun(row), this.#kept],
      "write",
      "record a canary's run",
    );
    const [result, ...rest] = reply as [string, ...string[]];
    if (result === "fenced") throw fencedError(fence, rest);
    if (result === "unknown") throw unknownCanary(canaryId);
    if (result === "corrupt") throw damaged(canaryId, rest[0]);
  }

  async list(
    canaryId: CanaryId,
    page: { before?: number; limit?: number } = {},
  ): Promise<readonly CanaryRunRow[]> {
    checkName(canaryId, "A canary's id");
    const limit = checkedLimit(page.limit, 100);
    let { before } = page;
    if (before !== undefined) checkRunTime(before, "before");
    const { connection, keys } = this.#backend;
    const rows: CanaryRunRow[] = [];
    while (rows.length < limit) {
      const reply = await connection.run(
        "canary-runs-list",
        [keys.row("canary_runs", canaryId)],
        [before === undefined ? "" : String(before), limit - rows.length],
        "read",
        "list a canary's runs",
      );
      const [result, ...entries] = reply as [string, ...string[]];
      if (result === "corrupt") throw damaged(canaryId, entries[0]);
      for (const entry of entries) rows.push(decode(canaryId, entry));
      before = rows.at(-1)?.ranAt;
      if (result === "end") break;
    }
    return rows;
  }

  /** Deletes at most `limit` (1,000 unless given) runs before `ranBefore`, the oldest first. Returns how many went. */
  async prune(rule: { ranBefore: number; limit?: number }, fence: FencingToken): Promise<number> {
    const { ranBefore } = rule;
    const limit = checkedLimit(rule.limit, 1_000);
    checkRunTime(ranBefore, "ranBefore");
    const { connection, keys } = this.#backend;
    const reply = await connection.run(
      "canary-runs-prune",
      [leaseKey(keys, fence.scope), this.#oldest, keys.table("canary_runs")],
      [fence.holder, fence.term, ranBefore, limit],
      "write",
      "prune runs of canaries",
    );
    const [result, ...rest] = reply as [string, ...string[]];
    if (result === "fenced") throw fencedError(fence, rest);
    if (result === "corrupt") throw damaged(rest[0], rest[1]);
    return Number(rest[0]);
  }

  /** Adds to the deletion of a canary that its runs go along. */
  deleteWith(commit: Commit, canaryId: CanaryId): void {
    commit.del(this.#backend.keys.row("canary_runs", canaryId)).zrem(this.#oldest, canaryId);
  }
}

/** `1700000000000p12`: time, status and latency; what failed follows after a space. */
export function encodeCanaryRun({ ranAt, status, latencyMs, failedAssertionsJson }: CanaryRunRow): string {
  const short = `${ranAt}${letters[status]}${latencyMs}`;
  return failedAssertionsJson === null ? short : `${short} ${failedAssertionsJson}`;
}

function decode(canaryId: CanaryId, entry: string): CanaryRunRow {
  const parts = /^(-?\d+)([pfe])(\d+)(?: ([\s\S]*))?$/.exec(entry);
  const [ranAt, latencyMs] = [Number(parts?.[1] ?? Number.NaN), Number(parts?.[3] ?? Number.NaN)];
  const status = statuses[parts?.[2] ?? ""];
  if (status === undefined || !Number.isSafeInteger(ranAt) || !Number.isSafeInteger(latencyMs)) {
    throw damaged(canaryId, entry);
  }
  return { canaryId, ranAt, status, latencyMs, failedAssertionsJson: parts?.[4] ?? null };
}

function damaged(canaryId: string | undefined, entry: string | undefined): StoreCorruptError {
  return new StoreCorruptError(
    `the runs of canary "${canaryId ?? ""}" have an entry that is none: "${(entry ?? "").slice(0, 40)}"`,
  );
}
