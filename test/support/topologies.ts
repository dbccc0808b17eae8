import { create } from "@bufbuild/protobuf";
import {
  type Index,
  IndexSchema,
  NodeState,
  ReplicaState,
  type Topology,
  TopologySchema,
} from "../../src/gen/miroir/v1/topology_pb.js";

/** Two nodes in one group, no indexes. */
export function sampleTopology(clusterId = "test-cluster"): Topology {
  return create(TopologySchema, {
    epoch: { clusterId, term: 0n, counter: 0n },
    nodes: ["node-0", "node-1"].map((id, position) => ({
      id,
      url: `http://127.0.0.1:${9000 + position}`,
      group: 0,
      state: NodeState.ACTIVE,
      meilisearchVersion: "1.50.0",
    })),
    groups: [{ id: 0, nodeIds: ["node-0", "node-1"] }],
    replicationFactor: 2,
    defaultShards: 4,
  });
}

/** An index with every shard on both nodes of {@link sampleTopology}. */
export function sampleIndex(uid: string, instance = instanceOf(uid)): Index {
  return create(IndexSchema, {
    uid,
    instance,
    generation: 1n,
    shards: 2,
    settingsJson: '{"rankingRules":["words"]}',
    createdAt: { seconds: 1_700_000_000n, nanos: 123_456_000 },
    updatedAt: { seconds: 1_700_000_000n, nanos: 123_456_000 },
    placement: [0, 1].map((shard) => ({ shard, nodeIds: ["node-0", "node-1"] })),
    replicas: ["node-0", "node-1"].map((nodeId) => ({ nodeId, state: ReplicaState.IN_SYNC })),
  });
}

/** Puts an index into a draft, in its place. */
export function putIndex(draft: Topology, index: Index): void {
  draft.indexes = [...draft.indexes.filter(({ uid }) => uid !== index.uid), index].sort((a, b) =>
    a.uid < b.uid ? -1 : 1,
  );
}

/** A distinct, valid instance name for every uid up to some thousands of them. */
function instanceOf(uid: string): string {
  let hash = 7;
  for (const character of uid) hash = (hash * 31 + character.charCodeAt(0)) % 2 ** 40;
  return Array.from(
    { length: 8 },
    (_, position) => "abcdefghijklmnopqrstuvwxyz234567"[Math.floor(hash / 32 ** position) % 32],
  ).join("");
}
