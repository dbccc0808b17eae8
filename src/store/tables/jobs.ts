import type { JobId } from "../ids.js";
import type { FencingToken } from "./lease.js";

/** The states of a job, in the order in which it passes through them. */
export const jobStates = ["queued", "in_progress", "completed", "failed", "canceled"] as const;
/** Where a job stands. `completed`, `failed` and `canceled` are final. */
export type JobState = (typeof jobStates)[number];

/** Who works on a job. */
export interface JobClaim {
  /** Names one run of one process. */
  readonly holder: string;
  /** By the store's clock, in milliseconds since the Unix epoch. */
  readonly expiresAt: number;
}

/** A queued piece of background work. Times are milliseconds since the Unix epoch. */
export interface JobRow {
  readonly id: JobId;
  readonly type: string;
  /** What the work is, as JSON text, kept as it was given. */
  readonly paramsJson: string;
  readonly state: JobState;
  /** Null unless `in_progress`. */
  readonly claim: JobClaim | null;
  /** How far the work has come, as JSON text, kept as it was given. It outlives a claim, so that the next holder goes on. */
  readonly progressJson: string;
  /** How often the job was claimed; the number of the current claim, which fences its holder's writes. */
  readonly attempts: number;
  /** Claims after which the job fails instead of being queued again. */
  readonly maxAttempts: number;
  /** Not claimed before this time of the store's clock. */
  readonly runAfter: number;
  /** Somebody asked to cancel; the holder stops at its next heartbeat. */
  readonly cancelRequested: boolean;
  /** What the last failed attempt said; null before the first. */
  readonly error: string | null;
  readonly createdAt: number;
  readonly updatedAt: number;
  /** Never null in a final state. */
  readonly finishedAt: number | null;
}

/** A job to queue. */
export interface NewJob {
  readonly id: JobId;
  /** 1 to 512 characters. */
  readonly type: string;
  readonly paramsJson: string;
  /** 1 to 1,000; 5 unless given. */
  readonly maxAttempts?: number;
  /** Milliseconds from now before which the job is not claimed, up to a year's; 0 unless given. */
  readonly delayMs?: number;
}

/** What a holder shows to write about its job: the number of its claim is the fence. */
export interface JobClaimToken {
  readonly id: JobId;
  readonly holder: string;
  /** `attempts` of the row that `claim` returned. */
  readonly attempt: number;
}

/** Milliseconds that a claim lasts unless it is renewed. */
export const jobClaimTtlMs = 30_000;
/** Milliseconds between a holder's heartbeats. */
export const jobHeartbeatMs = 10_000;

/**
 * Background work, done by whichever process claims it; never by two at once, by the store's clock. A holder
 * that stops its heartbeats loses the job to the next that asks. A failed attempt is queued again after
 * {@link jobBackoffMs}, until `maxAttempts`.
 */
export interface JobsTable {
  get(id: JobId): Promise<JobRow | undefined>;
  /**
   * Oldest first (`createdAt`, then id byte by byte in UTF-8); every state unless given. `after` continues
   * behind a listed job, whether or not it is still there. `limit`: 1 to 10,000; 1,000 unless given. One snapshot; on
   * Redis one for each 500 jobs, or for each 8 MiB.
   */
  list(options?: {
    states?: readonly JobState[];
    after?: Pick<JobRow, "createdAt" | "id">;
    limit?: number;
  }): Promise<readonly JobRow[]>;
  /** How many jobs there are by state; states without any are 0. */
  countByState(): Promise<Readonly<Record<JobState, number>>>;
  /** Queues a job, with progress `{}`. False, changing nothing, where its id is recorded already. */
  enqueue(job: NewJob, fence: FencingToken): Promise<boolean>;
  /**
   * Takes the job that has waited longest (`runAfter`, then `createdAt`, then id) of those that are due:
   * queued, or in progress under a claim that expired. A job of an expired claim that was asked to cancel is canceled
   * instead, else one whose last attempt that was fails, with an error that says so; the next is looked at. Undefined
   * where nothing is due.
   */
  claim(request: {
    holder: string;
    /** Any type unless given; 1 to 100. */
    types?: readonly string[];
    /** 1 to a day's; {@link jobClaimTtlMs} unless given. */
    ttlMs?: number;
  }): Promise<JobRow | undefined>;
  /**
   * Extends the claim to `ttlMs` from now ({@link jobClaimTtlMs} unless given), and records progress where
   * given. Returns the job, whose `cancelRequested` the holder obeys; undefined where the claim is no longer
   * the holder's: it must stop at once. An expired claim that nobody took is the holder's still.
   */
  heartbeat(
    claim: JobClaimToken,
    update?: { progressJson?: string; ttlMs?: number },
  ): Promise<JobRow | undefined>;
  /**
   * Finishes the job, also where somebody asked to cancel it meanwhile; undefined, changing nothing, where the claim is no
   * longer the holder's.
   */
  complete(claim: JobClaimToken, progressJson?: string): Promise<JobRow | undefined>;
  /**
   * Ends the attempt: the job is queued again after its back-off, or `failed` where it is not to be retried or
   * this was its last attempt, or `canceled` where that was asked for. Undefined as for `complete`.
   */
  fail(claim: JobClaimToken, failure: { error: string; retry: boolean }): Promise<JobRow | undefined>;
  /**
   * Gives the job back untouched, for a process that shuts down: queued again at once, at its old place, the attempt not
   * counted against `maxAttempts` (the limit grows by one instead, so that claim numbers never repeat).
   * `canceled` where that was asked for. Undefined as for `complete`.
   */
  release(claim: JobClaimToken): Promise<JobRow | undefined>;
  /**
   * Cancels: a queued job at once, one in progress when its holder notices. Returns the job as it is now;
   * undefined where there is none. A finished job stays as it is.
   */
  cancel(id: JobId, fence: FencingToken): Promise<JobRow | undefined>;
}

/** Milliseconds before a failed attempt is repeated: 1 s after the first, doubling up to 5 minutes. */
export function jobBackoffMs(attempts: number): number {
  return Math.min(1_000 * 2 ** Math.min(attempts - 1, 20), 300_000);
}
