import { type Node, NodeState, type Topology } from "../../gen/miroir/v1/topology_pb.js";
import type { FleetPlan } from "../../placement/fleet-plan.js";
import { planTopology } from "../cluster/fleet-goal.js";
import type { FleetBefore, FleetWorkflow } from "./stored-workflow.js";

/** What is left to do for a workflow, from the topology as it is. */
export function workLeft(
  topology: Topology,
  { indexUids, kind, nodeIds, rebalance }: FleetWorkflow,
): FleetPlan {
  return planTopology(
    topology,
    kind === "repair" ? { repairsOnly: true, indexUids, nodeIds } : { rebalance, indexUids },
  );
}

/** What a workflow that begins now would have to put back. */
export function fleetBefore(topology: Topology, nodeIds: readonly string[]): FleetBefore {
  const about = topology.nodes.filter(({ id }) => nodeIds.includes(id));
  return {
    nodes: Object.fromEntries(about.map(({ id, evicted, state }) => [id, { evicted, state }])),
    replicationFactor: topology.replicationFactor,
  };
}

/** Ends a workflow that has done everything: nodes that joined are nodes like the others. */
export function finishGoal(draft: Topology, { nodeIds }: FleetWorkflow): void {
  for (const node of draft.nodes) {
    if (nodeIds.includes(node.id) && node.state === NodeState.JOINING) node.state = ordinaryState(node);
  }
}

/**
 * Gives a workflow's goal up: nodes are what they were, and those that were to join are ordinary ones where they hold something by now.
 * Returns the ids of those that hold nothing, which leave the fleet again.
 */
export function takeGoalBack(draft: Topology, workflow: FleetWorkflow): readonly string[] {
  const { before, nodeIds, removeNodeIds, kind } = workflow;
  const unused: string[] = [];
  for (const node of draft.nodes) {
    if (!nodeIds.includes(node.id) && !removeNodeIds.includes(node.id)) continue;
    const was = before.nodes[node.id];
    if (node.state === NodeState.JOINING) {
      if (holdsReplicas(draft, node.id)) node.state = ordinaryState(node);
      else unused.push(node.id);
    } else if (node.state === NodeState.DRAINING && was?.state !== NodeState.DRAINING) {
      node.state = was?.state === NodeState.SUSPECT ? NodeState.SUSPECT : ordinaryState(node);
      node.evicted = was?.evicted ?? false;
    }
  }
  if (kind === "set-replication") draft.replicationFactor = before.replicationFactor;
  return unused;
}

/** Whether any index has a replica on the node. */
export function holdsReplicas({ indexes }: Topology, nodeId: string): boolean {
  return indexes.some(({ replicas }) => replicas.some((replica) => replica.nodeId === nodeId));
}

/** What a node is that neither joins nor drains. */
function ordinaryState({ unreachableSince }: Node): NodeState {
  return unreachableSince === undefined ? NodeState.ACTIVE : NodeState.UNREACHABLE;
}
