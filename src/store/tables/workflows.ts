import type { WorkflowId } from "../ids.js";
import type { FencingToken } from "./lease.js";

/** One run of a multi-step change (invariant 9). */
export interface WorkflowRow {
  readonly id: WorkflowId;
  readonly kind: string;
  /** The step that has been stored and may have started. */
  readonly step: string;
  /** What the steps need, as JSON text, kept as it was given. */
  readonly stateJson: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  /** Null while the workflow runs. */
  readonly finishedAt: number | null;
}

/** Multi-step changes; each step is stored here, durably against a power cut, before it starts (invariant 9). */
export interface WorkflowsTable {
  get(id: WorkflowId): Promise<WorkflowRow | undefined>;
  /** Unfinished ones, oldest first. */
  listOpen(): Promise<readonly WorkflowRow[]>;
  /**
   * Newest first (`createdAt`, then id byte by byte in UTF-8), finished ones too. `after` continues behind a
   * listed workflow. `limit`: 1 to 10,000; 100 unless given.
   */
  list(page?: {
    after?: Pick<WorkflowRow, "createdAt" | "id">;
    limit?: number;
  }): Promise<readonly WorkflowRow[]>;
  /** Inserts or replaces; rejects with `ConflictError` where the recorded one has finished. */
  put(row: WorkflowRow, fence: FencingToken): Promise<void>;
}
