import type { IdempotencyKey, TaskUid } from "../ids.js";

/** A write that a client marked with an idempotency key. */
export interface IdempotencyRow {
  readonly key: IdempotencyKey;
  /** SHA-256 of the request's body: 32 bytes. */
  readonly bodySha256: Uint8Array;
  /** The task that the first request became. */
  readonly taskUid: TaskUid;
  /** By the store's clock, in milliseconds since the Unix epoch. */
  readonly expiresAt: number;
}

/**
 * Keys of writes that must not be done twice. They end `ttlMs` (1 to ten years) after they were recorded,
 * however often they are used, and where there are more than `StoreLimits.idempotencyKeys` those that have
 * ended go first, then the least recently used, in the exact order of uses. Any control process writes them,
 * so they carry no fence.
 */
export interface IdempotencyTable {
  /**
   * Records the key, unless it is: then nothing changes but that it counts as used. Of several callers at
   * once exactly one records it. The row is the recorded one in both cases; whether the bodies are the same
   * is the caller's to compare.
   */
  claim(
    entry: Omit<IdempotencyRow, "expiresAt">,
    ttlMs: number,
  ): Promise<{ readonly claimed: boolean; readonly row: IdempotencyRow }>;
  /** The recorded key; undefined where there is none or it ended. Does not count as a use. */
  get(key: IdempotencyKey): Promise<IdempotencyRow | undefined>;
  /**
   * Forgets a key whose write certainly came to nothing, so that the client can repeat it; only where it
   * still belongs to `taskUid`. False otherwise.
   */
  release(key: IdempotencyKey, taskUid: TaskUid): Promise<boolean>;
  /** How many keys there are that have not ended. */
  count(): Promise<number>;
}
