import { zoneOf } from "./node-shares.js";
import { type GroupPlan, planGroup, type ShardDrop, type ShardMove } from "./plan.js";
import { compareText, type NodeId, type PlacementNode } from "./rendezvous.js";
import { allShards, type ShardId } from "./shard.js";

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

/**
 * Plans what leads from the indexes as they are to the goal, as few moves as can be:
 *
 * - replicas on leaving nodes go to the others;
 * - nodes to fill get their share, from the fullest;
 * - nothing moves between two nodes that both stay, unless the goal asks for a rebalance.
 *
 * It depends on its arguments alone. Planned again from any state on the way it gives what is left, and nothing once the goal is
 * reached, so nothing of a plan needs to be kept.
 *
 * @throws RangeError for counts or weights that make no sense
 */
export function planFleet(goal: FleetGoal, indexes: readonly IndexState[]): FleetPlan {
  const fleet = fleetFacts(goal);
  const plans = indexes.map((index) => planIndex(fleet, index));
  return {
    indexes: plans.map(({ plan }) => plan).filter(hasWork),
    problems: [...goalProblems(goal), ...plans.flatMap(({ problems }) => problems)],
  };
}

/** Whether there is anything to do to an index. */
export function hasWork({ moves, drops, repairs }: IndexPlan): boolean {
  return moves.length > 0 || drops.length > 0 || repairs.length > 0;
}

/** What stands against a goal whatever the indexes are. */
export function goalProblems({ groups, replicationFactor }: FleetGoal): readonly PlanProblem[] {
  if (groups.every(({ nodes }) => nodes.length === 0)) return [{ kind: "no-group" }];
  return groups.flatMap(({ group, nodes }) =>
    nodes.length > 0 && nodes.length < replicationFactor
      ? [{ kind: "too-few-nodes" as const, group, nodes: nodes.length, replicationFactor }]
      : [],
  );
}

/** A group's goal, with what follows from it for every index. */
type GroupFacts = GroupGoal & {
  /** Those that shall hold its shards, and those that hold some still. */
  readonly members: ReadonlySet<NodeId>;
  /** Zones of the nodes that shall hold its shards. */
  readonly zoneCount: number;
};

/** A fleet's goal, with what follows from it for every index. */
type FleetFacts = {
  readonly goal: FleetGoal;
  readonly groups: readonly GroupFacts[];
  /** Zones of the nodes that shall hold shards. */
  readonly zones: ReadonlyMap<NodeId, string>;
};

function fleetFacts(goal: FleetGoal): FleetFacts {
  const zones = new Map(
    goal.groups.flatMap(({ nodes }) => nodes.map((node) => [node.node, zoneOf(node)] as const)),
  );
  const groups = goal.groups.map((group) => ({
    ...group,
    members: new Set([...group.leaving, ...group.nodes.map(({ node }) => node)]),
    zoneCount: new Set(group.nodes.map(zoneOf)).size,
  }));
  return { goal, groups, zones };
}

function planIndex(fleet: FleetFacts, index: IndexState): { plan: IndexPlan; problems: PlanProblem[] } {
  const { goal, groups, zones } = fleet;
  const blocked = blockedShards(index);
  const placement = index.placement.map((nodes) => [...nodes]);
  const moves: ShardMove[] = [];
  const drops: ShardDrop[] = [];
  const problems: PlanProblem[] = [];
  for (const group of groups) {
    const planned = planIndexGroup(goal, group, index, elsewhere(placement, group, zones));
    moves.push(...planned.moves.filter(({ shard }) => !blocked.has(shard)));
    drops.push(...planned.drops.filter(({ shard }) => !blocked.has(shard)));
    for (const [shard, nodes] of planned.placement) {
      if (blocked.has(shard)) continue;
      const others = (placement[shard] ?? []).filter((node) => !group.members.has(node));
      placement[shard] = [...others, ...nodes];
    }
    const shared = crowdedShards(group, planned.placement, zones);
    if (shared.length > 0) {
      problems.push({ kind: "shared-zone", uid: index.uid, group: group.group, shards: shared });
    }
  }
  if (blocked.size > 0) problems.push({ kind: "no-source", uid: index.uid, shards: [...blocked] });
  const plan: IndexPlan = {
    uid: index.uid,
    instance: index.instance,
    moves: moves.sort((a, b) => a.shard - b.shard || compareText(a.to, b.to)),
    drops: drops.sort((a, b) => a.shard - b.shard || compareText(a.from, b.from)),
    repairs: repairs(fleet, index, placement, blocked),
    blocked: [...blocked],
    placement: placement.map((nodes) => nodes.sort(compareText)),
  };
  return { plan, problems };
}

function blockedShards({ placement, inSync }: IndexState): ReadonlySet<ShardId> {
  return new Set(
    allShards(placement.length).filter((shard) => !placement[shard]?.some((node) => inSync.has(node))),
  );
}

function planIndexGroup(
  { rebalance, replicationFactor }: FleetGoal,
  { fill, members, nodes }: GroupFacts,
  index: IndexState,
  zonesElsewhere: ReadonlyMap<number, readonly string[]>,
): GroupPlan {
  const current = new Map(
    index.placement.map((held, shard) => [shard, held.filter((node) => members.has(node))] as const),
  );
  if (nodes.length === 0) return giveUp(current);
  return planGroup({
    instance: index.instance,
    shards: index.placement.length,
    replicationFactor: Math.min(replicationFactor, nodes.length),
    nodes,
    current,
    fill,
    rebalance,
    behind: new Set(index.placement.flat().filter((node) => !index.inSync.has(node))),
    elsewhere: zonesElsewhere,
  });
}

/** Drops whatever a group holds. */
function giveUp(current: ReadonlyMap<number, readonly NodeId[]>): GroupPlan {
  const held = [...current].map(([shard, nodes]) => [shard as ShardId, nodes] as const);
  return {
    placement: new Map(held.map(([shard]) => [shard, []])),
    moves: [],
    drops: held.flatMap(([shard, nodes]) => nodes.map((from) => ({ shard, from }))),
  };
}

/** By shard: the zones where nodes hold it that are of other groups. */
function elsewhere(
  placement: readonly (readonly NodeId[])[],
  { members }: GroupFacts,
  zones: ReadonlyMap<NodeId, string>,
): ReadonlyMap<number, readonly string[]> {
  return new Map(
    placement.map((nodes, shard) => [
      shard,
      nodes.flatMap((node) => {
        const zone = zones.get(node);
        return members.has(node) || zone === undefined ? [] : [zone];
      }),
    ]),
  );
}

/** Shards with two replicas in one zone though the group has a zone without any. */
function crowdedShards(
  { zoneCount }: GroupFacts,
  placement: GroupPlan["placement"],
  zones: ReadonlyMap<NodeId, string>,
): ShardId[] {
  return [...placement]
    .filter(([, holders]) => {
      const used = new Set(holders.map((node) => zones.get(node)));
      return used.size < Math.min(holders.length, zoneCount);
    })
    .map(([shard]) => shard);
}

/** Nodes that stay and whose replica is behind, as long as it keeps a shard that can be copied. */
function repairs(
  { zones }: FleetFacts,
  { inSync, placement: current }: IndexState,
  placement: readonly (readonly NodeId[])[],
  blocked: ReadonlySet<ShardId>,
): NodeId[] {
  const kept = new Set<NodeId>();
  for (const shard of allShards(current.length)) {
    if (blocked.has(shard)) continue;
    for (const node of current[shard] ?? []) {
      if (zones.has(node) && !inSync.has(node) && placement[shard]?.includes(node)) kept.add(node);
    }
  }
  return [...kept].sort(compareText);
}
