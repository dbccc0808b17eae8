import { clone } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import {
  ElectionRefusedError,
  holdElection,
  planElections,
} from "../../../../src/control/indexes/unclean-election.js";
import { topologyFaults } from "../../../../src/control/topology/consistency.js";
import {
  NodeState,
  ReplicaState,
  type Topology,
  TopologySchema,
} from "../../../../src/gen/miroir/v1/topology_pb.js";
import { putIndex, sampleIndex, sampleTopology } from "../../../support/topologies.js";

/** `films` and `books` on two nodes, of which `node-0` is away; node-1 is behind in `films`. */
function afterLoss(): Topology {
  const topology = sampleTopology();
  const films = sampleIndex("films");
  const behind = films.replicas.find(({ nodeId }) => nodeId === "node-1");
  if (behind !== undefined) behind.state = ReplicaState.STALE;
  putIndex(topology, films);
  putIndex(topology, sampleIndex("books"));
  const [lost] = topology.nodes;
  if (lost !== undefined) {
    lost.state = NodeState.UNREACHABLE;
    lost.unreachableSince = timestampFromMs(0);
  }
  return topology;
}

const lost = new Set(["node-0"]);
const states = (topology: Topology, uid: string) =>
  topology.indexes.find((index) => index.uid === uid)?.replicas.map(({ state }) => state);

describe("an unclean election", () => {
  it("concerns the indexes alone that have lost their last copies in sync", () => {
    expect(planElections(afterLoss(), lost, [])).toMatchObject([
      {
        indexUid: "films",
        lostNodeIds: ["node-0"],
        elected: [
          { shard: 0, electedNodeIds: ["node-1"] },
          { shard: 1, electedNodeIds: ["node-1"] },
        ],
        bare: [],
      },
    ]);
    expect(planElections(afterLoss(), lost, ["books"])).toEqual([]);
  });

  it("is refused for a node that answers, and for one that is none", () => {
    expect(() => planElections(afterLoss(), new Set(["node-1"]), [])).toThrow(ElectionRefusedError);
    expect(() => planElections(afterLoss(), new Set(["node-7"]), [])).toThrow("no node node-7");
  });

  it("gives the index to whoever takes it over, with the elected replicas as doubtful members", () => {
    const before = afterLoss();
    const draft = clone(TopologySchema, before);
    for (const election of planElections(draft, lost, [])) holdElection(draft, election, "1");
    expect(topologyFaults(before, draft)).toEqual([]);
    expect(states(draft, "films")).toEqual([ReplicaState.STALE, ReplicaState.SUSPECT]);
    expect(states(draft, "books")).toEqual([ReplicaState.IN_SYNC, ReplicaState.IN_SYNC]);
    expect(draft.indexes.find(({ uid }) => uid === "films")).toMatchObject({
      generation: 2n,
      writer: { proxyId: "election", session: "election-1" },
    });
    expect(planElections(draft, lost, [])).toEqual([]);
  });

  it("says what nobody has anything of", () => {
    const topology = afterLoss();
    for (const index of topology.indexes) {
      index.replicas = index.replicas.filter(({ nodeId }) => nodeId === "node-0");
      for (const shard of index.placement) shard.nodeIds = ["node-0"];
    }
    expect(planElections(topology, lost, ["books"])).toMatchObject([{ bare: [0, 1], elected: [] }]);
  });
});
