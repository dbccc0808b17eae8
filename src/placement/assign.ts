import { CappedLoad, type GroupPlacement, type GroupRequest, TooFewNodesError } from "./capped-load.js";
import { createRendezvous, type PlacementNode, rankNodes } from "./rendezvous.js";

/** The groups of a new index, by their numbers. */
export type AssignRequest = Omit<GroupRequest, "nodes"> & {
  readonly groups: ReadonlyMap<number, readonly PlacementNode[]>;
};

/**
 * Places a new index: in every group each shard on the `replicationFactor` nodes that rendezvous hashing
 * prefers, except that no node takes more than its cap, `ceil(shards × replicationFactor / n) + 1` among n equals.
 * The result depends on the request alone, not on the order of its nodes.
 *
 * @throws TooFewNodesError where a group has fewer nodes than the replication factor
 * @throws RangeError for counts or weights that make no sense
 */
export function assignShards(request: AssignRequest): Map<number, GroupPlacement> {
  const { groups, ...rest } = request;
  const placements = new Map<number, GroupPlacement>();
  for (const [group, nodes] of groups) {
    if (nodes.length < request.replicationFactor) {
      throw new TooFewNodesError(nodes.length, request.replicationFactor, group);
    }
    placements.set(group, assignGroup({ ...rest, nodes }));
  }
  return placements;
}

/** As `assignShards`, for one group. */
export function assignGroup(request: GroupRequest): GroupPlacement {
  const score = createRendezvous(request.instance);
  const load = new CappedLoad(request, score);
  for (const shard of load.shards) {
    for (const { node } of rankNodes(score, shard, load.nodes)) {
      if (load.nodesOf(shard).size === request.replicationFactor) break;
      if (load.load(node) < load.cap(node)) load.add(node, shard);
    }
    // Late shards can meet caps everywhere but on nodes that hold them already.
    while (load.nodesOf(shard).size < request.replicationFactor && load.makeRoom(shard, () => true));
  }
  return load.placement();
}
