import { clone } from "@bufbuild/protobuf";
import type { Logger } from "pino";
import type { FleetChange, NewNode } from "../../gen/miroir/v1/cluster_pb.js";
import { type Node, NodeState, type Topology, TopologySchema } from "../../gen/miroir/v1/topology_pb.js";
import { enterNode } from "../nodes/enter-nodes.js";
import type { FleetNodes, NodeToAdmit } from "../nodes/fleet-nodes.js";
import type { TopologyManager } from "../topology/topology-manager.js";
import type { ChangeRunner, WantedChange } from "./change-runner.js";
import { FleetChangeRefusedError } from "./fleet-change-error.js";
import { isDown, refuseLosingCopies, replicasOn, requireGroup, requireNode } from "./fleet-checks.js";

/** What changes of nodes work with. */
export interface NodeChangeContext {
  readonly topology: TopologyManager;
  readonly nodes: FleetNodes;
  readonly runner: ChangeRunner;
  readonly logger: Logger;
}

/** How a change is to be made. */
export interface ChangeMode {
  readonly dryRun: boolean;
  /** 0 for as fast as the nodes' queues allow. */
  readonly maxDocumentsPerSecond: number;
}

/**
 * Takes a server into the fleet and fills it. A node that joins already, because an earlier attempt broke off, and one that was drained
 * are taken (back) in as well.
 *
 * @throws FleetChangeRefusedError; NodeSetupError for a server that cannot be a node of the fleet
 */
export async function addNode(
  context: NodeChangeContext,
  wanted: NewNode,
  group: number | undefined,
  mode: ChangeMode,
): Promise<{ readonly change: FleetChange; readonly nodeId: string }> {
  const { nodes, runner, topology } = context;
  if (!mode.dryRun) runner.refuseBusy();
  const current = topology.current();
  const request = nodeToAdmit(wanted, group ?? groupFor(current, wanted.url));
  requireGroup(current, request.group);
  const node = await nodes.inspect(request);
  refuseMember(current, node);
  const change = joining(node.id, mode);
  const planned = await runner.plan(change, withNode(current, node));
  if (mode.dryRun) return { change: planned, nodeId: node.id };
  return { change: await admitAndCarryOut(context, [{ ...request, id: node.id }], change), nodeId: node.id };
}

/** Moves everything off a node. @throws FleetChangeRefusedError */
export async function drainNode(
  { runner, topology }: NodeChangeContext,
  nodeId: string,
  mode: ChangeMode,
): Promise<FleetChange> {
  const current = topology.current();
  refuseGoing(current, nodeId);
  refuseLosingCopies(current, new Set([nodeId]), (id) => isDown(current, id));
  const change: WantedChange = {
    kind: "drain-node",
    title: `drain ${nodeId}`,
    nodeIds: [nodeId],
    maxDocumentsPerSecond: mode.maxDocumentsPerSecond,
    optional: true,
    begin: (draft) => setState(draft, nodeId, NodeState.DRAINING),
  };
  return mode.dryRun ? await runner.plan(change) : await runner.carryOut(change);
}

/**
 * Takes a node out of the fleet, at once where it holds nothing.
 *
 * @throws FleetChangeRefusedError
 */
export async function removeNode(
  { nodes, runner, topology }: NodeChangeContext,
  nodeId: string,
  force: boolean,
  mode: ChangeMode,
): Promise<FleetChange> {
  const current = topology.current();
  refuseGoing(current, nodeId);
  const held = replicasOn(current, nodeId);
  if (held > 0 && !force) {
    throw new FleetChangeRefusedError(
      "not_drained",
      `node ${nodeId} still holds ${held} shard replicas; drain it first, or force its removal, which copies them from others where there are any`,
    );
  }
  refuseLosingCopies(current, new Set([nodeId]), (id) => isDown(current, id));
  const change: WantedChange = {
    kind: "remove-node",
    title: `remove ${nodeId}`,
    nodeIds: [nodeId],
    removeNodeIds: [nodeId],
    maxDocumentsPerSecond: mode.maxDocumentsPerSecond,
    forced: true,
    warnings: held > 0 ? [`the ${held} shard replicas on ${nodeId} are given up`] : [],
    begin: (draft) => setState(draft, nodeId, NodeState.DRAINING),
  };
  if (mode.dryRun) return await runner.plan(change);
  if (held > 0) return await runner.carryOut(change);
  runner.refuseBusy();
  const planned = await runner.plan(change);
  await nodes.forget(nodeId);
  return planned;
}

/**
 * Puts another server in a node's place.
 *
 * @throws FleetChangeRefusedError; NodeSetupError for a server that cannot be a node of the fleet
 */
export async function replaceNode(
  context: NodeChangeContext,
  nodeId: string,
  wanted: NewNode,
  mode: ChangeMode,
): Promise<{ readonly change: FleetChange; readonly nodeId: string }> {
  const { nodes, runner, topology } = context;
  if (!mode.dryRun) runner.refuseBusy();
  const current = topology.current();
  const old = requireNode(current, nodeId);
  refuseLosingCopies(current, new Set([nodeId]), (id) => isDown(current, id));
  const request = nodeToAdmit(
    { ...wanted, zone: wanted.zone || old.zone, weight: wanted.weight || old.weight },
    old.group,
  );
  const node = await nodes.inspect(request);
  refuseMember(current, node);
  const change: WantedChange = {
    kind: "replace-node",
    title: `replace ${nodeId} by ${node.id}`,
    nodeIds: [node.id],
    removeNodeIds: [nodeId],
    maxDocumentsPerSecond: mode.maxDocumentsPerSecond,
    begin: (draft) => {
      setState(draft, node.id, NodeState.JOINING);
      setState(draft, nodeId, NodeState.DRAINING);
    },
  };
  const planned = await runner.plan(change, withNode(current, node));
  if (mode.dryRun) return { change: planned, nodeId: node.id };
  return { change: await admitAndCarryOut(context, [{ ...request, id: node.id }], change), nodeId: node.id };
}

/** Takes servers into the fleet and begins to fill them; where that fails, those that are new leave it again. */
export async function admitAndCarryOut(
  { logger, nodes, runner, topology }: NodeChangeContext,
  requests: readonly (NodeToAdmit & { readonly id: string })[],
  change: WantedChange,
): Promise<FleetChange> {
  const members = new Set(topology.current().nodes.map(({ id }) => id));
  try {
    for (const request of requests) await nodes.admit(request);
    return await runner.carryOut(change);
  } catch (error) {
    const admitted = new Set(topology.current().nodes.map(({ id }) => id));
    for (const { id } of requests) {
      if (members.has(id) || !admitted.has(id)) continue;
      await nodes.forget(id).catch((failure: unknown) => {
        logger.warn({ err: failure, node: id }, "a node that was not to join after all stays in the fleet");
      });
    }
    throw error;
  }
}

/** What {@link FleetNodes} is asked for. A URL has no slash at its end. */
export function nodeToAdmit(
  { id, key, url, weight, zone }: Pick<NewNode, "id" | "key" | "url" | "weight" | "zone">,
  group: number,
): NodeToAdmit {
  return {
    url: url.replace(/\/+$/, ""),
    group,
    ...(id === "" ? {} : { id }),
    ...(key === "" ? {} : { key }),
    ...(zone === "" ? {} : { zone }),
    ...(weight === 0 ? {} : { weight }),
  };
}

/** A topology with a node in it that was only looked at. */
export function withNode(current: Topology, node: Node): Topology {
  const draft = clone(TopologySchema, current);
  if (!draft.nodes.some(({ id }) => id === node.id)) enterNode(draft, node);
  return draft;
}

/** A server that serves already is not added again. */
export function refuseMember({ nodes }: Topology, node: Node): void {
  const member = nodes.find(({ id }) => id === node.id);
  if (member === undefined || member.state === NodeState.JOINING || member.state === NodeState.DRAINING) {
    return;
  }
  throw new FleetChangeRefusedError(
    "already_there",
    `the server at ${member.url} is in the fleet already, as ${member.id}`,
  );
}

/** Sets what is to become of a node. @throws FleetChangeRefusedError (not_found) */
export function setState(draft: Topology, nodeId: string, state: NodeState): void {
  requireNode(draft, nodeId).state = state;
}

function joining(nodeId: string, { maxDocumentsPerSecond }: ChangeMode): WantedChange {
  return {
    kind: "add-node",
    title: `add ${nodeId}`,
    nodeIds: [nodeId],
    maxDocumentsPerSecond,
    begin: (draft) => setState(draft, nodeId, NodeState.JOINING),
  };
}

/** Without being told, a server joins the only group there is. */
function groupFor({ groups, nodes }: Topology, url: string): number {
  const member = nodes.find((node) => node.url === url.replace(/\/+$/, ""));
  if (member !== undefined) return member.group;
  const [only] = groups;
  if (only !== undefined && groups.length === 1) return only.id;
  throw new FleetChangeRefusedError(
    "invalid",
    `the fleet has the groups ${groups.map(({ id }) => id).join(", ")}; say which one the node joins`,
  );
}

/** A node that is to go must leave another one behind in its group. */
function refuseGoing(topology: Topology, nodeId: string): void {
  const { group } = requireNode(topology, nodeId);
  const staying = topology.nodes.filter(
    (node) => node.group === group && node.id !== nodeId && node.state !== NodeState.DRAINING,
  );
  if (staying.length > 0) return;
  const isLast = topology.groups.length === 1;
  throw new FleetChangeRefusedError(
    "last_node",
    `${nodeId} is the last node of group ${group}; add another node first${isLast ? "" : ", or remove the group"}`,
  );
}
