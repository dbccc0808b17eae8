import { type Index, NodeState, ReplicaState, type Topology } from "../../gen/miroir/v1/topology_pb.js";
import {
  type FleetGoal,
  type FleetPlan,
  type GroupGoal,
  hasWork,
  type IndexState,
  planFleet,
} from "../../placement/fleet-plan.js";
import type { PlacementNode } from "../../placement/rendezvous.js";
import { awayNodes } from "../nodes/away-nodes.js";

/** Which of what is to be done is planned. */
export interface PlanScope {
  /** Whether nodes that stay may exchange replicas; not unless given. */
  readonly rebalance?: boolean;
  /** Whether stale replicas are brought back and nothing else is done; not unless given. */
  readonly repairsOnly?: boolean;
  /** Clients' names of indexes; all where there are none. */
  readonly indexUids?: readonly string[];
  /** Nodes whose replicas may be repaired; all where there are none. */
  readonly nodeIds?: readonly string[];
}

/** Nodes as the planner knows them. */
export function placementNodes(nodes: Topology["nodes"]): PlacementNode[] {
  return nodes.map(({ id, weight, zone }) => ({
    node: id,
    ...(weight > 0 ? { weight } : {}),
    ...(zone === "" ? {} : { zone }),
  }));
}

/**
 * What is left to do to a fleet. The goal is in the topology itself: nodes that join are to be filled, nodes that drain are to be
 * emptied, a group of which all nodes drain is to be given up, and every shard is to have its replicas. So a plan can be made anew at
 * any time, by any leader, and is empty once there is nothing to do. Replicas on nodes that are away are brought back when those return,
 * and are part of a plan for repairs alone.
 */
export function planTopology(topology: Topology, scope: PlanScope = {}): FleetPlan {
  const { indexUids = [], nodeIds = [], rebalance = false, repairsOnly = false } = scope;
  const indexes = topology.indexes.filter(({ uid }) => indexUids.length === 0 || indexUids.includes(uid));
  const plan = planFleet(fleetGoal(topology, rebalance), indexes.map(indexState));
  const away = awayNodes(topology);
  const isRepaired = (node: string): boolean =>
    repairsOnly ? nodeIds.length === 0 || nodeIds.includes(node) : !away.has(node);
  const wanted = plan.indexes.map((index) => ({
    ...index,
    ...(repairsOnly ? { moves: [], drops: [] } : {}),
    repairs: index.repairs.filter(isRepaired),
  }));
  return { ...plan, indexes: wanted.filter(hasWork) };
}

/** The goal that a topology has in it. */
export function fleetGoal({ groups, nodes, replicationFactor }: Topology, rebalance: boolean): FleetGoal {
  return {
    replicationFactor,
    rebalance,
    groups: groups.map(({ id }): GroupGoal => {
      const members = nodes.filter(({ group }) => group === id);
      const wanted = members.filter(({ state }) => state !== NodeState.DRAINING);
      return {
        group: id,
        nodes: placementNodes(wanted),
        fill: wanted.filter(({ state }) => state === NodeState.JOINING).map((node) => node.id),
        leaving: members.filter(({ state }) => state === NodeState.DRAINING).map((node) => node.id),
      };
    }),
  };
}

function indexState({ instance, placement, replicas, uid }: Index): IndexState {
  const usable = replicas.filter(
    ({ state }) => state === ReplicaState.IN_SYNC || state === ReplicaState.SUSPECT,
  );
  return {
    uid,
    instance,
    placement: placement.map(({ nodeIds }) => nodeIds),
    inSync: new Set(usable.map(({ nodeId }) => nodeId)),
  };
}
