import { ReplicaState, type Topology } from "../../gen/miroir/v1/topology_pb.js";
import { awayNodes } from "../nodes/away-nodes.js";

/**
 * Shards of all indexes, with those that lack a copy in sync (degraded) and those without any in sync on a node that answers
 * (unavailable).
 */
export function shardCounts(topology: Topology) {
  const away = awayNodes(topology);
  let shards = 0n;
  let degradedShards = 0n;
  let unavailableShards = 0n;
  for (const index of topology.indexes) {
    const inSync = new Set(
      index.replicas.filter(({ state }) => state === ReplicaState.IN_SYNC).map(({ nodeId }) => nodeId),
    );
    for (const { nodeIds } of index.placement) {
      shards += 1n;
      if (!nodeIds.every((id) => inSync.has(id))) degradedShards += 1n;
      if (!nodeIds.some((id) => inSync.has(id) && !away.has(id))) unavailableShards += 1n;
    }
  }
  return { indexes: BigInt(topology.indexes.length), shards, degradedShards, unavailableShards };
}
