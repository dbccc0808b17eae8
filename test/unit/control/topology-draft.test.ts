import { clone, equals, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { draftOf } from "../../../src/control/topology/topology-draft.js";
import { ReplicaState, type Topology, TopologySchema } from "../../../src/gen/miroir/v1/topology_pb.js";
import { contentHash } from "../../../src/topology/content-hash.js";
import { topologyBytes } from "../../../src/topology/topology-bytes.js";
import { putIndex, sampleIndex, sampleTopology } from "../../support/topologies.js";

const uids = ["a", "b", "c", "d"];

function base(): Topology {
  const topology = sampleTopology();
  for (const uid of uids) putIndex(topology, sampleIndex(uid));
  topology.contentHash = contentHash(topology);
  return topology;
}

/** Changes as parts of the control plane make them. */
const changes: Readonly<Record<string, (draft: Topology, uid: string) => void>> = {
  generation(draft, uid) {
    const index = draft.indexes.find((candidate) => candidate.uid === uid);
    if (index !== undefined) index.generation += 1n;
  },
  state(draft, uid) {
    const replica = draft.indexes.find((candidate) => candidate.uid === uid)?.replicas[0];
    if (replica !== undefined) replica.state = ReplicaState.STALE;
  },
  primaryKey(draft, uid) {
    for (const index of draft.indexes) if (index.uid === uid) delete index.primaryKey;
  },
  removal(draft, uid) {
    draft.indexes = draft.indexes.filter((index) => index.uid !== uid);
  },
  addition(draft, uid) {
    putIndex(draft, sampleIndex(`${uid}x`));
  },
  copy(draft, uid) {
    draft.indexes = draft.indexes.map((index) =>
      index.uid === uid ? { ...index, settingsVersion: 9n } : index,
    );
  },
  look(draft, uid) {
    for (const index of draft.indexes)
      if (index.uid === uid) index.replicas.find(({ nodeId }) => nodeId === "");
  },
  node(draft) {
    for (const node of draft.nodes) node.weight = 2;
  },
};

describe("draft", () => {
  it("becomes what a changed copy becomes, leaves its base alone, and keeps what is as it was", () => {
    const steps = fc.array(fc.tuple(fc.constantFrom(...Object.keys(changes)), fc.constantFrom(...uids)), {
      maxLength: 6,
    });
    fc.assert(
      fc.property(steps, (chosen) => {
        const from = base();
        const before = toBinary(TopologySchema, from);
        const copy = clone(TopologySchema, from);
        const { draft, finish } = draftOf(from);
        for (const [name, uid] of chosen) {
          changes[name]?.(copy, uid);
          changes[name]?.(draft, uid);
        }
        const next = finish();
        expect(equals(TopologySchema, next, copy)).toBe(true);
        expect(Buffer.from(topologyBytes(next)).equals(toBinary(TopologySchema, copy))).toBe(true);
        expect(Buffer.from(before).equals(toBinary(TopologySchema, from))).toBe(true);
        for (const index of next.indexes) {
          const former = from.indexes.find(({ uid }) => uid === index.uid);
          const same =
            former !== undefined &&
            chosen.every(([name, uid]) => name === "look" || name === "node" || uid !== index.uid);
          if (same) expect(index).toBe(former);
        }
      }),
      { numRuns: 50 },
    );
  });
});
