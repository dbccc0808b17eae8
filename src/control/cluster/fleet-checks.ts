import { type Node, ReplicaState, type Topology } from "../../gen/miroir/v1/topology_pb.js";
import { goalProblems, type PlanProblem } from "../../placement/fleet-plan.js";
import { isAway } from "../nodes/away-nodes.js";
import { FleetChangeRefusedError } from "./fleet-change-error.js";
import { fleetGoal } from "./fleet-goal.js";

/** Shards named in a message at the most. */
const NAMED = 8;

/** The node of a topology. @throws FleetChangeRefusedError (not_found) */
export function requireNode(topology: Topology, nodeId: string): Node {
  const node = topology.nodes.find(({ id }) => id === nodeId);
  if (node !== undefined) return node;
  const ids = topology.nodes.map(({ id }) => id).join(", ");
  throw new FleetChangeRefusedError("not_found", `there is no node ${nodeId}; the fleet has ${ids}`);
}

/** Whether a node does not answer, whatever it is to become. */
export function isDown({ nodes }: Topology, nodeId: string): boolean {
  const node = nodes.find(({ id }) => id === nodeId);
  return node !== undefined && isAway(node);
}

/** @throws FleetChangeRefusedError (not_found) where there is no such group */
export function requireGroup({ groups }: Topology, group: number): void {
  if (groups.some(({ id }) => id === group)) return;
  const ids = groups.map(({ id }) => id).join(", ");
  throw new FleetChangeRefusedError("not_found", `there is no group ${group}; the fleet has ${ids}`);
}

/** Shard replicas on a node, over all indexes. */
export function replicasOn(topology: Topology, nodeId: string): number {
  return topology.indexes.reduce(
    (sum, { placement }) => sum + placement.filter(({ nodeIds }) => nodeIds.includes(nodeId)).length,
    0,
  );
}

/**
 * Refuses to give nodes up that hold the only copy in sync of a shard and cannot hand it over.
 *
 * @param leaving the nodes to give up
 * @param cannotCopy those that nothing can be copied from: all of `leaving` where nothing is to be copied
 * @throws FleetChangeRefusedError (last_copy)
 */
export function refuseLosingCopies(
  topology: Topology,
  leaving: ReadonlySet<string>,
  cannotCopy: (nodeId: string) => boolean,
): void {
  for (const { placement, replicas, uid } of topology.indexes) {
    const inSync = new Set(
      replicas.filter(({ state }) => state === ReplicaState.IN_SYNC).map(({ nodeId }) => nodeId),
    );
    const lost = placement.filter(({ nodeIds }) => {
      const sources = nodeIds.filter((id) => inSync.has(id));
      const remaining = sources.filter((id) => !leaving.has(id));
      return remaining.length === 0 && sources.every(cannotCopy);
    });
    const held = lost.filter(({ nodeIds }) => nodeIds.some((id) => leaving.has(id)));
    if (held.length === 0) continue;
    const shards = listShards(held.map(({ shard }) => shard));
    throw new FleetChangeRefusedError(
      "last_copy",
      `${[...leaving].join(", ")} ${leaving.size === 1 ? "has" : "have"} the only copy in sync of ${shards} of index ${uid}. ` +
        "Bring the node back, or repair the other replicas first.",
    );
  }
}

/**
 * Refuses a change that leaves a group with too few nodes for its replicas. One that had too few before may be helped along.
 *
 * @throws FleetChangeRefusedError (too_few_nodes)
 */
export function refuseTooFewNodes(before: Topology, after: Topology): void {
  const known = goalProblems(fleetGoal(before, false));
  for (const problem of goalProblems(fleetGoal(after, false))) {
    if (problem.kind !== "too-few-nodes") continue;
    const was = known.find((other) => other.kind === "too-few-nodes" && other.group === problem.group);
    const isWorse =
      was?.kind !== "too-few-nodes" ||
      was.nodes > problem.nodes ||
      was.replicationFactor < problem.replicationFactor;
    if (isWorse) throw new FleetChangeRefusedError("too_few_nodes", describeProblem(problem));
  }
}

/** What stands against a plan, for people. */
export function describeProblem(problem: PlanProblem): string {
  switch (problem.kind) {
    case "no-group":
      return "no group is left";
    case "too-few-nodes":
      return (
        `group ${problem.group} would have ${problem.nodes} ${problem.nodes === 1 ? "node" : "nodes"} for ${problem.replicationFactor} replicas of each shard; ` +
        "add a node first, or set a lower replication factor"
      );
    case "no-source":
      return (
        `index ${problem.uid}: ${listShards(problem.shards)} ${problem.shards.length === 1 ? "has" : "have"} no copy in sync, so nothing can be copied; ` +
        "bring the nodes back that hold them"
      );
    case "shared-zone":
      return (
        `index ${problem.uid}: in group ${problem.group} replicas of ${listShards(problem.shards)} would share a zone, though there are others; ` +
        "a rebalance tells them apart"
      );
  }
}

/** Some shards by number, for people. */
export function listShards(shards: readonly number[]): string {
  const named = shards.slice(0, NAMED).join(", ");
  const more = shards.length > NAMED ? ` and ${shards.length - NAMED} more` : "";
  return `${shards.length === 1 ? "shard" : "shards"} ${named}${more}`;
}
