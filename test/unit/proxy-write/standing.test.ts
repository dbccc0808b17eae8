import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  copies,
  holders,
  keepers,
  losable,
  recipients,
  type Standing,
  targetsOf,
} from "../../../src/proxy/write/standing.js";

const NODES = ["n0", "n1", "n2", "n3", "n4"];

const standings = fc
  .record({
    placement: fc.array(fc.uniqueArray(fc.constantFrom(...NODES), { minLength: 1, maxLength: 4 }), {
      minLength: 1,
      maxLength: 12,
    }),
    members: fc.uniqueArray(fc.constantFrom(...NODES)),
  })
  .map(({ placement, members }): Standing => {
    const shardsByNode = new Map<string, number[]>();
    placement.forEach((nodes, shard) => {
      for (const node of nodes) shardsByNode.set(node, [...(shardsByNode.get(node) ?? []), shard]);
    });
    return {
      uid: "movies",
      instance: "aaaaaaaa",
      generation: 1n,
      primaryKey: "id",
      members: new Set(members.filter((node) => shardsByNode.has(node))),
      suspects: new Set(),
      joiners: new Set(),
      placement,
      joining: [],
      leaving: [],
      shardsByNode,
      familyShards: placement.length,
    };
  });

const copiesLeft = (standing: Standing, shard: number, gone: ReadonlySet<string>) =>
  (standing.placement[shard] ?? []).filter((node) => standing.members.has(node) && !gone.has(node)).length;

describe("who may go stale", () => {
  it("never takes a shard's last copy, nor goes below what is asked for", () => {
    fc.assert(
      fc.property(
        standings,
        fc.uniqueArray(fc.constantFrom(...NODES)),
        fc.integer({ min: 1, max: 3 }),
        (standing, candidates, least) => {
          const gone = losable(standing, candidates, () => least);
          for (const node of gone) {
            for (const shard of standing.shardsByNode.get(node) ?? []) {
              // Copies on the other candidates do not count: they may be gone, too.
              expect(copiesLeft(standing, shard, new Set(candidates))).toBeGreaterThanOrEqual(least);
            }
          }
        },
      ),
    );
  });

  it("keeps only those whose shards need them", () => {
    fc.assert(
      fc.property(standings, fc.uniqueArray(fc.constantFrom(...NODES)), (standing, candidates) => {
        const gone = losable(standing, candidates);
        for (const node of candidates.filter((candidate) => !gone.has(candidate))) {
          const needed = (standing.shardsByNode.get(node) ?? []).some(
            (shard) => copiesLeft(standing, shard, new Set(candidates)) === 0,
          );
          expect(needed).toBe(true);
        }
      }),
    );
  });
});

describe("who gets a write", () => {
  it("is every member that holds a touched shard, with just these shards", () => {
    fc.assert(
      fc.property(standings, fc.uniqueArray(fc.nat(11)), (standing, wanted) => {
        const shards = wanted.filter((shard) => shard < standing.placement.length);
        const targets = targetsOf(standing, shards);
        for (const node of NODES) {
          const held = shards.filter(
            (shard) => standing.placement[shard]?.includes(node) && standing.members.has(node),
          );
          expect([...(targets.get(node) ?? [])].sort()).toEqual([...held].sort());
        }
        expect(new Set(targetsOf(standing, "all").keys())).toEqual(standing.members);
      }),
    );
  });
});

describe("nodes that join and leave", () => {
  /** Shard 0: n0 serves, n1 joins, n2 leaves. Shard 1: n1 serves, n3 is to serve once it is filled as a whole. */
  const standing: Standing = {
    uid: "movies",
    instance: "aaaaaaaa",
    generation: 1n,
    primaryKey: "id",
    members: new Set(["n0", "n1", "n2", "n3"]),
    suspects: new Set(),
    joiners: new Set(["n3"]),
    placement: [["n0"], ["n1", "n3"]],
    joining: [["n1"], []],
    leaving: [["n2"], []],
    shardsByNode: new Map([
      ["n0", [0]],
      ["n1", [1]],
      ["n3", [1]],
    ]),
    familyShards: 2,
  };

  it("receive writes and do not count", () => {
    expect(recipients(standing, 0)).toEqual(["n0", "n1", "n2"]);
    expect(holders(standing, 0)).toEqual(["n0"]);
    expect(keepers(standing, 0)).toEqual(["n0", "n2"]);
    expect(recipients(standing, 1)).toEqual(["n1", "n3"]);
    expect(holders(standing, 1)).toEqual(["n1"]);
    expect(copies(standing, 1)).toBe(2);
    expect([...targetsOf(standing, [0, 1])]).toEqual([
      ["n0", [0]],
      ["n1", [0, 1]],
      ["n2", [0]],
      ["n3", [1]],
    ]);
    expect([...targetsOf(standing, [0, 1], keepers).keys()]).toEqual(["n0", "n2", "n1"]);
  });

  it("can always be lost, where they serve nothing else", () => {
    expect(losable(standing, ["n3"])).toEqual(new Set(["n3"]));
    expect(losable(standing, ["n2"])).toEqual(new Set(["n2"]));
    // It is the last copy of shard 1: the one that joins does not count.
    expect(losable(standing, ["n1"])).toEqual(new Set());
  });
});
