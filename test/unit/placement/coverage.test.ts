import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { planCoverage, spreadCoverage } from "../../../src/placement/coverage.js";
import { combineCounts, planCounts } from "../../../src/placement/task-counts.js";

const nodeNames = ["a", "b", "c", "d", "e", "f"];

function candidatesOver(names: readonly string[], minLength: number) {
  return fc
    .array(fc.subarray([...names], { minLength }), { maxLength: 14 })
    .map((lists) => new Map(lists.map((nodes, shard) => [shard * 3, nodes])));
}

/** The size of the smallest set of nodes that holds every shard, by trying them all. */
function smallestCover(candidates: ReadonlyMap<number, readonly string[]>, names: readonly string[]): number {
  let best = names.length;
  for (let set = 0; set < 1 << names.length; set++) {
    const chosen = names.filter((_, i) => (set >> i) & 1);
    const covers = [...candidates.values()].every(
      (nodes) => nodes.length === 0 || nodes.some((n) => chosen.includes(n)),
    );
    if (covers) best = Math.min(best, chosen.length);
  }
  return best;
}

describe("planCoverage", () => {
  it("serves every shard exactly once, from a node that holds it", () => {
    fc.assert(
      fc.property(candidatesOver([...nodeNames, "g", "h", "i", "j", "k", "l"], 0), (candidates) => {
        const { picks, uncovered } = planCoverage(candidates);
        const served = picks.flatMap(({ shards }) => shards);
        expect([...served, ...uncovered].sort((a, b) => a - b)).toEqual([...candidates.keys()]);
        expect(uncovered).toEqual(
          [...candidates].filter(([, nodes]) => nodes.length === 0).map(([shard]) => shard),
        );
        expect(new Set(picks.map(({ node }) => node)).size).toBe(picks.length);
        for (const { node, shards, coversAllItHolds } of picks) {
          expect(shards.every((shard) => candidates.get(shard)?.includes(node))).toBe(true);
          expect(shards).toEqual([...shards].sort((a, b) => a - b));
          expect(shards.length).toBeGreaterThan(0);
          const holds = [...candidates.values()].filter((nodes) => nodes.includes(node)).length;
          expect(coversAllItHolds).toBe(shards.length === holds);
        }
        if (picks.length > 0) expect(picks.some(({ coversAllItHolds }) => coversAllItHolds)).toBe(true);
      }),
    );
  });

  it("asks as few nodes as can be", () => {
    fc.assert(
      fc.property(candidatesOver(nodeNames, 0), (candidates) => {
        expect(planCoverage(candidates).picks.length).toBe(smallestCover(candidates, nodeNames));
      }),
    );
  });

  it("asks at most one node too many where it no longer tries every set", () => {
    const many = Array.from({ length: 12 }, (_, i) => `node-${i}`);
    fc.assert(
      fc.property(candidatesOver(many, 2), (candidates) => {
        expect(planCoverage(candidates).picks.length).toBeLessThanOrEqual(
          smallestCover(candidates, many) + 1,
        );
      }),
      { numRuns: 60 },
    );
  });

  it("is deterministic under a preference, and follows it among equally few nodes", () => {
    const candidates = new Map([
      [0, ["a", "b"]],
      [1, ["b", "a"]],
      [2, ["a", "b", "c"]],
    ]);
    const chosen = (preferred: string) =>
      planCoverage(candidates, (node) => (node === preferred ? 1 : 0)).picks.map(({ node }) => node);
    expect(chosen("a")).toEqual(["a"]);
    expect(chosen("b")).toEqual(["b"]);
    expect(chosen("c")).toEqual(["a"]);
    fc.assert(
      fc.property(candidatesOver(nodeNames, 1), fc.func(fc.nat(3)), (random, drawn) => {
        const reversed = new Map(
          [...random].reverse().map(([shard, nodes]) => [shard, [...nodes].reverse()]),
        );
        expect(planCoverage(reversed, drawn)).toEqual(planCoverage(random, drawn));
      }),
    );
  });

  it("has every node serve all it holds where each shard has one replica", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...nodeNames), { maxLength: 30 }), (owners) => {
        const { picks } = planCoverage(new Map(owners.map((node, shard) => [shard, [node]])));
        expect(new Set(picks.map(({ node }) => node))).toEqual(new Set(owners));
        expect(picks.every(({ coversAllItHolds }) => coversAllItHolds)).toBe(true);
      }),
    );
  });
});

describe("planCounts", () => {
  const documents = fc.array(fc.nat(50), { minLength: 12, maxLength: 12 });

  function counted(shardsByNode: ReadonlyMap<string, ReadonlySet<number>>, sizes: readonly number[]) {
    const sum = (shards: Iterable<number>) =>
      [...shards].reduce((total, shard) => total + (sizes[shard] ?? 0), 0);
    const plan = planCounts(shardsByNode);
    const counts = new Map([...shardsByNode].map(([node, shards]) => [node, sum(shards)]));
    const all = new Set([...shardsByNode.values()].flatMap((shards) => [...shards]));
    return { plan, count: combineCounts(plan, counts), expected: sum(all) };
  }

  it("counts every document once, unless it says that it estimates", () => {
    const held = fc.array(fc.uniqueArray(fc.nat(11), { maxLength: 12 }), { maxLength: 7 });
    fc.assert(
      fc.property(held, documents, (lists, sizes) => {
        const shardsByNode = new Map(lists.map((shards, i) => [`node-${i}`, new Set(shards)]));
        const { plan, count, expected } = counted(shardsByNode, sizes);
        if (plan.kind !== "estimate") expect(count).toBe(expected);
        expect(count).toBeGreaterThanOrEqual(0);
      }),
      { numRuns: 500 },
    );
  });

  it("is exact whenever all replicas of a placement succeeded", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3 }),
        fc.array(fc.nat(1000), { minLength: 12, maxLength: 12 }),
        documents,
        (rf, draws, sizes) => {
          const shardsByNode = new Map(nodeNames.map((node) => [node, new Set<number>()]));
          draws.forEach((draw, shard) => {
            for (let i = 0; i < rf; i++) shardsByNode.get(nodeNames[(draw + i) % 6] ?? "")?.add(shard);
          });
          const { plan, count, expected } = counted(shardsByNode, sizes);
          expect(plan.kind).not.toBe("estimate");
          expect(count).toBe(expected);
        },
      ),
    );
  });

  it("takes a cover where one exists", () => {
    const shards = (...list: number[]) => new Set(list);
    const cover = planCounts(
      new Map([
        ["a", shards(0, 1)],
        ["b", shards(1, 2)],
        ["c", shards(2, 3)],
      ]),
    );
    expect(cover).toEqual({
      kind: "cover",
      weights: new Map([
        ["a", 1],
        ["c", 1],
      ]),
    });
    const ring = planCounts(
      new Map([
        ["a", shards(0, 1)],
        ["b", shards(1, 2)],
        ["c", shards(2, 0)],
      ]),
    );
    expect(ring).toEqual({
      kind: "weights",
      weights: new Map([
        ["a", 0.5],
        ["b", 0.5],
        ["c", 0.5],
      ]),
    });
    const path = planCounts(
      new Map([
        ["a", shards(0, 1)],
        ["b", shards(1, 2)],
      ]),
    );
    expect(path.kind).toBe("estimate");
    expect(planCounts(new Map())).toEqual({ kind: "cover", weights: new Map() });
  });

  it("stays quick where there is no cover to be found", () => {
    const shardsByNode = new Map(
      Array.from({ length: 40 }, (_, i) => [
        `node-${i}`,
        new Set(Array.from({ length: 30 }, (_, k) => (i * 7 + k * k * 3) % 128)),
      ]),
    );
    const started = process.hrtime.bigint();
    planCounts(shardsByNode);
    expect(Number(process.hrtime.bigint() - started) / 1e6).toBeLessThan(5_000);
  });
});

describe("spreadCoverage", () => {
  it("serves every shard exactly once, from all nodes that hold any where each holds all", () => {
    fc.assert(
      fc.property(candidatesOver(nodeNames, 0), (candidates) => {
        const { picks, uncovered } = spreadCoverage(candidates);
        const served = picks.flatMap(({ shards }) => shards);
        expect([...served, ...uncovered].sort((a, b) => a - b)).toEqual(
          [...candidates.keys()].sort((a, b) => a - b),
        );
        for (const { node, shards, coversAllItHolds } of picks) {
          expect(shards.every((shard) => candidates.get(shard)?.includes(node))).toBe(true);
          const held = [...candidates].filter(([, nodes]) => nodes.includes(node)).length;
          expect(coversAllItHolds).toBe(shards.length === held);
        }
      }),
    );
    const everywhere = new Map(Array.from({ length: 16 }, (_, shard) => [shard, ["a", "b"]]));
    expect(spreadCoverage(everywhere).picks.map(({ shards }) => shards.length)).toEqual([8, 8]);
  });
});
