import type { JobId } from "../ids.js";
import { decodeJob, type JobRecord } from "../job-record.js";
import { checkClaimRequest, checkClaimTtl, checkNewJob, lostJobError } from "../job-transitions.js";
import { checkedLimit, checkText, checkTime } from "../limits.js";
import { checkPruneRule, type PruneRule } from "../prune-rule.js";
import {
  type FencingToken,
  type JobClaimToken,
  type JobRow,
  type JobState,
  type JobsTable,
  jobBackoffMs,
  jobStates,
  type NewJob,
} from "../task-store.js";
import { fencedError, leaseKey, type RedisBackend } from "./commit.js";
import type { Keyspace } from "./keyspace.js";
import { RowFields } from "./row-fields.js";
import { timeMember } from "./time-order.js";

/** Rows, and bytes, of one script's reply. */
const maxScriptRows = 500;
const maxScriptBytes = 8 * 1024 * 1024;
/** Rows that one script deletes, so that it holds up other calls for some milliseconds only. */
const maxPruned = 1_000;

/** Where one job stands in an index. */
export interface JobIndexEntry {
  readonly key: string;
  readonly score: number;
  readonly member: string;
}

/** Every index entry of a stored job, for those who write rows without the scripts of jobs. */
export function jobIndexEntries(keys: Keyspace, record: JobRecord): readonly JobIndexEntry[] {
  const member = timeMember(record.created_at, record.id);
  const entry = (score: number, name: string, ...parts: readonly string[]): JobIndexEntry => ({
    key: keys.index("jobs", name, ...parts),
    score,
    member,
  });
  const byState = entry(0, "by_state", record.state);
  if (record.finished_at !== null) return [byState, entry(record.finished_at, "finished")];
  if (record.claim_expires_at !== null) return [byState, entry(record.claim_expires_at, "claimed")];
  return [byState, entry(record.run_after, "queued"), entry(record.run_after, "queued", record.type)];
}

/** Jobs on Redis: every change is one script, by the server's clock. `prelude-job.lua` says how they are kept. */
export class RedisJobsTable implements JobsTable {
  readonly #backend: RedisBackend;
  readonly #table: string;

  constructor(backend: RedisBackend) {
    this.#backend = backend;
    this.#table = backend.keys.table("jobs");
  }

  async get(id: JobId): Promise<JobRow | undefined> {
    const fields = await this.#backend.connection.read("read a job", (client) =>
      client.hgetall(this.#row(id)),
    );
    const flat = Object.entries(fields).flat();
    return flat.length === 0 ? undefined : decodeReply(flat);
  }

  async list(
    options: { states?: readonly JobState[]; after?: Pick<JobRow, "createdAt" | "id">; limit?: number } = {},
  ): Promise<readonly JobRow[]> {
    const { states = jobStates, after } = options;
    const limit = checkedLimit(options.limit, 1_000);
    checkTime(after?.createdAt, "A page's start");
    const { connection, keys } = this.#backend;
    const wanted = jobStates.filter((state) => states.includes(state));
    const queues = wanted.map((state) => keys.index("jobs", "by_state", state));
    const rows: JobRow[] = [];
    let behind = after === undefined ? "" : timeMember(after.createdAt, after.id);
    while (queues.length > 0 && rows.length < limit) {
      const count = Math.min(limit - rows.length, maxScriptRows);
      const reply = await connection.run(
        "job-list",
        [this.#table, ...queues],
        [behind, count, maxScriptBytes],
        "read",
        "list jobs",
      );
      const [end, ...page] = reply as [string, ...unknown[]];
      for (const row of page) rows.push(decodeReply(row));
      const last = rows.at(-1);
      if (end === "end" || last === undefined) break;
      behind = timeMember(last.createdAt, last.id);
    }
    return rows;
  }

  async countByState(): Promise<Readonly<Record<JobState, number>>> {
    const { connection, keys } = this.#backend;
    const reply = await connection.run(
      "job-count",
      jobStates.map((state) => keys.index("jobs", "by_state", state)),
      [],
      "read",
      "count jobs",
    );
    const [queued = 0, in_progress = 0, completed = 0, failed = 0, canceled = 0] = reply as number[];
    return { queued, in_progress, completed, failed, canceled };
  }

  async enqueue(job: NewJob, fence: FencingToken): Promise<boolean> {
    const { id, type, paramsJson, maxAttempts, delayMs } = checkNewJob(job);
    const args = [id, type, paramsJson, maxAttempts, delayMs];
    return (await this.#runFenced("job-enqueue", id, args, fence, "queue a job")) === 1;
  }

  async claim(request: {
    holder: string;
    types?: readonly string[];
    ttlMs?: number;
  }): Promise<JobRow | undefined> {
    const { holder, types, ttlMs } = checkClaimRequest(request);
    const { connection, keys, now } = this.#backend;
    const queues = types?.map((type) => keys.index("jobs", "queued", type)) ?? [keys.index("jobs", "queued")];
    for (;;) {
      const reply = await connection.run(
        "job-claim",
        [this.#table, ...queues],
        [now(), holder, ttlMs, lostJobError],
        "write",
        "claim a job",
      );
      if (reply !== "again") return decodeOptional(reply);
    }
  }

  async heartbeat(
    claim: JobClaimToken,
    update: { progressJson?: string; ttlMs?: number } = {},
  ): Promise<JobRow | undefined> {
    const { progressJson } = update;
    const ttlMs = checkClaimTtl(update.ttlMs);
    checkText(progressJson ?? null, `Job ${claim.id}: the progress`);
    return this.#run("job-heartbeat", claim, [ttlMs, ...given(progressJson)], "renew a job's claim");
  }

  async complete(claim: JobClaimToken, progressJson?: string): Promise<JobRow | undefined> {
    checkText(progressJson ?? null, `Job ${claim.id}: the progress`);
    return this.#run("job-complete", claim, given(progressJson), "complete a job");
  }

  async fail(
    claim: JobClaimToken,
    { error, retry }: { error: string; retry: boolean },
  ): Promise<JobRow | undefined> {
    checkText(error, `Job ${claim.id}: the error`);
    const args = [error, retry ? 1 : 0, jobBackoffMs(claim.attempt)];
    return this.#run("job-fail", claim, args, "fail a job");
  }

  async release(claim: JobClaimToken): Promise<JobRow | undefined> {
    return this.#run("job-release", claim, [], "release a job");
  }

  async cancel(id: JobId, fence: FencingToken): Promise<JobRow | undefined> {
    return decodeOptional(await this.#runFenced("job-cancel", id, [], fence, "cancel a job"));
  }

  /** Deletes finished jobs as `Retention.pruneJobs` says. */
  async prune(rule: PruneRule, fence: FencingToken): Promise<number> {
    const limit = checkPruneRule(rule);
    const { connection, keys } = this.#backend;
    const { finishedBefore = "", keepFinished = "" } = rule;
    let pruned = 0;
    while (pruned < limit) {
      const count = Math.min(limit - pruned, maxPruned);
      const reply = await connection.run(
        "job-prune",
        [leaseKey(keys, fence.scope), this.#table],
        [fence.holder, fence.term, finishedBefore, keepFinished, count],
        "write",
        "prune jobs",
      );
      if (Array.isArray(reply)) {
        // What went went under the fence; the next call hears that it is an old one.
        if (pruned > 0) break;
        throw fencedError(fence, reply.slice(1));
      }
      pruned += Number(reply);
      if (Number(reply) < count) break;
    }
    return pruned;
  }

  async #run(
    script: string,
    { id, holder, attempt }: JobClaimToken,
    args: readonly (string | number)[],
    operation: string,
  ): Promise<JobRow | undefined> {
    const { connection, now } = this.#backend;
    return decodeOptional(
      await connection.run(
        script,
        [this.#table, this.#row(id)],
        [now(), holder, attempt, ...args],
        "write",
        operation,
      ),
    );
  }

  async #runFenced(
    script: string,
    id: JobId,
    args: readonly (string | number)[],
    fence: FencingToken,
    operation: string,
  ): Promise<unknown> {
    const { connection, keys, now } = this.#backend;
    const reply = await connection.run(
      script,
      [leaseKey(keys, fence.scope), this.#table, this.#row(id)],
      [now(), fence.holder, fence.term, ...args],
      "write",
      operation,
    );
    if (Array.isArray(reply) && reply[0] === "fenced") throw fencedError(fence, reply.slice(1));
    return reply;
  }

  #row(id: JobId): string {
    return this.#backend.keys.row("jobs", id);
  }
}

function given(text: string | undefined): string[] {
  return text === undefined ? [] : [text];
}

function decodeOptional(reply: unknown): JobRow | undefined {
  return reply === null ? undefined : decodeReply(reply);
}

/** Reads a row as HGETALL gives it to a script. */
function decodeReply(flat: unknown): JobRow {
  const id = new RowFields(flat, "a job").text("id");
  const row = new RowFields(flat, `job "${id}"`);
  return decodeJob({
    id,
    type: row.text("type"),
    params_json: row.text("params_json"),
    state: row.text("state"),
    claimed_by: row.textOrNull("claimed_by"),
    claim_expires_at: row.integerOrNull("claim_expires_at"),
    progress_json: row.text("progress_json"),
    attempts: row.integer("attempts"),
    max_attempts: row.integer("max_attempts"),
    run_after: row.integer("run_after"),
    cancel_requested: row.integer("cancel_requested"),
    error: row.textOrNull("error"),
    created_at: row.integer("created_at"),
    updated_at: row.integer("updated_at"),
    finished_at: row.integerOrNull("finished_at"),
  });
}
