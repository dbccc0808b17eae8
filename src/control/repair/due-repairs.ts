import {
  type Index,
  type Node,
  NodeState,
  ReplicaState,
  type Topology,
} from "../../gen/miroir/v1/topology_pb.js";
import { isMember } from "../copy/shard-roles.js";
import { isAway } from "../nodes/away-nodes.js";
import { indexesOn } from "../nodes/enter-nodes.js";

/** A replica that is behind, on a node that answers. */
export interface StaleReplica {
  readonly instance: string;
  readonly indexUid: string;
  readonly nodeId: string;
}

/**
 * Replicas that a repair could bring back now: stale, on a node that answers, each of their shards with a copy on another node
 * that answers which is in sync, or suspect where that is the last one, and their index without a copy under way.
 */
export function repairableReplicas({ indexes, nodes }: Topology): readonly StaleReplica[] {
  const answering = new Set(nodes.filter(isAnswering).map(({ id }) => id));
  return indexes.flatMap((index) => {
    if (index.copy !== undefined) return [];
    const { instance, uid: indexUid } = index;
    return index.replicas
      .filter(({ state, nodeId }) => state === ReplicaState.STALE && answering.has(nodeId))
      .filter(({ nodeId }) => hasSources(index, nodeId, answering))
      .map(({ nodeId }) => ({ instance, indexUid, nodeId }));
  });
}

function isAnswering(node: Node): boolean {
  return !isAway(node) && !node.evicted;
}

function hasSources({ placement, replicas }: Index, nodeId: string, answering: ReadonlySet<string>): boolean {
  const sources = new Set(
    replicas
      .filter(({ state, nodeId: id }) => isMember(state) && answering.has(id))
      .map(({ nodeId: id }) => id),
  );
  return placement
    .filter(({ nodeIds }) => nodeIds.includes(nodeId))
    .every(({ nodeIds }) => nodeIds.some((id) => sources.has(id)));
}

/** A node that has been away for too long, and whether its group can do without it. */
export interface LostNode {
  readonly node: Node;
  /** Why what it held cannot be made anew on others; empty where it can. */
  readonly obstacle: string;
}

/** Nodes that have been away for longer than the grace and still have replicas to lose. */
export function lostNodes(topology: Topology, graceMs: number, now: number): readonly LostNode[] {
  return topology.nodes
    .filter(({ evicted, state, unreachableSince }) => {
      if (evicted || state === NodeState.DRAINING || unreachableSince === undefined) return false;
      return now - Number(unreachableSince.seconds) * 1_000 >= graceMs;
    })
    .map((node) => ({ node, obstacle: obstacleTo(topology, node) }));
}

function obstacleTo({ nodes, replicationFactor }: Topology, { id, group }: Node): string {
  const left = nodes.filter(
    (node) =>
      node.group === group && node.id !== id && isAnswering(node) && node.state !== NodeState.DRAINING,
  );
  if (left.length >= replicationFactor) return "";
  return `group ${group} has ${left.length} other ${left.length === 1 ? "node" : "nodes"} that answer, fewer than the ${replicationFactor} replicas of a shard`;
}

/** An evicted node that answers again. */
export interface ReturnedNode {
  readonly id: string;
  /** Whether it still has shards, in whatever role: the others did not take all of them over. */
  readonly isUsed: boolean;
}

/** Evicted nodes that answer again. */
export function returnedNodes(topology: Topology): readonly ReturnedNode[] {
  return topology.nodes
    .filter(({ evicted, unreachableSince }) => evicted && unreachableSince === undefined)
    .map(({ id }) => ({ id, isUsed: indexesOn(topology, id).length > 0 }));
}
