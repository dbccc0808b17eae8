import type { RolloverPolicyName } from "../ids.js";
import type { FencingToken } from "./lease.js";

/** When an alias rolls over to a fresh index, and how many old ones stay. JSON texts are kept as they were given. */
export interface RolloverPolicyRow {
  readonly name: RolloverPolicyName;
  readonly writeAlias: string;
  readonly readAlias: string;
  /** Of the indexes' names, such as `logs-{YYYY-MM-DD}`. */
  readonly pattern: string;
  readonly triggersJson: string;
  readonly retentionJson: string;
  readonly templateJson: string;
  readonly enabled: boolean;
  /** Milliseconds since the Unix epoch. */
  readonly updatedAt: number;
}

/** Rollover policies. */
export interface RolloverPoliciesTable {
  get(name: RolloverPolicyName): Promise<RolloverPolicyRow | undefined>;
  /** In ascending order of name, byte by byte in UTF-8; after `after`. `limit`: 1 to 10,000; 1,000 unless given. */
  list(page?: { after?: RolloverPolicyName; limit?: number }): Promise<readonly RolloverPolicyRow[]>;
  /** Inserts or replaces. */
  put(row: RolloverPolicyRow, fence: FencingToken): Promise<void>;
  /** False where there is none. */
  delete(name: RolloverPolicyName, fence: FencingToken): Promise<boolean>;
}
