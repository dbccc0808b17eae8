import { create } from "@bufbuild/protobuf";
import {
  NodeState,
  ReplicaState,
  type Topology,
  TopologySchema,
} from "../../src/gen/miroir/v1/topology_pb.js";

/** How large a topology to make. */
export interface TopologySize {
  readonly indexes: number;
  /** Of each index. */
  readonly shards: number;
  readonly nodes: number;
}

const ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";

/** A topology of one group, with two replicas of every shard that go round over the nodes. */
export function largeTopology({ indexes, shards, nodes }: TopologySize): Topology {
  const ids = Array.from({ length: nodes }, (_, node) => `node-${node}`).sort();
  const at = { seconds: 1_700_000_000n, nanos: 123_456_000 };
  return create(TopologySchema, {
    epoch: { clusterId: "bench", term: 1n, counter: 1n },
    nodes: ids.map((id, node) => ({
      id,
      url: `http://node-${node}.test:7700`,
      group: 0,
      state: NodeState.ACTIVE,
      meilisearchVersion: "1.50.0",
    })),
    groups: [{ id: 0, nodeIds: ids }],
    replicationFactor: 2,
    defaultShards: shards,
    indexes: Array.from({ length: indexes }, (_, index) => {
      const placement = Array.from({ length: shards }, (_, shard) => ({
        shard,
        nodeIds: [0, 1].map((next) => ids[(index + shard + next) % nodes] ?? "").sort(),
      }));
      return {
        uid: `index-${String(index).padStart(6, "0")}`,
        instance: instanceOf(index),
        generation: 1n,
        primaryKey: "id",
        shards,
        createdAt: at,
        updatedAt: at,
        settingsVersion: 1n,
        settingsJson: '{"filterableAttributes":["genres"],"sortableAttributes":["year"]}',
        placement,
        replicas: [...new Set(placement.flatMap(({ nodeIds }) => nodeIds))]
          .sort()
          .map((nodeId) => ({ nodeId, state: ReplicaState.IN_SYNC })),
        writer: { proxyId: `proxy-${index % 3}`, session: `session-of-proxy-${index % 3}` },
      };
    }),
  });
}

/** Eight letters of base 32. */
function instanceOf(number: number): string {
  return Array.from({ length: 8 }, (_, place) => ALPHABET[Math.floor(number / 32 ** (7 - place)) % 32]).join(
    "",
  );
}
