import { CappedLoad, type GroupPlacement, type GroupRequest, type Movable } from "./capped-load.js";
import { feed, fill, relieve } from "./feed.js";
import { placeReplica } from "./place-replica.js";
import { rebalance } from "./rebalance.js";
import { compareText, createRendezvous, type NodeId } from "./rendezvous.js";
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
  const load = new CappedLoad(request, createRendezvous(request.instance));
  keepStaying(load, request.current);
  dropSurplus(load, request.behind ?? new Set());
  const placedHere = addMissing(load);
  fillNodes(load, request.fill ?? [], placedHere);
  if (request.rebalance === true) rebalance(load);
  return describe(load, request);
}

function keepStaying(load: CappedLoad, current: PlanRequest["current"]): void {
  const staying = new Set(load.nodes.map(({ node }) => node));
  for (const shard of load.shards) {
    for (const node of current.get(shard) ?? []) if (staying.has(node)) load.add(node, shard);
  }
}

/** The replication factor went down: of a shard's nodes those give it up that are behind, stand in crowded zones, or are the fullest. */
function dropSurplus(load: CappedLoad, behind: ReadonlySet<NodeId>): void {
  for (const shard of load.shards) {
    while (load.nodesOf(shard).size > load.request.replicationFactor) {
      const [worst] = [...load.nodesOf(shard)].sort(
        (a, b) =>
          Number(behind.has(b)) - Number(behind.has(a)) ||
          load.crowding(shard, b) - load.crowding(shard, a) ||
          fill(load, b) - fill(load, a) ||
          compareText(b, a),
      );
      if (worst === undefined) break;
      load.remove(worst, shard);
    }
  }
}

/** Places the replicas that are missing. Tells which replicas were placed so, which costs nothing to place elsewhere. */
function addMissing(load: CappedLoad): Movable {
  const before = new Map(load.nodes.map(({ node }) => [node, new Set(load.shardsOn(node))]));
  const movable: Movable = (node, shard) => before.get(node)?.has(shard) !== true;
  const rules = { want: (node: NodeId) => want(load, node), movable };
  for (const shard of load.shards) {
    while (load.nodesOf(shard).size < load.request.replicationFactor && placeReplica(load, shard, rules));
  }
  return movable;
}

/** 0 below the node's share rounded down, 1 below it rounded up, 2 above. */
function want(load: CappedLoad, node: NodeId): number {
  const held = load.load(node);
  const share = load.share(node);
  if (held < Math.floor(share)) return 0;
  return held < Math.ceil(share) ? 1 : 2;
}

/** Fills nodes up to their share rounded down, and above it with what others have above their caps. */
function fillNodes(load: CappedLoad, names: readonly NodeId[], placedHere: Movable): void {
  const filling = new Set(names);
  const givers = load.nodes.map(({ node }) => node).filter((node) => !filling.has(node));
  while (feed(load, names, givers, placedHere) || feed(load, names, givers) || relieve(load, names));
}

function describe(load: CappedLoad, { current, fill: filled = [] }: PlanRequest): GroupPlan {
  const moves: ShardMove[] = [];
  const drops: ShardDrop[] = [];
  const staying = new Set(load.nodes.map(({ node }) => node));
  for (const shard of load.shards) {
    const held = current.get(shard) ?? [];
    const added = [...load.nodesOf(shard)].filter((node) => !held.includes(node)).sort(compareText);
    const gone = held.filter((node) => !load.holds(node, shard)).sort(compareText);
    // What a node that stays gives up is what a filled one takes.
    const froms = firstThose(gone, (node) => staying.has(node));
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
