import {
  type Index,
  type Node,
  NodeState,
  ReplicaState,
  type Topology,
} from "../../gen/miroir/v1/topology_pb.js";
import { parseInstance } from "../../placement/physical-name.js";
import { copyFaults, copySuccessionFaults } from "../copy/copy-consistency.js";
import { isMember, SHARD_ROLES } from "../copy/shard-roles.js";

const MAX_SHARDS = 4096;
const INDEX_UID = /^[a-zA-Z0-9_-]{1,512}$/;

/** A topology failed its own consistency check, and was neither stored nor published. */
export class TopologyInconsistentError extends Error {
  override readonly name = "TopologyInconsistentError";
  /** One sentence for each fault, at most 20. */
  readonly faults: readonly string[];

  constructor(reason: string, faults: readonly string[]) {
    super(`the topology change "${reason}" was refused: ${faults.slice(0, 20).join("; ")}`);
    this.faults = faults.slice(0, 20);
  }
}

/**
 * What is wrong with `next`, by itself and as the successor of `previous`; empty where nothing is.
 *
 * By itself: nodes, groups, placements and replicas refer to each other without gaps, every shard is placed
 * and keeps a serving copy that is in sync (or in sync but suspect), lists are in order, and a copy's step is what the roles of
 * nodes show. An index that is the very object that `previous` holds was looked at then. As a successor: the number of shards of an instance changes by a split alone, generations and settings versions never go
 * back, a change of an index's writer or of what its readers may rely on raises its generation (invariant 5), and copies go from
 * step to step (invariant 9).
 */
export function topologyFaults(previous: Topology | undefined, next: Topology): string[] {
  const faults: string[] = [];
  if (next.replicationFactor < 1) faults.push("the replication factor is below 1");
  if (next.defaultShards < 1 || next.defaultShards > MAX_SHARDS) {
    faults.push(`the default number of shards, ${next.defaultShards}, is outside 1 to ${MAX_SHARDS}`);
  }
  const nodes = checkNodes(next, faults);
  const before = new Map(previous?.indexes.map((index) => [index.instance, index]));
  const keepsNodes = previous?.nodes.every(({ id }) => nodes.has(id)) ?? false;
  const instances = new Set<string>();
  let formerUid: string | undefined;
  for (const index of next.indexes) {
    if (formerUid !== undefined && index.uid <= formerUid) {
      faults.push(`index ${index.uid} follows ${formerUid}, which is not in ascending order`);
    }
    formerUid = index.uid;
    if (instances.has(index.instance)) faults.push(`instance ${index.instance} occurs twice`);
    instances.add(index.instance);
    const former = before.get(index.instance);
    // What was found right with fewer nodes, or the same ones, still is.
    if (former === index && keepsNodes) continue;
    checkIndex(index, former, nodes, faults);
    if (former !== undefined) checkSuccessor(former, index, faults);
  }
  return faults;
}

function checkNodes(topology: Topology, faults: string[]): ReadonlyMap<string, Node> {
  const nodes = new Map<string, Node>();
  const urls = new Set<string>();
  for (const node of topology.nodes) {
    if (node.id === "") faults.push("a node has no id");
    if (nodes.has(node.id)) faults.push(`node ${node.id} occurs twice`);
    nodes.set(node.id, node);
    if (!URL.canParse(node.url) || node.url.endsWith("/")) {
      faults.push(`node ${node.id}: "${node.url}" is not a base URL without a trailing slash`);
    }
    if (urls.has(node.url)) faults.push(`node ${node.id}: another node has the URL ${node.url}`);
    urls.add(node.url);
    if (node.state === NodeState.UNSPECIFIED) faults.push(`node ${node.id} has no state`);
  }
  const grouped = new Set<string>();
  const groups = new Set<number>();
  for (const group of topology.groups) {
    if (groups.has(group.id)) faults.push(`group ${group.id} occurs twice`);
    groups.add(group.id);
    for (const id of group.nodeIds) {
      const node = nodes.get(id);
      if (node === undefined) faults.push(`group ${group.id} holds ${id}, which is no node`);
      else if (node.group !== group.id)
        faults.push(`group ${group.id} holds ${id}, which is of group ${node.group}`);
      if (grouped.has(id)) faults.push(`node ${id} is listed in groups twice`);
      grouped.add(id);
    }
  }
  for (const id of nodes.keys()) if (!grouped.has(id)) faults.push(`node ${id} is in no group`);
  return nodes;
}

function checkIndex(
  index: Index,
  former: Index | undefined,
  nodes: ReadonlyMap<string, Node>,
  faults: string[],
): void {
  const name = `index ${index.uid}`;
  if (!INDEX_UID.test(index.uid)) faults.push(`${name}: the uid is not one that Meilisearch accepts`);
  if (parseInstance(index.instance) === undefined) {
    faults.push(`${name}: the instance "${index.instance}" is not 8 letters of base 32`);
  }
  if (index.shards < 1 || index.shards > MAX_SHARDS) {
    faults.push(`${name}: ${index.shards} shards are outside 1 to ${MAX_SHARDS}`);
  }
  if (index.settingsJson !== former?.settingsJson && !isJsonObject(index.settingsJson)) {
    faults.push(`${name}: the settings are not a JSON object`);
  }
  if (index.writer !== undefined && (index.writer.proxyId === "" || index.writer.session === "")) {
    faults.push(`${name}: the writer lacks its id or session`);
  }
  const states = new Map<string, ReplicaState>();
  for (const replica of index.replicas) {
    if (states.has(replica.nodeId)) faults.push(`${name}: replica ${replica.nodeId} occurs twice`);
    if (!nodes.has(replica.nodeId))
      faults.push(`${name}: a replica is on ${replica.nodeId}, which is no node`);
    if (replica.state === ReplicaState.UNSPECIFIED) {
      faults.push(`${name}: replica ${replica.nodeId} has no state`);
    }
    states.set(replica.nodeId, replica.state);
  }
  checkPlacement(index, states, faults);
}

function checkPlacement(index: Index, states: ReadonlyMap<string, ReplicaState>, faults: string[]): void {
  const name = `index ${index.uid}`;
  if (index.placement.length !== index.shards) {
    faults.push(`${name}: ${index.placement.length} of ${index.shards} shards are placed`);
  }
  const used = new Set<string>();
  for (const [position, placement] of index.placement.entries()) {
    const { shard, nodeIds } = placement;
    if (shard !== position) faults.push(`${name}: shard ${shard} is placed where ${position} is due`);
    for (const role of SHARD_ROLES) for (const id of placement[role]) used.add(id);
    const whole = nodeIds.some((id) => isMember(states.get(id)));
    if (nodeIds.length === 0) faults.push(`${name}: shard ${shard} is placed nowhere`);
    else if (!whole) faults.push(`${name}: shard ${shard} would have no copy in sync`);
  }
  for (const id of states.keys())
    if (!used.has(id)) faults.push(`${name}: the replica on ${id} holds no shard`);
  for (const fault of copyFaults(index)) faults.push(`${name}: ${fault}`);
}

function checkSuccessor(former: Index, index: Index, faults: string[]): void {
  const name = `index ${index.uid}`;
  if (index.generation < former.generation) {
    faults.push(`${name}: the generation would go back from ${former.generation} to ${index.generation}`);
  }
  if (index.settingsVersion < former.settingsVersion) {
    faults.push(
      `${name}: the settings version would go back from ${former.settingsVersion} to ${index.settingsVersion}`,
    );
  }
  for (const fault of copySuccessionFaults(former, index)) faults.push(`${name}: ${fault}`);
  if (index.generation > former.generation) return;
  if (former.writer !== undefined && former.writer.session !== index.writer?.session) {
    faults.push(`${name}: the writer would change without a new generation`);
  }
}

function isJsonObject(text: string): boolean {
  if (text === "") return true;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}
