import type { ShardDrop, ShardMove } from "./plan.js";
import { planGroup } from "./plan.js";
import type { NodeId, PlacementNode } from "./rendezvous.js";
import type { ShardId } from "./shard.js";

/** The nodes that a group shall have. */
export type GroupGoal = {
  readonly group: number;
  /** Those that shall hold its shards. Without any, the group is being given up and every replica of it is dropped. */
  readonly nodes: readonly PlacementNode[];
  /** Those among `nodes` to fill up to their share from the others: new ones. */
  readonly fill: readonly NodeId[];
  /** Those that shall hold nothing any more. */
  readonly leaving: readonly NodeId[];
};

/** What a fleet shall look like. */
export type FleetGoal = {
  /** Replicas of each shard inside each group. */
  readonly replicationFactor: number;
  readonly groups: readonly GroupGoal[];
  /** Whether nodes that stay may exchange replicas until each has its share and zones are told apart as well as they can be. */
  readonly rebalance: boolean;
};

/** An index as it is. */
export type IndexState = {
  /** The client's name of it, for messages. */
  readonly uid: string;
  readonly instance: string;
  /** By shard: the nodes that serve it, over all groups. */
  readonly placement: readonly (readonly NodeId[])[];
  /** Nodes whose replica of the index is in sync: what may be copied from and counts as a copy. */
  readonly inSync: ReadonlySet<NodeId>;
};

/** What is to be done to an index. Where all lists are empty, nothing is. */
export type IndexPlan = {
  readonly uid: string;
  readonly instance: string;
  /** By shard, then target. */
  readonly moves: readonly ShardMove[];
  /** Replicas that nothing replaces, by shard, then node. */
  readonly drops: readonly ShardDrop[];
  /** Nodes whose replica is behind and stays: to be made equal to its peers again. Ascending. */
  readonly repairs: readonly NodeId[];
  /** Shards that nothing can be done for: no replica of theirs is in sync. Ascending. */
  readonly blocked: readonly ShardId[];
  /** By shard: the nodes that serve it once all is done, ascending. */
  readonly placement: readonly (readonly NodeId[])[];
};

/** Why a goal cannot be reached, or not as wanted. */
export type PlanProblem =
  /** A group has fewer nodes than the replication factor. The plan makes as many replicas as there are nodes. */
  | {
      readonly kind: "too-few-nodes";
      readonly group: number;
      readonly nodes: number;
      readonly replicationFactor: number;
    }
  /** No group is left. */
  | { readonly kind: "no-group" }
  /** These shards have no replica in sync, so that nothing can be copied. */
  | { readonly kind: "no-source"; readonly uid: string; readonly shards: readonly ShardId[] }
  /** Replicas of so many shards share a zone in a group that has other zones. */
  | {
      readonly kind: "shared-zone";
      readonly uid: string;
      readonly group: number;
      readonly shards: readonly ShardId[];
    };

/** What leads from a fleet as it is to the goal. */
export type FleetPlan = {
  /** Indexes with something to do, in the order given. */
  readonly indexes: readonly IndexPlan[];
  readonly problems: readonly PlanProblem[];
};

/** Work on one index that is done as one copy. */
export type CopyBatch = {
  readonly uid: string;
  readonly instance: string;
  readonly moves: readonly ShardMove[];
  readonly drops: readonly ShardDrop[];
  readonly repairs: readonly NodeId[];
};

/** How much may be under way at once. */
export type BatchLimits = {
  /** Shards that are copied to one node, and shards that are copied from one node, at the same time. */
  readonly shardsPerNode: number;
  /** Nodes that nothing can be copied to just now; what needs them waits. */
  readonly unreachable: ReadonlySet<NodeId>;
};

/**
 * Plans what leads from the indexes as they are to the goal, as few moves as can be:
 *
 * - replicas on leaving nodes go to the others;
 * - nodes to fill get their share, from the fullest;
 * - nothing moves between two nodes that both stay, unless the goal asks for a rebalance.
 *
 * It depends on its arguments alone. Planned again from any state on the way it gives what is left, and nothing once the goal is
 * reached, so nothing of a plan needs to be kept.
 */
export function planFleet(goal: FleetGoal, indexes: readonly IndexState[]): FleetPlan {
  void planGroup;
  void goal;
  void indexes;
  return { indexes: [], problems: [] };
}

/**
 * What of a plan may begin now, beside what is under way: at most one batch an index and none for an index that is under way, no node
 * above its limit. Repairs go before moves, and drops come last, in a batch of their own. Empty where all must wait.
 */
export function nextBatches(
  plan: FleetPlan,
  underWay: readonly CopyBatch[],
  limits: BatchLimits,
): readonly CopyBatch[] {
  void plan;
  void underWay;
  void limits;
  return [];
}
