import { CappedLoad, type GroupPlacement, type GroupRequest, type Movable } from "./capped-load.js";
import { feed, fill, relieve } from "./feed.js";
import type { Member } from "./group-members.js";
import { placeReplica } from "./place-replica.js";
import { rebalance } from "./rebalance.js";
import { compareText, type NodeId } from "./rendezvous.js";
import type { ShardId } from "./shard.js";

/** A replica to make on `to`. */
export type ShardMove = {
  readonly shard: ShardId;
  /** The node whose replica it replaces, to be deleted after the switch; null for a further replica. */
  readonly from: NodeId | null;
  readonly to: NodeId;
};

/** A replica that nothing replaces. */
export type ShardDrop = { readonly shard: ShardId; readonly from: NodeId };

/** What turns a group's current placement into `placement`. */
export type GroupPlan = {
  readonly placement: GroupPlacement;
  /** By shard, then target. */
  readonly moves: readonly ShardMove[];
  /** Replicas above the replication factor, by shard, then node. */
  readonly drops: readonly ShardDrop[];
};

/** A change of a group: its nodes and counts are those wanted, `current` is what there is. */
export type PlanRequest = GroupRequest & {
  /** Shards that are absent have no replica yet. Nodes that are not among `nodes` are leaving. */
  readonly current: ReadonlyMap<number, readonly NodeId[]>;
  /** Nodes to fill up to their share; none unless given. A node that a plan began with is named until it has its share. */
  readonly fill?: readonly NodeId[];
  /** Whether nodes that stay may exchange replicas until each has its share; not unless given. */
  readonly rebalance?: boolean;
  /** Nodes whose replicas are behind: where there is a choice, theirs are given up. */
  readonly behind?: ReadonlySet<NodeId>;
};

/**
 * Plans the fewest moves that leave every shard with its replicas:
 *
 * - a leaving node's replicas go to the others, and nothing else moves;
 * - a node to fill gets its share, `shards × replicationFactor / n` among n equals, rounded down, from the fullest nodes, and what
 *   others have above their caps;
 * - nothing moves between two nodes that stay, unless a rebalance is asked for, and no replica comes to stand in a more crowded zone.
 *
 * What is already placed is never moved for the sake of a cap alone, so that a node can stay above it until a rebalance.
 * Planned again from anywhere on the way it leads to the same number of replicas everywhere; once there it is empty.
 *
 * @throws TooFewNodesError where the group has fewer nodes than the replication factor
 * @throws RangeError for counts or weights that make no sense
 */
export function planGroup(request: PlanRequest): GroupPlan {
  const load = new CappedLoad(request);
  keepStaying(load, request.current);
  dropSurplus(load, request.behind ?? new Set());
  const placedHere = addMissing(load);
  fillMembers(load, request.fill ?? [], placedHere);
  if (request.rebalance === true) rebalance(load);
  return describe(load, request);
}

function keepStaying(load: CappedLoad, current: PlanRequest["current"]): void {
  for (const shard of load.shards) {
    for (const node of current.get(shard) ?? []) {
      const staying = load.named(node);
      if (staying !== undefined) load.add(staying, shard);
    }
  }
}

/** The replication factor went down: of a shard's holders those give it up that are behind, stand in crowded zones, or are the fullest. */
function dropSurplus(load: CappedLoad, behind: ReadonlySet<NodeId>): void {
  for (const shard of load.shards) {
    while (load.holdersOf(shard).length > load.request.replicationFactor) {
      const [worst] = load
        .holdersOf(shard)
        .toSorted(
          (a, b) =>
            Number(behind.has(b.node)) - Number(behind.has(a.node)) ||
            load.crowding(shard, b) - load.crowding(shard, a) ||
            fill(b) - fill(a) ||
            compareText(b.node, a.node),
        );
      if (worst === undefined) break;
      load.remove(worst, shard);
    }
  }
}

/** Places the replicas that are missing. Tells which replicas were placed so, which costs nothing to place elsewhere. */
function addMissing(load: CappedLoad): Movable {
  const before = load.shards.map((shard) => load.holdersOf(shard));
  const movable: Movable = (member, shard) => before[shard]?.includes(member) !== true;
  const rules = { want, movable };
  for (const shard of load.shards) {
    while (load.holdersOf(shard).length < load.request.replicationFactor && placeReplica(load, shard, rules));
  }
  return movable;
}

/** 0 below the member's share rounded down, 1 below it rounded up, 2 above. */
function want({ ceil, floor, shards }: Member): number {
  if (shards.length < floor) return 0;
  return shards.length < ceil ? 1 : 2;
}

/** Fills members up to their share rounded down, and above it with what others have above their caps. */
function fillMembers(load: CappedLoad, names: readonly NodeId[], placedHere: Movable): void {
  if (names.length === 0) return;
  const takers = names.flatMap((node) => load.named(node) ?? []);
  const filling = new Set(takers);
  const givers = load.members.filter((member) => !filling.has(member));
  while (feed(load, takers, givers, placedHere) || feed(load, takers, givers) || relieve(load, takers));
}

function describe(load: CappedLoad, { current, fill: filled = [] }: PlanRequest): GroupPlan {
  const moves: ShardMove[] = [];
  const drops: ShardDrop[] = [];
  for (const shard of load.shards) {
    const held = current.get(shard) ?? [];
    const kept = load.holdersOf(shard).map(({ node }) => node);
    const added = kept.filter((node) => !held.includes(node)).sort(compareText);
    const gone = held.filter((node) => !kept.includes(node)).sort(compareText);
    // What a node that stays gives up is what a filled one takes.
    const froms = firstThose(gone, (node) => load.named(node) !== undefined);
    const tos = firstThose(added, (node) => filled.includes(node));
    const pairs = tos.map((to, i) => ({ shard, from: froms[i] ?? null, to }));
    moves.push(...pairs.sort((a, b) => compareText(a.to, b.to)));
    drops.push(
      ...froms
        .slice(tos.length)
        .sort(compareText)
        .map((from) => ({ shard, from })),
    );
  }
  return { placement: load.placement(), moves, drops };
}

function firstThose(nodes: readonly NodeId[], first: (node: NodeId) => boolean): NodeId[] {
  return [...nodes.filter(first), ...nodes.filter((node) => !first(node))];
}
