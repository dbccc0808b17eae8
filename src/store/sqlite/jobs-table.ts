import type { Clock } from "../../runtime/world.js";
import type { JobId } from "../ids.js";
import { decodeJob, encodeJob, type JobRecord } from "../job-record.js";
import {
  type CheckedClaimRequest,
  cancelJob,
  checkClaimRequest,
  checkClaimTtl,
  checkNewJob,
  completeJob,
  failJob,
  isHeldUnder,
  queueJob,
  releaseJob,
  renewJob,
  takeJob,
} from "../job-transitions.js";
import { checkedLimit, checkText, checkTime } from "../limits.js";
import type { PruneRule } from "../prune-rule.js";
import {
  type FencingToken,
  type JobClaimToken,
  type JobRow,
  type JobState,
  type JobsTable,
  jobStates,
  type NewJob,
} from "../task-store.js";
import type { Connection } from "./connection.js";
import { FinishedRows } from "./finished-rows.js";

/** Jobs that one transaction settles while it looks for one to claim. */
const maxSettled = 100;

const byAge = "run_after, created_at, id";

/** Jobs on SQLite: claims exclude each other by the file's write lock. */
export class SqliteJobsTable implements JobsTable {
  readonly #fast: Connection;
  readonly #clock: Pick<Clock, "now">;
  readonly #select;
  readonly #selectPage;
  readonly #countByState;
  readonly #insert;
  readonly #update;
  readonly #firstQueued;
  readonly #firstQueuedOfType;
  readonly #firstExpired;
  readonly #firstExpiredOfTypes;
  readonly #history;

  constructor(fast: Connection, clock: Pick<Clock, "now">) {
    this.#fast = fast;
    this.#clock = clock;
    this.#select = fast.prepare<[string], JobRecord>("SELECT * FROM jobs WHERE id = ?");
    // One walk along the index for each state, merged: no more is read than the page holds.
    const walks = jobStates.map(
      (state) => `SELECT created_at, id FROM jobs INDEXED BY jobs_by_state
        WHERE state = '${state}' AND :${state} AND (created_at, id) > (:created_at, :id)`,
    );
    this.#selectPage = fast.prepare<[Record<string, string | number>], JobRecord>(
      `SELECT jobs.* FROM (${walks.join(" UNION ALL ")} ORDER BY created_at, id LIMIT :limit) AS page
       JOIN jobs ON jobs.id = page.id ORDER BY page.created_at, page.id`,
    );
    this.#countByState = fast.prepare<[], { state: JobState; n: number }>(
      "SELECT state, count(*) AS n FROM jobs GROUP BY state",
    );
    this.#insert = fast.prepare<[JobRecord]>(
      `INSERT INTO jobs (id, type, params_json, state, claimed_by, claim_expires_at, progress_json, attempts,
         max_attempts, run_after, cancel_requested, error, created_at, updated_at, finished_at)
       VALUES (:id, :type, :params_json, :state, :claimed_by, :claim_expires_at, :progress_json, :attempts,
         :max_attempts, :run_after, :cancel_requested, :error, :created_at, :updated_at, :finished_at)
       ON CONFLICT (id) DO NOTHING`,
    );
    this.#update = fast.prepare<[JobRecord]>(
      `UPDATE jobs SET state = :state, claimed_by = :claimed_by, claim_expires_at = :claim_expires_at,
         progress_json = :progress_json, attempts = :attempts, max_attempts = :max_attempts,
         run_after = :run_after, cancel_requested = :cancel_requested, error = :error,
         updated_at = :updated_at, finished_at = :finished_at
       WHERE id = :id`,
    );
    this.#firstQueued = fast.prepare<[number], JobRecord>(
      `SELECT * FROM jobs INDEXED BY jobs_queued WHERE state = 'queued' AND run_after <= ?
       ORDER BY ${byAge} LIMIT 1`,
    );
    // A walk along its index for each type: queues of other types do not slow it down.
    this.#firstQueuedOfType = fast.prepare<[string, number], JobRecord>(
      `SELECT jobs.* FROM json_each(?) AS types CROSS JOIN jobs ON jobs.id = (
         SELECT id FROM jobs AS queue INDEXED BY jobs_queued_by_type
         WHERE state = 'queued' AND type = types.value AND run_after <= ? ORDER BY ${byAge} LIMIT 1)
       ORDER BY jobs.run_after, jobs.created_at, jobs.id LIMIT 1`,
    );
    // No more jobs are claimed than there are workers, so that these need no order in the index.
    this.#firstExpired = fast.prepare<[number], JobRecord>(
      `SELECT * FROM jobs INDEXED BY jobs_claimed WHERE state = 'in_progress' AND claim_expires_at <= ?
       ORDER BY ${byAge} LIMIT 1`,
    );
    this.#firstExpiredOfTypes = fast.prepare<[number, string], JobRecord>(
      `SELECT * FROM jobs INDEXED BY jobs_claimed WHERE state = 'in_progress' AND claim_expires_at <= ?
         AND type IN (SELECT value FROM json_each(?)) ORDER BY ${byAge} LIMIT 1`,
    );
    this.#history = new FinishedRows(fast, {
      table: "jobs",
      key: "id",
      order: "finished_at, created_at, id",
      operation: "prune jobs",
    });
  }

  async get(id: JobId): Promise<JobRow | undefined> {
    return this.#fast.read("read a job", () => this.#read(id));
  }

  async list(
    options: { states?: readonly JobState[]; after?: Pick<JobRow, "createdAt" | "id">; limit?: number } = {},
  ): Promise<readonly JobRow[]> {
    const { states = jobStates, after } = options;
    const limit = checkedLimit(options.limit, 1_000);
    checkTime(after?.createdAt, "A page's start");
    const wanted = Object.fromEntries(jobStates.map((state) => [state, states.includes(state) ? 1 : 0]));
    const parameters = {
      ...wanted,
      created_at: after?.createdAt ?? Number.MIN_SAFE_INTEGER,
      id: after?.id ?? "",
      limit,
    };
    return this.#fast.read("list jobs", () => this.#selectPage.all(parameters).map(decodeJob));
  }

  async countByState(): Promise<Readonly<Record<JobState, number>>> {
    const counts = { queued: 0, in_progress: 0, completed: 0, failed: 0, canceled: 0 };
    for (const { state, n } of this.#fast.read("count jobs", () => this.#countByState.all())) {
      counts[state] = n;
    }
    return counts;
  }

  async enqueue(job: NewJob, fence: FencingToken): Promise<boolean> {
    const checked = checkNewJob(job);
    return this.#fast.fencedWrite("queue a job", fence, () => {
      const { changes } = this.#insert.run(encodeJob(queueJob(checked, this.#clock.now())));
      return changes === 1;
    });
  }

  async claim(request: {
    holder: string;
    types?: readonly string[];
    ttlMs?: number;
  }): Promise<JobRow | undefined> {
    const checked = checkClaimRequest(request);
    for (;;) {
      // Looking takes no lock, so that those who wait for work do not hold up those who do it.
      const isDue = this.#fast.read("look for a job", () => this.#firstDue(checked, this.#clock.now()));
      if (isDue === undefined) return undefined;
      const result = this.#fast.write("claim a job", () => this.#claim(checked));
      if (result !== "again") return result;
    }
  }

  async heartbeat(
    claim: JobClaimToken,
    update: { progressJson?: string; ttlMs?: number } = {},
  ): Promise<JobRow | undefined> {
    const { progressJson } = update;
    const ttlMs = checkClaimTtl(update.ttlMs);
    if (progressJson !== undefined) checkText(progressJson, `Job ${claim.id}: the progress`);
    return this.#write("renew a job's claim", claim, (row, now) =>
      renewJob(row, { progressJson, ttlMs }, now),
    );
  }

  async complete(claim: JobClaimToken, progressJson?: string): Promise<JobRow | undefined> {
    if (progressJson !== undefined) checkText(progressJson, `Job ${claim.id}: the progress`);
    return this.#write("complete a job", claim, (row, now) => completeJob(row, progressJson, now));
  }

  async fail(claim: JobClaimToken, failure: { error: string; retry: boolean }): Promise<JobRow | undefined> {
    checkText(failure.error, `Job ${claim.id}: the error`);
    return this.#write("fail a job", claim, (row, now) => failJob(row, failure, now));
  }

  async release(claim: JobClaimToken): Promise<JobRow | undefined> {
    return this.#write("release a job", claim, releaseJob);
  }

  async cancel(id: JobId, fence: FencingToken): Promise<JobRow | undefined> {
    return this.#fast.fencedWrite("cancel a job", fence, () => {
      const row = this.#read(id);
      return row && this.#store(cancelJob(row, this.#clock.now()));
    });
  }

  /** Deletes finished jobs as `Retention.pruneJobs` says. */
  prune(rule: PruneRule, fence: FencingToken): Promise<number> {
    return this.#history.prune(rule, fence);
  }

  #claim(request: CheckedClaimRequest): JobRow | "again" | undefined {
    const now = this.#clock.now();
    for (let settled = 0; settled < maxSettled; settled++) {
      const due = this.#firstDue(request, now);
      if (due === undefined) return undefined;
      const taken = this.#store(takeJob(due, request, now));
      if (taken.state === "in_progress") return taken;
    }
    return "again";
  }

  #firstDue({ types }: CheckedClaimRequest, now: number): JobRow | undefined {
    const json = JSON.stringify(types);
    const queued = types === undefined ? this.#firstQueued.get(now) : this.#firstQueuedOfType.get(json, now);
    const expired =
      types === undefined ? this.#firstExpired.get(now) : this.#firstExpiredOfTypes.get(now, json);
    if (queued === undefined || expired === undefined) {
      const only = queued ?? expired;
      return only && decodeJob(only);
    }
    return decodeJob(waitedLonger(expired, queued) ? expired : queued);
  }

  #write(
    operation: string,
    claim: JobClaimToken,
    change: (row: JobRow, now: number) => JobRow,
  ): JobRow | undefined {
    return this.#fast.write(operation, () => {
      const row = this.#read(claim.id);
      if (row === undefined || !isHeldUnder(row, claim)) return undefined;
      return this.#store(change(row, this.#clock.now()));
    });
  }

  #read(id: JobId): JobRow | undefined {
    const record = this.#select.get(id);
    return record && decodeJob(record);
  }

  #store(row: JobRow): JobRow {
    this.#update.run(encodeJob(row));
    return row;
  }
}

function waitedLonger(a: JobRecord, b: JobRecord): boolean {
  if (a.run_after !== b.run_after) return a.run_after < b.run_after;
  if (a.created_at !== b.created_at) return a.created_at < b.created_at;
  return Buffer.compare(Buffer.from(a.id), Buffer.from(b.id)) < 0;
}
