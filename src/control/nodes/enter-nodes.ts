import { create } from "@bufbuild/protobuf";
import type { Logger } from "pino";
import { GroupSchema, NodeSchema, NodeState, type Topology } from "../../gen/miroir/v1/topology_pb.js";
import type { BootstrappedNode } from "./bootstrap-nodes.js";

/** Enters nodes where they are new, and brings URL, version and reachability of the others up to date. */
export function enterNodes(draft: Topology, nodes: readonly BootstrappedNode[]): void {
  for (const seen of nodes) {
    const ready = seen.status.kind === "ready";
    let node = draft.nodes.find((candidate) => candidate.id === seen.id);
    if (node === undefined) {
      node = create(NodeSchema, { id: seen.id, group: seen.group, state: NodeState.ACTIVE });
      draft.nodes.push(node);
      let group = draft.groups.find((candidate) => candidate.id === seen.group);
      if (group === undefined) {
        group = create(GroupSchema, { id: seen.group });
        draft.groups.push(group);
      }
      group.nodeIds = [...group.nodeIds, seen.id].sort();
    }
    node.url = seen.url;
    if (seen.status.kind === "ready") node.meilisearchVersion = seen.status.version;
    if (node.state === NodeState.JOINING || node.state === NodeState.DRAINING) continue;
    node.state = ready ? NodeState.ACTIVE : NodeState.UNREACHABLE;
  }
  for (const node of draft.nodes) {
    if (!nodes.some((seen) => seen.id === node.id)) node.state = NodeState.UNREACHABLE;
  }
  draft.nodes.sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  draft.groups.sort((a, b) => a.id - b.id);
}

/** Says which nodes are in the topology and have left the configuration: nobody has a key for them. */
export function warnOfUnconfigured(
  topology: Topology,
  nodes: readonly BootstrappedNode[],
  logger: Logger,
): void {
  for (const node of topology.nodes) {
    if (nodes.some((seen) => seen.id === node.id)) continue;
    logger.warn(
      { node: node.id, url: node.url },
      "node is in the topology but not configured, so it counts as unreachable; configure it again",
    );
  }
}
