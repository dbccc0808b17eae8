import type { CanaryId } from "../ids.js";
import type { FencingToken } from "./lease.js";

/** A query that is asked again and again, and what its answer must be. Times are milliseconds since the Unix epoch. */
export interface CanaryRow {
  readonly id: CanaryId;
  readonly name: string;
  readonly indexUid: string;
  /** Seconds between two runs; at least 1. */
  readonly intervalSeconds: number;
  /** The search's body as JSON text, kept as it was given. */
  readonly queryJson: string;
  /** The assertions as JSON text, kept as it was given. */
  readonly assertionsJson: string;
  readonly enabled: boolean;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** How a run went: the assertions held, did not, or could not be judged. */
export const canaryRunStatuses = ["pass", "fail", "error"] as const;
/** See {@link canaryRunStatuses}. */
export type CanaryRunStatus = (typeof canaryRunStatuses)[number];

/** One run of a canary. */
export interface CanaryRunRow {
  readonly canaryId: CanaryId;
  /** Milliseconds since the Unix epoch; names the run within its canary. */
  readonly ranAt: number;
  readonly status: CanaryRunStatus;
  readonly latencyMs: number;
  /** As JSON text, kept as it was given; null for a pass. */
  readonly failedAssertionsJson: string | null;
}

/** Canaries. */
export interface CanariesTable {
  get(id: CanaryId): Promise<CanaryRow | undefined>;
  /** In ascending order of id, byte by byte in UTF-8; after `after`. `limit`: 1 to 10,000; 1,000 unless given. */
  list(page?: { after?: CanaryId; limit?: number }): Promise<readonly CanaryRow[]>;
  /** Inserts or replaces; the recorded `createdAt` stays. */
  put(row: CanaryRow, fence: FencingToken): Promise<void>;
  /** Deletes the canary and its runs; false where there is none. */
  delete(id: CanaryId, fence: FencingToken): Promise<boolean>;
}

/** The last runs of each canary. */
export interface CanaryRunsTable {
  /**
   * Records a run, or replaces the one of the same time; the oldest runs beyond `StoreLimits.canaryRuns` of
   * the canary go. Rejects with `ConflictError` where the canary is not recorded.
   */
  record(row: CanaryRunRow, fence: FencingToken): Promise<void>;
  /** Newest first; those before `before`. `limit`: 1 to 10,000; 100 unless given. */
  list(canaryId: CanaryId, page?: { before?: number; limit?: number }): Promise<readonly CanaryRunRow[]>;
}
