import { StoreCorruptError } from "./errors.js";
import type { JobId } from "./ids.js";
import { type JobClaim, type JobRow, type JobState, jobStates } from "./tables/jobs.js";

/** A job as it is stored: the columns of SQLite, and the fields of Redis' hash without those that are null. */
export interface JobRecord {
  readonly id: string;
  readonly type: string;
  readonly params_json: string;
  readonly state: string;
  readonly claimed_by: string | null;
  readonly claim_expires_at: number | null;
  readonly progress_json: string;
  readonly attempts: number;
  readonly max_attempts: number;
  readonly run_after: number;
  readonly cancel_requested: number;
  readonly error: string | null;
  readonly created_at: number;
  readonly updated_at: number;
  readonly finished_at: number | null;
}

/** Puts a job into the form in which it is stored. */
export function encodeJob(row: JobRow): JobRecord {
  return {
    id: row.id,
    type: row.type,
    params_json: row.paramsJson,
    state: row.state,
    claimed_by: row.claim?.holder ?? null,
    claim_expires_at: row.claim?.expiresAt ?? null,
    progress_json: row.progressJson,
    attempts: row.attempts,
    max_attempts: row.maxAttempts,
    run_after: row.runAfter,
    cancel_requested: row.cancelRequested ? 1 : 0,
    error: row.error,
    created_at: row.createdAt,
    updated_at: row.updatedAt,
    finished_at: row.finishedAt,
  };
}

/** Reads a job back. Throws `StoreCorruptError` where it makes no sense. */
export function decodeJob(record: JobRecord): JobRow {
  const state = jobStates.find((candidate) => candidate === record.state);
  if (state === undefined) {
    throw new StoreCorruptError(`job ${record.id} has the unknown state "${record.state}"`);
  }
  const isFinal = state !== "queued" && state !== "in_progress";
  if (isFinal !== (record.finished_at !== null)) {
    throw new StoreCorruptError(`job ${record.id} is ${state}, and finished at ${record.finished_at}`);
  }
  return {
    id: record.id as JobId,
    type: record.type,
    paramsJson: record.params_json,
    state,
    claim: decodeClaim(record, state),
    progressJson: record.progress_json,
    attempts: record.attempts,
    maxAttempts: record.max_attempts,
    runAfter: record.run_after,
    cancelRequested: record.cancel_requested !== 0,
    error: record.error,
    createdAt: record.created_at,
    updatedAt: record.updated_at,
    finishedAt: record.finished_at,
  };
}

function decodeClaim(record: JobRecord, state: JobState): JobClaim | null {
  const { claimed_by: holder, claim_expires_at: expiresAt } = record;
  if (state === "in_progress" && holder !== null && expiresAt !== null) return { holder, expiresAt };
  if (state !== "in_progress" && holder === null && expiresAt === null) return null;
  throw new StoreCorruptError(`job ${record.id} is ${state}, and claimed by ${holder} until ${expiresAt}`);
}
