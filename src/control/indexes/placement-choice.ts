import { type Node, NodeState, ReplicaState, type Topology } from "../../gen/miroir/v1/topology_pb.js";
import { assignGroup } from "../../placement/assign.js";
import { zoneOf } from "../../placement/node-shares.js";
import { placementNodes } from "../cluster/fleet-goal.js";

/** Where a new index goes. */
export interface PlacementChoice {
  /** By shard: node ids over all groups, ascending. */
  readonly placement: readonly (readonly string[])[];
  /** By node id, ascending; `STALE` from birth on nodes that cannot be reached. */
  readonly replicas: ReadonlyMap<string, ReplicaState>;
}

/** No placement gives every shard a copy on a node that can be reached. */
export class NoPlacementError extends Error {
  override readonly name = "NoPlacementError";
}

/**
 * Places a new index in every group over the nodes that can be reached, by their weights and in as many zones as can be; a group that has fewer of them than the
 * replication factor also uses the others, as replicas that are stale from birth and filled later.
 *
 * @param unusable nodes that failed just now, whatever their state says
 * @throws NoPlacementError where some shard would have no copy in sync
 */
export function choosePlacement(
  topology: Topology,
  instance: string,
  unusable: ReadonlySet<string>,
): PlacementChoice {
  const { replicationFactor, defaultShards: shards } = topology;
  const placement: string[][] = Array.from({ length: shards }, () => []);
  const stale = new Set<string>();
  const zones = new Map(placementNodes(topology.nodes).map((node) => [node.node, zoneOf(node)]));
  for (const group of topology.groups) {
    const nodes = topology.nodes.filter((node) => node.group === group.id && isMember(node));
    const reachable = nodes.filter((node) => isReachable(node) && !unusable.has(node.id));
    const enough = reachable.length >= replicationFactor;
    const chosen = enough ? reachable : nodes;
    if (chosen.length === 0) continue;
    if (!enough) {
      for (const node of nodes) if (!reachable.includes(node)) stale.add(node.id);
    }
    const assigned = assignGroup({
      instance,
      shards,
      replicationFactor: Math.min(replicationFactor, chosen.length),
      nodes: placementNodes(chosen),
      elsewhere: new Map(
        placement.map((nodeIds, shard) => [shard, nodeIds.map((id) => zones.get(id) ?? "")] as const),
      ),
    });
    for (const [shard, nodeIds] of assigned) placement[shard]?.push(...nodeIds);
  }
  const lost = placement.filter((nodeIds) => nodeIds.every((id) => stale.has(id))).length;
  if (lost > 0) {
    throw new NoPlacementError(
      `${lost} of ${shards} shards would have no copy on a node that answers; bring nodes back, then try again`,
    );
  }
  const used = [...new Set(placement.flat())].sort();
  return {
    placement: placement.map((nodeIds) => [...nodeIds].sort()),
    replicas: new Map(
      used.map((id) => [id, stale.has(id) ? ReplicaState.STALE : ReplicaState.IN_SYNC] as const),
    ),
  };
}

function isMember(node: Node): boolean {
  return node.state !== NodeState.JOINING && node.state !== NodeState.DRAINING;
}

function isReachable(node: Node): boolean {
  return node.state === NodeState.ACTIVE || node.state === NodeState.SUSPECT;
}
