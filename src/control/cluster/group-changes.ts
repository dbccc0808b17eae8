import type { FleetChange, NewNode } from "../../gen/miroir/v1/cluster_pb.js";
import { type Node, NodeState, type Topology } from "../../gen/miroir/v1/topology_pb.js";
import { firstFree } from "../nodes/bootstrap-nodes.js";
import type { NodeToAdmit } from "../nodes/fleet-nodes.js";
import type { WantedChange } from "./change-runner.js";
import { FleetChangeRefusedError } from "./fleet-change-error.js";
import { refuseLosingCopies, requireGroup } from "./fleet-checks.js";
import {
  admitAndCarryOut,
  type ChangeMode,
  type NodeChangeContext,
  nodeToAdmit,
  refuseMember,
  setState,
  withNode,
} from "./node-changes.js";

/**
 * Makes a further replica group of servers that are not in the fleet yet.
 *
 * @throws FleetChangeRefusedError; NodeSetupError for a server that cannot be a node of the fleet, and then none of them is
 */
export async function addGroup(
  context: NodeChangeContext,
  wanted: readonly NewNode[],
  asked: number | undefined,
  mode: ChangeMode,
): Promise<{ readonly change: FleetChange; readonly group: number; readonly nodeIds: readonly string[] }> {
  const { nodes, runner, topology } = context;
  if (!mode.dryRun) runner.refuseBusy();
  const current = topology.current();
  const group = asked ?? firstFreeGroup(current);
  const requests = withIds(current, wanted, group);
  refuseTwins(requests);
  const members: Node[] = [];
  for (const request of requests) {
    const node = await nodes.inspect(request);
    refuseMember(current, node);
    members.push(node);
  }
  const nodeIds = members.map(({ id }) => id);
  const change: WantedChange = {
    kind: "add-group",
    title: `add group ${group} (${nodeIds.join(", ")})`,
    nodeIds,
    maxDocumentsPerSecond: mode.maxDocumentsPerSecond,
    begin: (draft) => {
      for (const id of nodeIds) setState(draft, id, NodeState.JOINING);
    },
  };
  const later = members.reduce(withNode, current);
  refuseSmallGroup(later, group, members.length);
  const planned = await runner.plan(change, later);
  if (mode.dryRun) return { change: planned, group, nodeIds };
  return { change: await admitAndCarryOut(context, requests, change), group, nodeIds };
}

/** Gives a group up, with its nodes. @throws FleetChangeRefusedError */
export async function removeGroup(
  { runner, topology }: NodeChangeContext,
  group: number,
  mode: ChangeMode,
): Promise<FleetChange> {
  const current = topology.current();
  requireGroup(current, group);
  const others = current.nodes.filter((node) => node.group !== group && node.state !== NodeState.DRAINING);
  if (others.length === 0) {
    throw new FleetChangeRefusedError(
      "last_group",
      `group ${group} is the last one; a fleet needs a group. Add another one first`,
    );
  }
  const nodeIds = current.nodes.filter((node) => node.group === group).map(({ id }) => id);
  // Nothing is copied from a group that is given up: the others have every shard.
  refuseLosingCopies(current, new Set(nodeIds), () => true);
  const change: WantedChange = {
    kind: "remove-group",
    title: `remove group ${group} (${nodeIds.join(", ")})`,
    nodeIds,
    removeNodeIds: nodeIds,
    maxDocumentsPerSecond: mode.maxDocumentsPerSecond,
    begin: (draft) => {
      for (const id of nodeIds) setState(draft, id, NodeState.DRAINING);
    },
  };
  return mode.dryRun ? await runner.plan(change) : await runner.carryOut(change);
}

function firstFreeGroup({ groups }: Topology): number {
  const taken = new Set(groups.map(({ id }) => id));
  for (let id = 0; ; id += 1) if (!taken.has(id)) return id;
}

/** Servers that are new get their ids here, since none of them is entered before all were looked at. */
function withIds(
  current: Topology,
  wanted: readonly NewNode[],
  group: number,
): (NodeToAdmit & { readonly id: string })[] {
  const taken = new Set([...current.nodes, ...current.removedNodes].map(({ id }) => id));
  return wanted.map((node) => {
    const request = nodeToAdmit(node, group);
    const member = current.nodes.find(({ url }) => url === request.url);
    const id = request.id ?? member?.id ?? firstFree(taken, 0);
    taken.add(id);
    return { ...request, id };
  });
}

function refuseTwins(requests: readonly NodeToAdmit[]): void {
  const urls = new Set(requests.map(({ url }) => url));
  const ids = new Set(requests.map(({ id }) => id));
  if (urls.size === requests.length && ids.size === requests.length) return;
  throw new FleetChangeRefusedError("invalid", "the same server, or the same id, is named twice");
}

/** A new group that could not hold its replicas serves nobody. */
function refuseSmallGroup({ groups, replicationFactor }: Topology, group: number, count: number): void {
  const size = groups.find(({ id }) => id === group)?.nodeIds.length ?? 0;
  if (size > count) {
    throw new FleetChangeRefusedError(
      "invalid",
      `there is a group ${group} already; add nodes to it one by one`,
    );
  }
  if (count >= replicationFactor) return;
  throw new FleetChangeRefusedError(
    "too_few_nodes",
    `a group needs ${replicationFactor} nodes for ${replicationFactor} replicas of each shard, not ${count}`,
  );
}
