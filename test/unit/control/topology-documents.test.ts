import { clone, create, equals, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Epoch,
  EpochSchema,
  type Topology,
  TopologySchema,
} from "../../../src/gen/miroir/v1/topology_pb.js";
import { judgeTopology } from "../../../src/topology/acceptance.js";
import { contentHash } from "../../../src/topology/content-hash.js";
import { decodeTopology } from "../../../src/topology/decode-topology.js";
import { applyDelta, DeltaMismatchError, diffTopologies } from "../../../src/topology/delta.js";
import { compareEpochs, epochReached, nextEpoch } from "../../../src/topology/epoch.js";
import { topologyBytes } from "../../../src/topology/topology-bytes.js";
import { putIndex, sampleIndex, sampleTopology } from "../../support/topologies.js";

const epochs: fc.Arbitrary<Epoch> = fc
  .record({
    clusterId: fc.constantFrom("a", "b"),
    term: fc.bigInt(0n, 4n),
    counter: fc.bigInt(0n, 4n),
  })
  .map((init) => create(EpochSchema, init));

/** Topologies over few index names, so that two of them share some. */
const topologies: fc.Arbitrary<Topology> = fc
  .record({
    epoch: epochs,
    uids: fc.uniqueArray(fc.constantFrom("books", "films", "Films", "a-1", "a_1", "zz"), { maxLength: 6 }),
    generations: fc.array(fc.bigInt(1n, 3n), { minLength: 6, maxLength: 6 }),
    primaryKey: fc.option(fc.constantFrom("id", "é", ""), { nil: undefined }),
    minInSync: fc.nat(3),
  })
  .map(({ epoch, uids, generations, primaryKey, minInSync }) => {
    const topology = sampleTopology();
    topology.minInSync = minInSync;
    for (const [position, uid] of uids.entries()) {
      const index = sampleIndex(uid);
      index.generation = generations[position] ?? 1n;
      if (primaryKey !== undefined) index.primaryKey = primaryKey;
      putIndex(topology, index);
    }
    topology.epoch = create(EpochSchema, { ...epoch, clusterId: "test-cluster" });
    topology.contentHash = contentHash(topology);
    return topology;
  });

describe("content hash", () => {
  it("leaves out epoch and hash, and covers everything else", () => {
    fc.assert(
      fc.property(topologies, topologies, (a, b) => {
        const copy = clone(TopologySchema, a);
        copy.epoch = nextEpoch(a.epoch ?? create(EpochSchema));
        copy.contentHash = "something";
        expect(contentHash(copy)).toBe(contentHash(a));
        const alike = clone(TopologySchema, b);
        if (a.epoch !== undefined) alike.epoch = a.epoch;
        alike.contentHash = a.contentHash;
        expect(contentHash(a) === contentHash(b)).toBe(equals(TopologySchema, a, alike));
      }),
    );
  });

  it("is the same for what is decoded with the bytes that it came in, which is what fromBinary makes of them", () => {
    fc.assert(
      fc.property(topologies, (topology) => {
        const unknown = Buffer.from([0xc2, 0x3e, 0x02, 0x68, 0x69]);
        const bytes = Buffer.concat([toBinary(TopologySchema, topology), unknown]);
        const plain = fromBinary(TopologySchema, bytes);
        const decoded = decodeTopology(bytes);
        expect(equals(TopologySchema, decoded, plain)).toBe(true);
        expect(contentHash(decoded)).toBe(contentHash(plain));
        expect(Buffer.from(topologyBytes(decoded))).toEqual(bytes);
      }),
    );
  });

  it("survives the wire, also with fields that this version does not know", () => {
    fc.assert(
      fc.property(topologies, (topology) => {
        // Field 1000, a string, as a later version might append it.
        const unknown = Buffer.from([0xc2, 0x3e, 0x02, 0x68, 0x69]);
        const received = fromBinary(
          TopologySchema,
          Buffer.concat([toBinary(TopologySchema, topology), unknown]),
        );
        expect(contentHash(fromBinary(TopologySchema, toBinary(TopologySchema, topology)))).toBe(
          topology.contentHash,
        );
        expect(contentHash(received)).not.toBe(topology.contentHash);
        expect(contentHash(fromBinary(TopologySchema, toBinary(TopologySchema, received)))).toBe(
          contentHash(received),
        );
      }),
    );
  });
});

describe("epochs", () => {
  it("are ordered by term, then counter, inside a cluster only", () => {
    fc.assert(
      fc.property(epochs, epochs, (a, b) => {
        const order = compareEpochs(a, b);
        if (a.clusterId !== b.clusterId) {
          expect(order).toBe("foreign");
          expect(epochReached(a, b)).toBe(false);
          return;
        }
        const difference = (a.term - b.term) * 100n + (a.counter - b.counter);
        expect(order).toBe(difference === 0n ? "equal" : difference < 0n ? "lower" : "higher");
        expect(epochReached(a, b)).toBe(difference >= 0n);
        expect(compareEpochs(nextEpoch(a), a)).toBe("higher");
      }),
    );
  });
});

describe("delta", () => {
  it("applied to its base is the snapshot", () => {
    fc.assert(
      fc.property(topologies, topologies, (base, next) => {
        const wire = diffTopologies(base, next);
        const applied = applyDelta(base, wire);
        expect(equals(TopologySchema, applied, next)).toBe(true);
        const changed = new Set(wire.changes?.indexes.map(({ uid }) => uid));
        for (const index of next.indexes) {
          const same = base.indexes.find(({ uid, generation, primaryKey }) => {
            return uid === index.uid && generation === index.generation && primaryKey === index.primaryKey;
          });
          expect(changed.has(index.uid)).toBe(same === undefined);
        }
      }),
    );
  });

  it("is refused on any other base, and when it arrives changed", () => {
    const base = sampleTopology();
    putIndex(base, sampleIndex("books"));
    base.epoch = create(EpochSchema, { clusterId: "test-cluster", term: 1n, counter: 1n });
    base.contentHash = contentHash(base);
    const next = clone(TopologySchema, base);
    putIndex(next, sampleIndex("films"));
    next.epoch = nextEpoch(base.epoch);
    next.contentHash = contentHash(next);
    const delta = diffTopologies(base, next);
    const before = toBinary(TopologySchema, base);
    expect(() => applyDelta(next, delta)).toThrow(DeltaMismatchError);
    const damaged = { ...delta, removedIndexUids: ["books"] };
    expect(() => applyDelta(base, damaged)).toThrow(DeltaMismatchError);
    expect(() => applyDelta(base, { ...delta, changes: undefined } as never)).toThrow(DeltaMismatchError);
    expect(toBinary(TopologySchema, base)).toEqual(before);
  });
});

describe("acceptance", () => {
  it("lets the epoch only grow, whatever arrives", () => {
    fc.assert(
      fc.property(fc.array(topologies, { maxLength: 12 }), (arriving) => {
        let held: Topology | undefined;
        for (const topology of arriving) {
          const verdict = judgeTopology(held, topology);
          if (held?.epoch !== undefined && topology.epoch !== undefined) {
            const order = compareEpochs(topology.epoch, held.epoch);
            const expected =
              order === "higher"
                ? "accept"
                : order === "equal" && topology.contentHash === held.contentHash
                  ? "same"
                  : "refuse";
            expect(verdict.kind).toBe(expected);
          } else expect(verdict.kind).toBe("accept");
          if (verdict.kind === "accept") held = topology;
        }
      }),
    );
  });

  it("refuses a foreign cluster, a wrong hash and a missing epoch, each with its reason", () => {
    const held = sampleTopology();
    held.contentHash = contentHash(held);
    const foreign = sampleTopology("another");
    foreign.epoch = create(EpochSchema, { clusterId: "another", term: 9n, counter: 9n });
    foreign.contentHash = contentHash(foreign);
    expect(judgeTopology(held, foreign)).toMatchObject({
      kind: "refuse",
      error: expect.stringContaining("foreign cluster"),
    });
    expect(judgeTopology(undefined, { ...held, contentHash: "00" })).toMatchObject({
      kind: "refuse",
      error: expect.stringContaining("announced was 00"),
    });
    const { epoch: _, ...without } = held;
    expect(judgeTopology(undefined, without)).toMatchObject({ kind: "refuse" });
  });
});
