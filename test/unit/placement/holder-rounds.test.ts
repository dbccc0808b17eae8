import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { holderRounds } from "../../../src/placement/holder-rounds.js";

describe("rounds of shards", () => {
  it("are one where nodes hold the same shards, or different ones", () => {
    expect(holderRounds([["a", "b"], ["b", "a"], ["c"], ["d", "e"]])).toEqual([[0, 1, 2, 3]]);
    expect(holderRounds([])).toEqual([]);
  });

  it("are as many as a node has others that it shares some shards with", () => {
    expect(
      holderRounds([
        ["a", "b"],
        ["b", "c"],
        ["a", "c"],
        ["a", "b"],
      ]),
    ).toEqual([[0, 3], [1], [2]]);
  });

  it("take every shard once, and give nodes that share a shard in a round all shards of it in common", () => {
    const holders = fc.array(fc.subarray(["a", "b", "c", "d", "e"]), { maxLength: 30 });
    fc.assert(
      fc.property(holders, (placement) => {
        const rounds = holderRounds(placement);
        expect(rounds.flat().sort((a, b) => a - b)).toEqual(placement.map((_, shard) => shard));
        for (const round of rounds) {
          const shardsOf = new Map<string, Set<number>>();
          for (const shard of round) {
            for (const node of placement[shard] ?? []) {
              shardsOf.set(node, (shardsOf.get(node) ?? new Set()).add(shard));
            }
          }
          for (const shard of round) {
            const [first, ...others] = (placement[shard] ?? []).map((node) => shardsOf.get(node));
            for (const other of others) expect(other).toEqual(first);
          }
        }
      }),
    );
  });
});
