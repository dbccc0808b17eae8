import { CappedLoad, type GroupPlacement, type GroupRequest } from "./capped-load.js";
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
  /**
   * Nodes to fill up to their share. By default those that hold nothing; name a node here to go on filling
   * one that an earlier plan began with.
   */
  readonly fill?: readonly NodeId[];
};

const anyReplica = () => true;

/**
 * Plans the fewest moves that leave every shard with its replicas and no node above its cap:
 *
 * - a leaving node's replicas go to the others, and nothing else moves;
 * - a new node is filled to its share, `shards × replicationFactor / n` among n equals, rounded down, from the
 *   fullest nodes, and nothing moves between two nodes that stay;
 * - only where a cap would be broken otherwise does a replica move between two nodes that stay.
 *
 * @throws TooFewNodesError where the group has fewer nodes than the replication factor
 * @throws RangeError for counts or weights that make no sense
 */
export function planGroup(request: PlanRequest): GroupPlan {
  const load = new CappedLoad(request, createRendezvous(request.instance));
  keepStaying(load, request.current);
  const fill = request.fill ?? load.nodes.map(({ node }) => node).filter((node) => load.load(node) === 0);
  const before = snapshot(load);
  dropSurplus(load);
  addMissing(load, before);
  fillNodes(load, fill);
  lowerToCaps(load, fill);
  return describe(load, request.current);
}

function keepStaying(load: CappedLoad, current: PlanRequest["current"]): void {
  const staying = new Set(load.nodes.map(({ node }) => node));
  for (const shard of load.shards) {
    for (const node of current.get(shard) ?? []) if (staying.has(node)) load.add(node, shard);
  }
}

/** The replication factor went down: the fullest nodes give up what they hold too much of. */
function dropSurplus(load: CappedLoad): void {
  for (const shard of load.shards) {
    while (load.nodesOf(shard).size > load.request.replicationFactor) {
      const fullest = byFill(load, [...load.nodesOf(shard)]).at(-1);
      if (fullest === undefined) break;
      load.remove(fullest, shard);
    }
  }
}

function addMissing(load: CappedLoad, before: ReadonlyMap<NodeId, ReadonlySet<ShardId>>): void {
  const placedHere = (node: NodeId, shard: ShardId) => before.get(node)?.has(shard) !== true;
  for (const shard of load.shards) {
    while (load.nodesOf(shard).size < load.request.replicationFactor) {
      const target = targetFor(load, shard);
      if (target !== undefined) load.add(target, shard);
      else if (!load.makeRoom(shard, placedHere) && !load.makeRoom(shard, anyReplica)) break;
    }
  }
}

/** The node that a missing replica goes to: those that want their share first, then by preference. */
function targetFor(load: CappedLoad, shard: ShardId): NodeId | undefined {
  const ranked = load.nodes
    .filter(({ node }) => !load.holds(node, shard) && load.load(node) < load.cap(node))
    .map((node) => ({ node: node.node, want: want(load, node.node), score: load.score(shard, node) }))
    .sort((a, b) => a.want - b.want || b.score - a.score || compareText(a.node, b.node));
  return ranked[0]?.node;
}

/** 0 below the node's share rounded down, 1 below it rounded up, 2 above. */
function want(load: CappedLoad, node: NodeId): number {
  const held = load.load(node);
  const share = load.share(node);
  if (held < Math.floor(share)) return 0;
  return held < Math.ceil(share) ? 1 : 2;
}

function fillNodes(load: CappedLoad, fill: readonly NodeId[]): void {
  const filling = new Set(fill);
  const givers = load.nodes.map(({ node }) => node).filter((node) => !filling.has(node));
  for (;;) {
    const hungry = byFill(
      load,
      fill.filter((node) => load.load(node) < Math.floor(load.share(node))),
    );
    const moved = hungry.some((to) => {
      // A node at its own share gives nothing: that would only move the hunger.
      const givesTo = givers.filter((node) => load.load(node) > Math.floor(load.share(node)));
      return byFill(load, givesTo)
        .reverse()
        .some((from) => pass(load, from, to));
    });
    if (!moved) return;
  }
}

function lowerToCaps(load: CappedLoad, fill: readonly NodeId[]): void {
  for (const { node } of load.nodes) {
    while (load.load(node) > load.cap(node)) {
      const roomy = load.nodes
        .map((other) => other.node)
        .filter((other) => load.load(other) < load.cap(other));
      const emptiest = byFill(load, roomy);
      // What must move anyway goes to the new nodes, so that those that stay exchange nothing.
      const targets = [
        ...emptiest.filter((other) => fill.includes(other)),
        ...emptiest.filter((other) => !fill.includes(other)),
      ];
      if (!targets.some((to) => pass(load, node, to)) && !passThrough(load, node)) break;
    }
  }
}

/** Takes a replica off `node` where no node below its cap can take one directly. */
function passThrough(load: CappedLoad, node: NodeId): boolean {
  return [...load.shardsOn(node)].some((shard) => {
    load.remove(node, shard);
    // `node` itself is still at or above its cap, so the chain ends elsewhere.
    if (load.makeRoom(shard, (holder) => holder !== node)) return true;
    load.add(node, shard);
    return false;
  });
}

function pass(load: CappedLoad, from: NodeId, to: NodeId): boolean {
  const shard = load.bestToPass(from, to, undefined, anyReplica);
  if (shard === undefined) return false;
  load.remove(from, shard);
  load.add(to, shard);
  return true;
}

/** Nodes by how much of their share they hold, the emptiest first. */
function byFill(load: CappedLoad, nodes: readonly NodeId[]): NodeId[] {
  const filled = (node: NodeId) => load.load(node) / Math.max(load.share(node), 1e-9);
  return [...nodes].sort((a, b) => filled(a) - filled(b) || compareText(a, b));
}

function snapshot(load: CappedLoad): Map<NodeId, ReadonlySet<ShardId>> {
  return new Map(load.nodes.map(({ node }) => [node, new Set(load.shardsOn(node))]));
}

function describe(load: CappedLoad, current: PlanRequest["current"]): GroupPlan {
  const moves: ShardMove[] = [];
  const drops: ShardDrop[] = [];
  for (const shard of load.shards) {
    const held = current.get(shard) ?? [];
    const added = [...load.nodesOf(shard)].filter((node) => !held.includes(node)).sort(compareText);
    const gone = held.filter((node) => !load.holds(node, shard)).sort(compareText);
    for (const [i, to] of added.entries()) moves.push({ shard, from: gone[i] ?? null, to });
    for (const from of gone.slice(added.length)) drops.push({ shard, from });
  }
  return { placement: load.placement(), moves, drops };
}
