import { create } from "@bufbuild/protobuf";
import type { Logger } from "pino";
import { type Node, NodeSchema, NodeState, type Topology } from "../../gen/miroir/v1/topology_pb.js";
import { MeilisearchError } from "../../meilisearch/errors.js";
import { type NodeTransport, NodeUnavailableError } from "../../meilisearch/transport.js";
import type { World } from "../../runtime/world.js";
import type { Auditor } from "../audit/auditor.js";
import { cancelCopy, targetsOf } from "../copy/copy-steps.js";
import type { TopologyManager } from "../topology/topology-manager.js";
import { firstFree } from "./bootstrap-nodes.js";
import { enterNode, indexesOn, takeOutNode } from "./enter-nodes.js";
import { NodeSetupError } from "./errors.js";
import { type FleetNodes, NodeInUseError, type NodeToAdmit } from "./fleet-nodes.js";
import { deletePhysicalIndexes, refuseStrangeIndexes } from "./node-contents.js";
import type { NodeDirectory } from "./node-directory.js";
import { deleteNodeKeys, type NodeOrigin } from "./node-keys.js";
import type { NodeMonitor } from "./node-monitor.js";
import { type NodeVisit, refuseForeign, unreachable, visitNode } from "./node-visit.js";
import { refuseSameServers, sameServer, type VisitedNode } from "./same-server.js";

/** What {@link createNodeFleet} works with. */
export interface NodeFleetOptions {
  readonly world: World;
  readonly transport: NodeTransport;
  readonly topology: TopologyManager;
  readonly directory: NodeDirectory;
  readonly monitor: NodeMonitor;
  readonly auditor: Auditor;
  readonly logger: Logger;
  /** The key of nodes that name none. */
  readonly nodeKey: string | undefined;
  /** Brings a node's experimental features where those of the fleet are. */
  readonly switchFeatures: (nodeId: string) => Promise<void>;
}

/** {@link FleetNodes} for a control plane that is running; one change at a time. */
export function createNodeFleet(options: NodeFleetOptions): FleetNodes {
  let last: Promise<unknown> = Promise.resolve();
  const alone = <T>(work: () => Promise<T>): Promise<T> => {
    const run = last.then(work);
    last = run.catch(() => undefined);
    return run;
  };
  return {
    inspect: (wanted) =>
      alone(async () => {
        const found = await look(options, wanted);
        if (found.kind === "new") await withdraw(options, found.visit);
        return found.node;
      }),
    admit: (wanted) => alone(() => admit(options, wanted)),
    forget: (nodeId) => alone(() => forget(options, nodeId)),
  };
}

type Found =
  | { readonly kind: "member"; readonly node: Node }
  | { readonly kind: "new"; readonly node: Node; readonly visit: NodeVisit };

/** For how long a node is asked again that stops to answer while servers are told apart. */
const PATIENCE_MS = 2_000;

/** What a server would be in the fleet. Miroir's keys and mark are made there, and taken back where it is refused. */
async function look(options: NodeFleetOptions, wanted: NodeToAdmit): Promise<Found> {
  const { topology, transport, world, directory, nodeKey } = options;
  const current = topology.current();
  const member = current.nodes.find(({ url }) => url === wanted.url);
  if (member !== undefined && (wanted.id ?? member.id) === member.id && wanted.group === member.group) {
    const { zone = member.zone, weight = member.weight } = wanted;
    return { kind: "member", node: { ...member, zone, weight, key: "" } };
  }
  const id = member === undefined ? idFor(current, wanted) : (wanted.id ?? member.id);
  if (member !== undefined) throw sameServer(id, `${member.id} at ${member.url}`, wanted.url);
  const { url } = wanted;
  const clusterId = current.epoch?.clusterId ?? "";
  const judge = (origin: NodeOrigin): void => {
    refuseForeign({ id, url }, origin);
    const known = current.nodes.find((node) => node.id === origin.markedAs);
    if (known !== undefined) throw sameServer(id, `${known.id} at ${known.url}`, url);
  };
  const key = wanted.key ?? nodeKey;
  const visit = await visitNode(transport, clusterId, { id, url, key, judge }).catch((error: unknown) => {
    throw error instanceof NodeUnavailableError ? unreachable({ id, url }, error) : error;
  });
  try {
    await refuseStrangeIndexes(visit.client, { id, url }, current, visit.markedAs !== undefined);
    const others = visit.isKeyed ? [] : openNodes(directory);
    const silent = await refuseSameServers(world, clusterId, [...others, { id, url, visit }], PATIENCE_MS);
    for (const [node, error] of silent)
      throw unreachable({ id: node, url: directory.get(node)?.url ?? url }, error);
  } catch (error) {
    await withdraw(options, visit);
    throw error;
  }
  const node = create(NodeSchema, {
    id,
    url,
    group: wanted.group,
    state: NodeState.JOINING,
    meilisearchVersion: visit.version,
    zone: wanted.zone ?? "",
    weight: wanted.weight ?? 0,
  });
  return { kind: "new", node, visit };
}

/** Nodes without keys, which say nothing of who they are. */
function openNodes(directory: NodeDirectory): readonly VisitedNode[] {
  return directory.ids().flatMap((id) => {
    const access = directory.get(id);
    return access?.keys?.adminKey === ""
      ? [{ id, url: access.url, visit: { client: directory.admin(id), isKeyed: false } }]
      : [];
  });
}

/** Leaves a server that was only looked at as it was. */
async function withdraw({ topology }: NodeFleetOptions, visit: NodeVisit): Promise<void> {
  if (!visit.isKeyed || visit.markedAs !== undefined) return;
  await deleteNodeKeys(visit.client, topology.current().epoch?.clusterId ?? "");
}

function idFor({ nodes, removedNodes }: Topology, { id, url }: NodeToAdmit): string {
  if (id === undefined) {
    const taken = [...nodes, ...removedNodes.filter((removed) => removed.url !== url)];
    return firstFree(new Set(taken.map((node) => node.id)), 0);
  }
  const other = nodes.find((node) => node.id === id);
  if (other === undefined) return id;
  throw new NodeSetupError(
    "other_node",
    id,
    `node ${id} of this fleet is at ${other.url}; give the new one another id, or replace the old one`,
  );
}

async function admit(options: NodeFleetOptions, wanted: NodeToAdmit): Promise<Node> {
  const { topology, directory, monitor, auditor, logger } = options;
  const found = await look(options, wanted);
  const { id } = found.node;
  if (found.kind === "member") {
    await topology.change(`node ${id} has another zone or weight`, (draft) => {
      const node = draft.nodes.find((candidate) => candidate.id === id);
      if (node === undefined) return;
      node.zone = found.node.zone;
      node.weight = found.node.weight;
    });
    return found.node;
  }
  const { node, visit } = found;
  await deletePhysicalIndexes(options.world, visit.client);
  const configuredKey = wanted.key ?? options.nodeKey;
  directory.put({ id, url: node.url, configuredKey, keys: visit.keys });
  try {
    await options.switchFeatures(id);
    await auditor.start([id]);
    await topology.change(`node ${id} joins`, (draft) => {
      enterNode(draft, create(NodeSchema, { ...node, key: wanted.key ?? "" }));
    });
  } catch (error) {
    await auditor.remove(id);
    directory.remove(id);
    throw error;
  }
  monitor.start([id]);
  logger.info({ node: id, url: node.url, group: node.group, zone: node.zone }, "a node joins the fleet");
  return node;
}

async function forget(options: NodeFleetOptions, nodeId: string): Promise<void> {
  const { topology, directory, monitor, auditor, logger } = options;
  await topology.change(`node ${nodeId} leaves`, (draft) => {
    const used = indexesOn(draft, nodeId);
    if (used.length > 0) throw new NodeInUseError(nodeId, used);
    // What was planned to it and has not begun never would.
    for (const index of draft.indexes) {
      if (index.copy !== undefined && targetsOf(index.copy).includes(nodeId))
        cancelCopy(index, index.copy.id);
    }
    takeOutNode(draft, nodeId);
  });
  await monitor.remove(nodeId);
  await auditor.remove(nodeId);
  try {
    if (directory.get(nodeId) !== undefined) await leaveClean(options, nodeId);
  } catch (error) {
    if (!(error instanceof NodeUnavailableError) && !(error instanceof MeilisearchError)) throw error;
    logger.warn(
      { err: error, node: nodeId },
      "a node that leaves does not answer; Miroir's indexes and keys stay on it",
    );
  }
  directory.remove(nodeId);
  logger.info({ node: nodeId }, "a node has left the fleet");
}

/** Leaves nothing of Miroir's behind on a node that answers. */
async function leaveClean({ directory, topology, world }: NodeFleetOptions, nodeId: string): Promise<void> {
  await deletePhysicalIndexes(world, directory.admin(nodeId));
  if (directory.get(nodeId)?.keys?.adminKey === "") return;
  await deleteNodeKeys(directory.keyManager(nodeId), topology.current().epoch?.clusterId ?? "");
}
