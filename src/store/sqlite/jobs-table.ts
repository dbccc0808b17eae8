import { ConflictError, StoreCorruptError } from "../errors.js";
import type { JobId } from "../ids.js";
import { checkInteger, checkText, maxBatch } from "../limits.js";
import type { JobsTable } from "../task-store.js";
import { type FencingToken, type JobRow, type JobState, jobStates } from "../task-store.js";
import type { Connection } from "./connection.js";

interface JobRecord {
  id: string;
  type: string;
  params_json: string;
  state: string;
  claimed_by: string | null;
  claim_expires_at: number | null;
  progress_json: string;
  attempts: number;
  error: string | null;
  created_at: number;
  updated_at: number;
  finished_at: number | null;
}

/** Jobs on SQLite. */
export class SqliteJobsTable implements JobsTable {
  readonly #fast: Connection;
  readonly #select;
  readonly #selectByState;
  readonly #upsert;

  constructor(fast: Connection) {
    this.#fast = fast;
    this.#select = fast.prepare<[string], JobRecord>("SELECT * FROM jobs WHERE id = ?");
    this.#selectByState = fast.prepare<[string, number], JobRecord>(
      `SELECT * FROM jobs WHERE state IN (SELECT value FROM json_each(?))
       ORDER BY created_at, id LIMIT ?`,
    );
    this.#upsert = fast.prepare<[JobRecord]>(
      `INSERT INTO jobs (id, type, params_json, state, claimed_by, claim_expires_at, progress_json,
         attempts, error, created_at, updated_at, finished_at)
       VALUES (:id, :type, :params_json, :state, :claimed_by, :claim_expires_at, :progress_json,
         :attempts, :error, :created_at, :updated_at, :finished_at)
       ON CONFLICT (id) DO UPDATE SET type = excluded.type, params_json = excluded.params_json,
         state = excluded.state, claimed_by = excluded.claimed_by,
         claim_expires_at = excluded.claim_expires_at, progress_json = excluded.progress_json,
         attempts = excluded.attempts, error = excluded.error, created_at = excluded.created_at,
         updated_at = excluded.updated_at, finished_at = excluded.finished_at
       WHERE finished_at IS NULL`,
    );
  }

  async get(id: JobId): Promise<JobRow | undefined> {
    const record = this.#fast.read("read a job", () => this.#select.get(id));
    return record === undefined ? undefined : decode(record);
  }

  async list(options: { states?: readonly JobState[]; limit?: number } = {}): Promise<readonly JobRow[]> {
    const { states = jobStates, limit = 1_000 } = options;
    checkInteger(limit, 1, maxBatch, "A page's limit");
    return this.#fast
      .read("list jobs", () => this.#selectByState.all(JSON.stringify(states), limit))
      .map(decode);
  }

  async put(row: JobRow, fence: FencingToken): Promise<void> {
    checkText(row.paramsJson, `Job ${row.id}: parameters`);
    checkText(row.progressJson, `Job ${row.id}: progress`);
    this.#fast.fencedWrite("store a job", fence, () => {
      const { changes } = this.#upsert.run({
        id: row.id,
        type: row.type,
        params_json: row.paramsJson,
        state: row.state,
        claimed_by: row.claimedBy,
        claim_expires_at: row.claimExpiresAt,
        progress_json: row.progressJson,
        attempts: row.attempts,
        error: row.error,
        created_at: row.createdAt,
        updated_at: row.updatedAt,
        finished_at: row.finishedAt,
      });
      if (changes === 0) throw new ConflictError(`Job ${row.id} has finished; queue a new one.`);
    });
  }
}

function decode(record: JobRecord): JobRow {
  const state = jobStates.find((candidate) => candidate === record.state);
  if (state === undefined)
    throw new StoreCorruptError(`job ${record.id} has the unknown state "${record.state}"`);
  return {
    id: record.id as JobId,
    type: record.type,
    paramsJson: record.params_json,
    state,
    claimedBy: record.claimed_by,
    claimExpiresAt: record.claim_expires_at,
    progressJson: record.progress_json,
    attempts: record.attempts,
    error: record.error,
    createdAt: record.created_at,
    updatedAt: record.updated_at,
    finishedAt: record.finished_at,
  };
}
