import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createShardHasher } from "../../../src/placement/shard.js";
import { familyShards } from "../../../src/placement/shard-family.js";

describe("the family of a shard", () => {
  it("is the shard itself where nothing is cut", () => {
    expect(familyShards([1, 3], 4, 4)).toEqual([1, 3]);
  });

  it("holds the codes of all documents of the shard, old and new, and of no other one", async () => {
    const hasher = await createShardHasher();
    fc.assert(
      fc.property(
        fc.string(),
        fc.integer({ min: 1, max: 64 }),
        fc.integer({ min: 2, max: 8 }),
        (key, count, by) => {
          const old = hasher.shardOf(key, count);
          const fresh = hasher.shardOf(key, count * by);
          for (let shard = 0; shard < count; shard += 1) {
            const family = familyShards([shard], count, count * by);
            expect(family.length).toBe(by);
            expect(family.includes(old)).toBe(shard === old);
            expect(family.includes(fresh)).toBe(shard === old);
          }
        },
      ),
      { numRuns: 100 },
    );
  });
});
