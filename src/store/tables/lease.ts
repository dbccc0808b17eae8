import type { LeaseScope } from "../ids.js";

/** A lease as its holder got it. */
export interface Lease {
  readonly scope: LeaseScope;
  /** Names one run of one process; a restarted process uses another name. */
  readonly holder: string;
  /** The fencing number: grows with every change of holder, and is never given twice. */
  readonly term: number;
  /** By the store's clock, in milliseconds since the Unix epoch. */
  readonly expiresAt: number;
}

/**
 * What a leader's write carries. The store refuses it, in the transaction of the write, unless the lease's
 * last holder and number are these and were not released (invariant 3).
 */
export interface FencingToken {
  readonly scope: LeaseScope;
  readonly holder: string;
  readonly term: number;
}

/** Exclusive leases with fencing numbers. Expiry is by the store's clock. */
export interface LeaseTable {
  /**
   * Takes the lease if it is free, released or expired, under a number above every earlier one and above
   * `aboveTerm` (0 unless given). The live holder asking again gets its lease renewed under the same
   * number. Undefined while somebody else holds it. Rejects with `StoreCorruptError` where no number above
   * the earlier ones is a safe integer.
   */
  acquire(request: {
    scope: LeaseScope;
    /** Must name one run of one process, in 1 to 512 characters. */
    holder: string;
    /** From 1 to a day's. */
    ttlMs: number;
    aboveTerm?: number;
  }): Promise<Lease | undefined>;
  /** Extends the lease to `ttlMs` from now; undefined where it expired or somebody else took it. */
  renew(token: FencingToken, ttlMs: number): Promise<Lease | undefined>;
  /** Gives the lease back at once: writes under the token are refused from now on. False where it was not held. */
  release(token: FencingToken): Promise<boolean>;
  /** The lease as it is stored, also after it expired; undefined where nobody holds it or it was released. */
  current(scope: LeaseScope): Promise<Lease | undefined>;
}
