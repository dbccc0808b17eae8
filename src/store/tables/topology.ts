import type { FencingToken } from "./lease.js";

/** A point on the one line of topologies (invariant 1): ordered by term, then counter. */
export interface TopologyEpoch {
  readonly clusterId: string;
  readonly term: number;
  readonly counter: number;
}

/** The stored topology. */
export interface TopologyRow extends TopologyEpoch {
  /** The topology in the caller's own encoding, kept byte for byte. */
  readonly document: Uint8Array;
  readonly contentHash: string;
}

/** The one topology document of the cluster. */
export interface TopologyTable {
  /** The stored topology; undefined in a fresh store. */
  load(): Promise<TopologyRow | undefined>;
  /**
   * Replaces the topology if it is at `expected` (undefined: if there is none), durably against a power
   * cut. `next` must be of the same cluster, above the stored epoch, and of the fence's term (invariant 1).
   * Rejects with `ConflictError` where the store is at another epoch or `next` would not grow it.
   */
  save(expected: TopologyEpoch | undefined, next: TopologyRow, fence: FencingToken): Promise<void>;
}
