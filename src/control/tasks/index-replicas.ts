import { type Index, ReplicaState, type Topology } from "../../gen/miroir/v1/topology_pb.js";
import type { IndexReplicas, ReplicaHealth } from "./aggregate.js";

const HEALTH: Readonly<Record<ReplicaState, ReplicaHealth>> = {
  [ReplicaState.UNSPECIFIED]: "suspect",
  [ReplicaState.IN_SYNC]: "in_sync",
  [ReplicaState.JOINING]: "joining",
  [ReplicaState.STALE]: "stale",
  [ReplicaState.SUSPECT]: "suspect",
};

const known = new WeakMap<Index, IndexReplicas>();

/** Where an index lives and how its replicas are, as aggregation sees it; computed once for each index of a topology. */
export function indexReplicas(index: Index): IndexReplicas {
  const held = known.get(index);
  if (held !== undefined) return held;
  const replicas: IndexReplicas = {
    placement: index.placement.map((shard) => shard.nodeIds),
    replicas: new Map(index.replicas.map((replica) => [replica.nodeId, HEALTH[replica.state]])),
  };
  known.set(index, replicas);
  return replicas;
}

/** The index of that instance; undefined where it is not, or no longer, in the catalogue. */
export function findInstance(topology: Topology, instance: string | null): Index | undefined {
  return instance === null ? undefined : topology.indexes.find((index) => index.instance === instance);
}

/** Removed indexes that are remembered. */
const MAX_REMOVED = 1_000;

/** Finds indexes by instance, for a while also after they left the catalogue: tasks on them finish later, and count by their placement. */
export class IndexLookup {
  #current: Topology | undefined;
  readonly #removed = new Map<string, Index>();

  /** Takes note of a newly published topology. */
  published(topology: Topology): void {
    const before = this.#current;
    this.#current = topology;
    if (before === undefined || before.indexes.length === 0) return;
    const kept = new Set(topology.indexes.map((index) => index.instance));
    for (const index of before.indexes)
      if (!kept.has(index.instance)) this.#removed.set(index.instance, index);
    for (const instance of this.#removed.keys()) {
      if (this.#removed.size <= MAX_REMOVED) break;
      this.#removed.delete(instance);
    }
  }

  /** The index as it is in `topology`, or as it was before it was removed. */
  find(topology: Topology, instance: string | null): Index | undefined {
    return findInstance(topology, instance) ?? (instance === null ? undefined : this.#removed.get(instance));
  }
}

/**
 * Marks replicas of a draft's index suspect: read only where no other copy exists, and a request to the index's
 * writer to settle it by a new generation (`CommitGeneration` with the node among the stale ones, or in sync
 * again after a comparison). Replicas in another state stay as they are. True where any changed.
 */
export function markSuspect(draft: Topology, instance: string, nodeIds: readonly string[]): boolean {
  let changed = false;
  for (const replica of findInstance(draft, instance)?.replicas ?? []) {
    if (replica.state !== ReplicaState.IN_SYNC || !nodeIds.includes(replica.nodeId)) continue;
    replica.state = ReplicaState.SUSPECT;
    changed = true;
  }
  return changed;
}
