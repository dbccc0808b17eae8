import { checkInteger, checkName, checkText } from "./limits.js";
import { type JobClaimToken, type JobRow, jobBackoffMs, jobClaimTtlMs, type NewJob } from "./tables/jobs.js";

/** What is recorded as the error of a job whose last holder was never heard of again. */
export const lostJobError = "The last attempt ended without a word: its holder stopped its heartbeats.";

const maxAttemptsLimit = 1_000;
const maxTypes = 100;
const maxClaimTtlMs = 24 * 60 * 60 * 1_000;
const maxDelayMs = 365 * 24 * 60 * 60 * 1_000;

/** A request to claim, checked, with its defaults. */
export interface CheckedClaimRequest {
  readonly holder: string;
  /** Each once; undefined for any. */
  readonly types: readonly string[] | undefined;
  readonly ttlMs: number;
}

/** Checks a new job and fills in what it leaves open. Throws `InvalidArgumentError`. */
export function checkNewJob(job: NewJob): Required<NewJob> {
  const { id, type, paramsJson, maxAttempts = 5, delayMs = 0 } = job;
  checkName(id, "A job's id");
  checkName(type, `Job ${id}: the type`);
  checkText(paramsJson, `Job ${id}: the parameters`);
  checkInteger(maxAttempts, 1, maxAttemptsLimit, `Job ${id}: the number of attempts`);
  checkInteger(delayMs, 0, maxDelayMs, `Job ${id}: the delay in milliseconds`);
  return { id, type, paramsJson, maxAttempts, delayMs };
}

/** Checks a request to claim and fills in what it leaves open. Throws `InvalidArgumentError`. */
export function checkClaimRequest(request: {
  holder: string;
  types?: readonly string[];
  ttlMs?: number;
}): CheckedClaimRequest {
  const { holder, types, ttlMs } = request;
  checkName(holder, "A claim's holder");
  if (types !== undefined) {
    checkInteger(types.length, 1, maxTypes, "The number of types to claim from");
    for (const type of types) checkName(type, "A job's type");
  }
  return {
    holder,
    types: types === undefined ? undefined : [...new Set(types)],
    ttlMs: checkClaimTtl(ttlMs),
  };
}

/** Checks how long a claim shall last; {@link jobClaimTtlMs} unless given. Throws `InvalidArgumentError`. */
export function checkClaimTtl(ttlMs = jobClaimTtlMs): number {
  checkInteger(ttlMs, 1, maxClaimTtlMs, "A claim's duration in milliseconds");
  return ttlMs;
}

/** A job that was queued at `now`. */
export function queueJob(job: Required<NewJob>, now: number): JobRow {
  return {
    id: job.id,
    type: job.type,
    paramsJson: job.paramsJson,
    state: "queued",
    claim: null,
    progressJson: "{}",
    attempts: 0,
    maxAttempts: job.maxAttempts,
    runAfter: now + job.delayMs,
    cancelRequested: false,
    error: null,
    createdAt: now,
    updatedAt: now,
    finishedAt: null,
  };
}

/**
 * What becomes of a job that is due when `holder` asks for one: claimed by it; or, where its former holder was lost,
 * canceled if that was asked for, failed if that was its last attempt.
 */
export function takeJob(row: JobRow, { holder, ttlMs }: CheckedClaimRequest, now: number): JobRow {
  if (row.state === "in_progress") {
    if (row.cancelRequested) return finish(row, "canceled", now);
    if (row.attempts >= row.maxAttempts) return { ...finish(row, "failed", now), error: lostJobError };
  }
  return {
    ...row,
    state: "in_progress",
    claim: { holder, expiresAt: now + ttlMs },
    attempts: row.attempts + 1,
    updatedAt: now,
  };
}

/** Whether the claim is the one that the job stands under, expired or not. */
export function isHeldUnder(row: JobRow, token: JobClaimToken): boolean {
  return row.state === "in_progress" && row.claim?.holder === token.holder && row.attempts === token.attempt;
}

/** The job after its holder's heartbeat. */
export function renewJob(
  row: JobRow,
  update: { readonly progressJson?: string | undefined; readonly ttlMs: number },
  now: number,
): JobRow {
  return {
    ...row,
    claim: row.claim && { holder: row.claim.holder, expiresAt: now + update.ttlMs },
    progressJson: update.progressJson ?? row.progressJson,
    updatedAt: now,
  };
}

/** The job after its holder has done it, also where somebody asked to cancel it meanwhile. */
export function completeJob(row: JobRow, progressJson: string | undefined, now: number): JobRow {
  return { ...finish(row, "completed", now), progressJson: progressJson ?? row.progressJson };
}

/** The job after its holder's attempt failed: a wish to cancel comes first, then whether it may be repeated. */
export function failJob(row: JobRow, failure: { error: string; retry: boolean }, now: number): JobRow {
  const { error, retry } = failure;
  if (row.cancelRequested) return { ...finish(row, "canceled", now), error };
  if (!retry || row.attempts >= row.maxAttempts) return { ...finish(row, "failed", now), error };
  return { ...requeue(row, now), error, runAfter: now + jobBackoffMs(row.attempts) };
}

/** The job after its holder gave it back: it keeps its place in the queue, and one attempt more. */
export function releaseJob(row: JobRow, now: number): JobRow {
  if (row.cancelRequested) return finish(row, "canceled", now);
  return {
    ...requeue(row, now),
    maxAttempts: row.maxAttempts + 1,
    // The clock may have been set back since the claim.
    runAfter: Math.min(row.runAfter, now),
  };
}

/** The job after a wish to cancel it; the same row where that changes nothing. */
export function cancelJob(row: JobRow, now: number): JobRow {
  if (row.state === "queued") return { ...finish(row, "canceled", now), cancelRequested: true };
  if (row.state !== "in_progress" || row.cancelRequested) return row;
  return { ...row, cancelRequested: true, updatedAt: now };
}

function finish(row: JobRow, state: "completed" | "failed" | "canceled", now: number): JobRow {
  return { ...row, state, claim: null, updatedAt: now, finishedAt: now };
}

function requeue(row: JobRow, now: number): JobRow {
  return { ...row, state: "queued", claim: null, updatedAt: now };
}
