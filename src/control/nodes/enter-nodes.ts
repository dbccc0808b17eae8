import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Logger } from "pino";
import {
  GroupSchema,
  type Node,
  NodeSchema,
  NodeState,
  RemovedNodeSchema,
  type Topology,
} from "../../gen/miroir/v1/topology_pb.js";
import type { BootstrappedNode, ConfiguredNode } from "./bootstrap-nodes.js";

/** Removed nodes that are remembered; a configuration that names more of them is not one. */
const MAX_REMOVED = 1_000;

/**
 * The nodes to begin with: those of the configuration but for the ones that an operator has taken out of the fleet, and those of the
 * topology that no configuration names, because they were added while the control plane ran.
 *
 * @param nodeKey the key of nodes that name none
 */
export function nodesToBootstrap(
  topology: Topology,
  configured: readonly ConfiguredNode[],
  nodeKey: string | undefined,
  logger: Logger,
): readonly ConfiguredNode[] {
  const isRemoved = (node: ConfiguredNode): boolean =>
    topology.removedNodes.some(({ url }) => url === node.url) &&
    !topology.nodes.some(({ url }) => url === node.url);
  for (const { url } of configured.filter(isRemoved)) {
    logger.warn(
      { url },
      "a configured node was taken out of the fleet and stays out; add it again, or take it out of the configuration",
    );
  }
  const kept = configured.filter((node) => !isRemoved(node));
  const added = topology.nodes.filter(
    ({ id, url }) => !kept.some((node) => node.url === url || node.id === id),
  );
  // By position, so that a node without an id keeps the place that its configuration gives it.
  return [
    ...kept,
    ...added.map(({ id, url, group, key }) => ({ id, url, group, key: key === "" ? nodeKey : key })),
  ];
}

/** Enters nodes where they are new, and brings URL, version, zone, weight and reachability of the others up to date. */
export function enterNodes(draft: Topology, nodes: readonly BootstrappedNode[], now: number): void {
  for (const seen of nodes) {
    const ready = seen.status.kind === "ready";
    let node = draft.nodes.find((candidate) => candidate.id === seen.id);
    if (node === undefined) {
      node = create(NodeSchema, { id: seen.id, group: seen.group, state: NodeState.ACTIVE });
      enterNode(draft, node);
    }
    node.url = seen.url;
    node.zone = seen.zone ?? node.zone;
    node.weight = seen.weight ?? node.weight;
    if (seen.status.kind === "ready") node.meilisearchVersion = seen.status.version;
    if (ready) delete node.unreachableSince;
    else node.unreachableSince ??= timestampFromMs(now);
    if (node.state === NodeState.JOINING || node.state === NodeState.DRAINING) continue;
    node.state = ready ? NodeState.ACTIVE : NodeState.UNREACHABLE;
  }
}

/** Puts a new node and, where it is the first of its group, the group into a draft. */
export function enterNode(draft: Topology, node: Node): void {
  draft.nodes.push(node);
  let group = draft.groups.find((candidate) => candidate.id === node.group);
  if (group === undefined) {
    group = create(GroupSchema, { id: node.group });
    draft.groups.push(group);
  }
  group.nodeIds = [...group.nodeIds, node.id].sort();
  draft.nodes.sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  draft.groups.sort((a, b) => a.id - b.id);
  draft.removedNodes = draft.removedNodes.filter(({ url }) => url !== node.url);
}

/** Takes a node out of a draft, with its group where it was the last one there, and remembers that it was taken out. */
export function takeOutNode(draft: Topology, nodeId: string): void {
  const node = draft.nodes.find(({ id }) => id === nodeId);
  if (node === undefined) return;
  draft.nodes = draft.nodes.filter(({ id }) => id !== nodeId);
  for (const group of draft.groups) group.nodeIds = group.nodeIds.filter((id) => id !== nodeId);
  draft.groups = draft.groups.filter(({ nodeIds }) => nodeIds.length > 0);
  draft.removedNodes = [
    ...draft.removedNodes.filter(({ url }) => url !== node.url),
    create(RemovedNodeSchema, { id: node.id, url: node.url }),
  ].slice(-MAX_REMOVED);
}

/** The indexes that have a replica on a node, or any shard in whatever role. */
export function indexesOn({ indexes }: Topology, nodeId: string): readonly string[] {
  return indexes
    .filter(
      ({ placement, replicas }) =>
        replicas.some((replica) => replica.nodeId === nodeId) ||
        placement.some(({ nodeIds, joiningNodeIds, leavingNodeIds, leftoverNodeIds }) =>
          [nodeIds, joiningNodeIds, leavingNodeIds, leftoverNodeIds].some((ids) => ids.includes(nodeId)),
        ),
    )
    .map(({ uid }) => uid);
}
