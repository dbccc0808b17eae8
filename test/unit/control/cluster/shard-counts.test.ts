import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { shardCounts } from "../../../../src/control/cluster/shard-counts.js";
import { NodeState } from "../../../../src/gen/miroir/v1/topology_pb.js";
import { putIndex, sampleIndex, sampleTopology } from "../../../support/topologies.js";

/** Two nodes with two shards on both. */
function healthy() {
  const topology = sampleTopology();
  putIndex(topology, sampleIndex("films"));
  return topology;
}

describe("the shards of a fleet", () => {
  it("are all there where every replica is in sync and answers", () => {
    expect(shardCounts(healthy())).toMatchObject({ shards: 2n, degradedShards: 0n, unavailableShards: 0n });
  });

  it.each([NodeState.UNREACHABLE, NodeState.DRAINING])(
    "are unavailable where no node with a copy answers, whatever becomes of it (%i)",
    (state) => {
      const topology = healthy();
      for (const node of topology.nodes) {
        node.state = state;
        node.unreachableSince = timestampFromMs(1_700_000_000_000);
      }
      expect(shardCounts(topology)).toMatchObject({ degradedShards: 0n, unavailableShards: 2n });
    },
  );
});
