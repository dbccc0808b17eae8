import type { Timestamp } from "@bufbuild/protobuf/wkt";
import {
  type Index,
  type Node,
  type NodeCredentials,
  NodeState,
  type ApiKey as ProtoApiKey,
  ReplicaState as ProtoReplicaState,
  ShardCopyStep,
  type Topology,
} from "../../gen/miroir/v1/topology_pb.js";
import type { NodeAddress } from "../../meilisearch/transport.js";
import { physicalName } from "../../placement/physical-name.js";
import { formatMoment } from "../../tasks/rfc3339.js";
import { isAction } from "../auth/actions.js";
import type { ApiKey } from "../auth/api-key.js";
import { buildCopy, placementOf } from "./build-placement.js";
import type { IndexView, NodeView, ReplicaState, TopologyView } from "./topology-view.js";

/** Keys by node id. */
export type CredentialsByNode = ReadonlyMap<string, NodeCredentials>;

/**
 * Indexes a topology for use. Views of indexes that `topology` shares with an earlier call are used again. Throws where
 * the topology lacks what the proxy needs, with the reason.
 */
export function buildView(topology: Topology, credentials: CredentialsByNode): TopologyView {
  if (topology.epoch === undefined) throw new Error("the topology has no epoch");
  const indexes = topology.indexes.map(viewOf);
  return {
    epoch: topology.epoch,
    nodes: new Map(topology.nodes.map((node) => [node.id, buildNode(node, credentials.get(node.id))])),
    groups: new Map(topology.groups.map((group) => [group.id, [...group.nodeIds]])),
    indexes: new Map(indexes.map((index) => [index.uid, index])),
    byInstance: new Map(indexes.map((index) => [index.instance, index])),
    minInSync: topology.minInSync,
    apiKeys: topology.apiKeys.map(buildKey),
    experimentalFeatures: new Set(topology.experimentalFeatures),
    resources: new Map(topology.resources.map(({ name, json, version }) => [name, { json, version }])),
  };
}

/** Messages are never changed once received, so that a view belongs to its message for good. */
const views = new WeakMap<Index, IndexView>();

function viewOf(index: Index): IndexView {
  const known = views.get(index);
  if (known !== undefined) return known;
  const view = buildIndex(index);
  views.set(index, view);
  return view;
}

function buildIndex(index: Index): IndexView {
  return {
    uid: index.uid,
    instance: index.instance,
    generation: index.generation,
    physicalName: physicalName(index.instance, index.generation),
    primaryKey: index.primaryKey,
    shards: index.shards,
    ...codesOf(index),
    createdAt: timeText(index.createdAt),
    updatedAt: timeText(index.updatedAt),
    settingsVersion: index.settingsVersion,
    settingsChanging: index.settingsChanging,
    settings: parseSettings(index),
    ...placementOf(index),
    copy: buildCopy(index),
    drifted: new Set(index.replicas.flatMap((replica) => (replica.settingsDrifted ? [replica.nodeId] : []))),
    replicas: new Map(index.replicas.map((replica) => [replica.nodeId, replicaState(index, replica.state)])),
    writer:
      index.writer === undefined
        ? undefined
        : { proxyId: index.writer.proxyId, session: index.writer.session },
  };
}

/** What documents' codes are of while the index is cut into more shards; see `ShardCopy.split_shards`. */
function codesOf({ copy, shards }: Index): Pick<IndexView, "codeShards" | "familyShards"> {
  const split = copy?.splitShards ?? 0;
  const isCut = split > 0 && copy?.step === ShardCopyStep.COPYING;
  const isTakenBack = split > 0 && copy?.step === ShardCopyStep.CLEANING;
  return { codeShards: isCut ? split : shards, familyShards: isCut || isTakenBack ? split : shards };
}

/** Actions of a newer version are left out: this one has no route for them. */
function buildKey(key: ProtoApiKey): ApiKey {
  return {
    uid: key.uid,
    name: key.name ?? null,
    description: key.description ?? null,
    actions: key.actions.filter(isAction),
    indexes: [...key.indexes],
    expiresAt: key.expiresAt ?? null,
    createdAt: key.createdAt ?? EPOCH,
    updatedAt: key.updatedAt ?? EPOCH,
  };
}

const EPOCH = { seconds: 0n, nanos: 0 };

function buildNode(node: Node, keys: NodeCredentials | undefined): NodeView {
  return {
    id: node.id,
    group: node.group,
    url: node.url,
    state: nodeState(node),
    writeAddress: address(node, keys?.writeKey),
    adminAddress: address(node, keys?.adminKey),
  };
}

function address(node: Node, key: string | undefined): NodeAddress {
  return key === undefined || key === ""
    ? { id: node.id, url: node.url }
    : { id: node.id, url: node.url, key };
}

function nodeState(node: Node): NodeView["state"] {
  // A node that drains or joins keeps that state while it is away.
  if (node.unreachableSince !== undefined) return "unreachable";
  switch (node.state) {
    case NodeState.ACTIVE:
      return "active";
    case NodeState.JOINING:
      return "joining";
    case NodeState.DRAINING:
      return "draining";
    case NodeState.UNREACHABLE:
      return "unreachable";
    case NodeState.SUSPECT:
      return "suspect";
    case NodeState.UNSPECIFIED:
      throw new Error(`node ${node.id} has no state`);
    default:
      throw new Error(
        `node ${node.id} has the state ${String(node.state)}, which this version does not know`,
      );
  }
}

function replicaState(index: Index, state: ProtoReplicaState): ReplicaState {
  switch (state) {
    case ProtoReplicaState.IN_SYNC:
      return "in_sync";
    case ProtoReplicaState.JOINING:
      return "joining";
    case ProtoReplicaState.STALE:
      return "stale";
    case ProtoReplicaState.SUSPECT:
      return "suspect";
    case ProtoReplicaState.UNSPECIFIED:
      throw new Error(`index ${index.uid}: a replica has no state`);
    default:
      throw new Error(
        `index ${index.uid}: a replica has the state ${String(state)}, which this version does not know`,
      );
  }
}

function parseSettings(index: Index): Readonly<Record<string, unknown>> {
  if (index.settingsJson === "") return {};
  const value: unknown = JSON.parse(index.settingsJson);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error(`index ${index.uid}: the settings are not a JSON object`);
  }
  return value as Record<string, unknown>;
}

function timeText(time: Timestamp | undefined): string {
  return formatMoment(time ?? { seconds: 0n, nanos: 0 });
}
