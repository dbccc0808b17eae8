import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { byteRounds } from "../../../src/proxy/write/byte-rounds.js";

const MEMBERS = ["a", "b", "c"];

describe("rounds by bytes", () => {
  it("send every shard once, in order, and keep every node within the limit", () => {
    const shard = fc.record({ nodes: fc.subarray(MEMBERS, { minLength: 1 }), bytes: fc.nat(100) });
    fc.assert(
      fc.property(
        fc.array(shard, { maxLength: 20 }),
        fc.integer({ min: 100, max: 300 }),
        (shards, maxBytes) => {
          const placement = shards.map(({ nodes }) => nodes);
          const standing = { placement, joining: [], leaving: [], members: new Set(MEMBERS) };
          const numbers = shards.map((_, at) => at);
          const bytesOf = (at: number) => shards[at]?.bytes ?? 0;
          const rounds = byteRounds(numbers, standing, bytesOf, maxBytes);
          expect(rounds.flat()).toEqual(numbers);
          for (const [at, round] of rounds.entries()) {
            const most = (of: readonly number[]) =>
              Math.max(
                ...MEMBERS.map((node) =>
                  of.reduce((sum, one) => sum + (placement[one]?.includes(node) ? bytesOf(one) : 0), 0),
                ),
              );
            expect(most(round)).toBeLessThanOrEqual(maxBytes);
            const [next] = rounds[at + 1] ?? [];
            if (next !== undefined) expect(most([...round, next])).toBeGreaterThan(maxBytes);
          }
        },
      ),
    );
  });
});
