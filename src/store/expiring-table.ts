import type { FencingToken } from "./tables/lease.js";

/** A table whose rows end by the store's clock. `Retention.pruneExpired` is the sum over them. */
export interface ExpiringTable {
  /**
   * Deletes at most `limit` rows that have ended, those that ended first before others, and what indexes still
   * hold of rows that are gone. Nobody sees them in any case. Returns how many went.
   */
  pruneExpired(limit: number, fence: FencingToken): Promise<number>;
}
