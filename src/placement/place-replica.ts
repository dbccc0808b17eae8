import type { CappedLoad, Movable } from "./capped-load.js";
import { byFill } from "./feed.js";
import { compareText, type NodeId, type PlacementNode } from "./rendezvous.js";
import type { ShardId } from "./shard.js";

/** How a missing replica is placed. */
export type PlacingRules = {
  /** Smaller is better among nodes in equally crowded zones; then the shard's own preference counts. */
  readonly want: (node: NodeId) => number;
  /** Which replicas may be passed on to other nodes to make room. */
  readonly movable: Movable;
};

/**
 * Adds one replica of a shard: in the least crowded zone that has a node below its cap, making room there where the least crowded
 * of all is full. Where every cap stands against it, the emptiest node exceeds its cap. False where every node holds the shard.
 */
export function placeReplica(load: CappedLoad, shard: ShardId, rules: PlacingRules): boolean {
  const open = load.nodes.filter(({ node }) => !load.holds(node, shard));
  const best = bestOf(
    load,
    shard,
    open.filter(({ node }) => load.load(node) < load.cap(node)),
    rules,
  );
  const least = load.leastCrowding(shard);
  if (best !== undefined && load.crowding(shard, best.node) === least) {
    load.add(best.node, shard);
    return true;
  }
  const ideal = open.map(({ node }) => node).filter((node) => load.crowding(shard, node) === least);
  if (load.makeRoom(shard, ideal, rules.movable)) return true;
  if (best !== undefined) {
    load.add(best.node, shard);
    return true;
  }
  const all = open.map(({ node }) => node);
  if (load.makeRoom(shard, all, rules.movable)) return true;
  const [emptiest] = byFill(load, all);
  if (emptiest !== undefined) load.add(emptiest, shard);
  return emptiest !== undefined;
}

/** The node in the least crowded zone, among those the one that wants it most, and so on; undefined where there is none. */
function bestOf(
  load: CappedLoad,
  shard: ShardId,
  nodes: readonly PlacementNode[],
  { want }: PlacingRules,
): PlacementNode | undefined {
  let best: Candidate | undefined;
  for (const node of nodes) {
    const crowding = load.crowding(shard, node.node);
    if (best !== undefined && crowding > best.crowding) continue;
    const candidate: Candidate = {
      node,
      crowding,
      want: want(node.node),
      elsewhere: load.crowdingElsewhere(shard, node.node),
      score: load.score(shard, node),
    };
    if (best === undefined || byMerit(candidate, best) < 0) best = candidate;
  }
  return best?.node;
}

type Candidate = {
  readonly node: PlacementNode;
  readonly crowding: number;
  readonly want: number;
  readonly elsewhere: number;
  readonly score: number;
};

function byMerit(a: Candidate, b: Candidate): number {
  return (
    a.crowding - b.crowding ||
    a.want - b.want ||
    a.elsewhere - b.elsewhere ||
    b.score - a.score ||
    compareText(a.node.node, b.node.node)
  );
}
