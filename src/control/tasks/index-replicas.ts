import {
  type Index,
  ReplicaState,
  type ShardCopy,
  ShardCopyStep,
  type Topology,
} from "../../gen/miroir/v1/topology_pb.js";

/** Health of an index on one node (design §1). */
export type ReplicaHealth = "in_sync" | "joining" | "stale" | "suspect";

/** Where an index lives and how its replicas are. */
export interface IndexReplicas {
  /** By shard number: ids of the nodes that serve it. */
  readonly placement: readonly (readonly string[])[];
  readonly replicas: ReadonlyMap<string, ReplicaHealth>;
  /** What a copy makes of nodes meanwhile; undefined where none is under way. */
  readonly copy?: CopyRoles;
}

/** The nodes of a copy under way. */
export interface CopyRoles {
  /** By shard number: nodes that receive its writes and are being filled. */
  readonly joining: readonly (readonly string[])[];
  /** By shard number: nodes that others have taken it over from, and that still receive its writes. */
  readonly leaving: readonly (readonly string[])[];
  /** By shard number: nodes that the copy fills or has filled: what they did with writes from before that says little. */
  readonly filled: readonly (readonly string[])[];
  /** Nodes with documents of shards of which they hold, or held, only a part. */
  readonly partial: ReadonlySet<string>;
}

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
    ...(index.copy === undefined ? {} : { copy: copyRoles(index, index.copy) }),
  };
  known.set(index, replicas);
  return replicas;
}

function copyRoles({ placement }: Index, { moves, repairNodeIds, step }: ShardCopy): CopyRoles {
  const filled = placement.map(({ shard, nodeIds }) =>
    step === ShardCopyStep.PLANNED
      ? []
      : [
          ...moves.filter((move) => move.shard === shard).map(({ toNodeId }) => toNodeId),
          ...repairNodeIds.filter((id) => nodeIds.includes(id)),
        ],
  );
  return {
    joining: placement.map(({ joiningNodeIds }) => joiningNodeIds),
    leaving: placement.map(({ leavingNodeIds }) => leavingNodeIds),
    filled,
    partial: new Set([...filled.flat(), ...placement.flatMap(({ leftoverNodeIds }) => leftoverNodeIds)]),
  };
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
