import type { AliasName } from "../ids.js";
import type { FencingToken } from "./lease.js";

/**
 * What an alias stands for. A `single` one can be written through; a `multi` one is read across all its
 * indexes and takes no writes.
 */
export type AliasTarget =
  | { readonly kind: "single"; readonly indexUid: string }
  | { readonly kind: "multi"; readonly indexUids: readonly string[] };

/** What an alias stood for before a flip. Times are milliseconds since the Unix epoch. */
export interface AliasHistoryEntry {
  readonly version: number;
  readonly target: AliasTarget;
  /** When this target was set. */
  readonly setAt: number;
}

/** One alias. */
export interface AliasRow {
  readonly name: AliasName;
  readonly target: AliasTarget;
  /** 1 when created, one more with every flip. */
  readonly version: number;
  readonly createdAt: number;
  /** When the current target was set. */
  readonly updatedAt: number;
  /** Former targets, newest first; at most `StoreLimits.aliasHistory` of them. */
  readonly history: readonly AliasHistoryEntry[];
}

/** Aliases: names that are flipped from one index to another in one step. */
export interface AliasesTable {
  get(name: AliasName): Promise<AliasRow | undefined>;
  /** In ascending order of name, byte by byte in UTF-8; after `after`. `limit`: 1 to 10,000; 1,000 unless given. */
  list(page?: { after?: AliasName; limit?: number }): Promise<readonly AliasRow[]>;
  /**
   * Creates the alias (`expectedVersion` 0) or flips it (the version that it has). Returns it as it is now.
   * Rejects with `ConflictError` where it is at another version, or is of the other kind: an alias never
   * changes its kind. Refuses a multi alias without an index, with one twice, or with more than 1,000, and
   * names of indexes that are not of 1 to 512 characters. A deleted alias begins anew at version 1.
   */
  set(
    change: {
      name: AliasName;
      target: AliasTarget;
      expectedVersion: number;
      /** Milliseconds since the Unix epoch. */
      at: number;
    },
    fence: FencingToken,
  ): Promise<AliasRow>;
  /** Deletes the alias with its history; false where there is none. Rejects with `ConflictError` at another version. */
  delete(name: AliasName, expectedVersion: number, fence: FencingToken): Promise<boolean>;
}
