import type { Logger } from "pino";
import { NodeState, ReplicaState, type Topology } from "../../gen/miroir/v1/topology_pb.js";
import type { NodeMonitor } from "./node-monitor.js";

/** Why a node is suspect that came back. */
export const UNFINISHED = "tasks from before its return are unfinished";
/** Why a node is suspect at the start. */
export const REPLICAS = "some of its replicas are suspect";

/** Nodes with replicas that are suspect. */
export function nodesToSettle(topology: Topology): ReadonlySet<string> {
  return new Set(
    topology.indexes.flatMap((index) =>
      index.replicas.flatMap(({ nodeId, state }) => (state === ReplicaState.SUSPECT ? [nodeId] : [])),
    ),
  );
}

/** A node stays suspect until the writers of its indexes have settled every suspect replica on it. */
export function clearSettledNodes(monitor: NodeMonitor, topology: Topology, logger: Logger): void {
  const unsettled = nodesToSettle(topology);
  for (const node of topology.nodes) {
    if (node.state !== NodeState.SUSPECT || unsettled.has(node.id)) continue;
    monitor
      .clearWhere(node.id, (reason) => reason !== UNFINISHED)
      .catch((error: unknown) => logger.warn({ err: error, node: node.id }, "could not clear suspicions"));
  }
}
