import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { fleetWarnings, nodeVersions } from "../../../../src/control/cluster/fleet-warnings.js";
import { sampleTopology } from "../../../support/topologies.js";

describe("what an operator is told of a fleet", () => {
  it("is nothing where nodes are alike and answer", () => {
    expect(fleetWarnings(sampleTopology())).toEqual([]);
  });

  it("names versions that differ, with the nodes of each", () => {
    const topology = sampleTopology();
    const [, second] = topology.nodes;
    if (second !== undefined) second.meilisearchVersion = "1.50.1";
    expect(nodeVersions(topology).size).toBe(2);
    expect(fleetWarnings(topology).join()).toContain("1.50.0 on node-0; 1.50.1 on node-1");
  });

  it("tells absence apart from absence beyond the grace", () => {
    const topology = sampleTopology();
    const [first, second] = topology.nodes;
    if (first !== undefined) first.unreachableSince = timestampFromMs(1_700_000_000_000);
    if (second !== undefined) second.evicted = true;
    expect(fleetWarnings(topology)).toEqual([
      expect.stringMatching(/^node-0 has not answered since 2023-11-14T22:13:20/),
      expect.stringMatching(/^node-1 was away for too long/),
    ]);
  });
});
