import { describe, expect, it } from "vitest";
import { createShardHasher } from "../../../src/placement/shard.js";
import { keysOfFilter, shardsOfFilter } from "../../../src/proxy/read/key-filter.js";
import { indexView } from "./views.js";

describe("keysOfFilter", () => {
  it.each([
    ["id = 5", ["5"]],
    ["id=5", ["5"]],
    [`"id" = '12'`, ["12"]],
    ['id IN [1, -2 ,"3"]', ["1", "-2", "3"]],
    [["genre = a", "id = 7"], ["7"]],
    [
      [["id = 1", "id IN [2, 3]"], "price > 3"],
      ["1", "2", "3"],
    ],
  ])("finds the keys that %j asks for", (filter, keys) => {
    expect(keysOfFilter(filter, "id")).toEqual(keys);
  });

  it.each([
    // Keys that a node takes for equal though they are written otherwise.
    "id = abc",
    "id = 05",
    "id = 5.0",
    "id = -0",
    "id = 5e0",
    "id = 1234567890123456",
    "id IN [1, x]",
    "id IN []",
    // Conditions that other documents pass too.
    "id != 5",
    "id > 5",
    "NOT id = 5",
    "id = 5 OR a = 1",
    "id = 5 AND a = 1",
    "other = 5",
    "id.x = 5",
    "id IN [1] OR id IN [2]",
    "id NOT IN [1]",
    [["id = 1", "a = 2"]],
    [[]],
    [],
    7,
    null,
    undefined,
  ])("leaves %j to all shards", (filter) => {
    expect(keysOfFilter(filter, "id") ?? []).toEqual([]);
  });
});

describe("shardsOfFilter", () => {
  it("names the shards of the keys, and all where there is no key or nothing would be spared", async () => {
    const hasher = await createShardHasher();
    const index = indexView(
      "books",
      "id",
      Array.from({ length: 16 }, () => ["node-0"]),
    );
    const shards = [1, 2, 3].map((key) => Number(hasher.shardOf(String(key), 16)));
    expect(shardsOfFilter("id IN [1, 2, 3]", index, hasher)).toEqual(
      [...new Set(shards)].sort((a, b) => a - b),
    );
    expect(shardsOfFilter("a = 1", index, hasher)).toBeUndefined();
    expect(shardsOfFilter("id IN []", index, hasher)).toBeUndefined();
    expect(shardsOfFilter("id = 1", { ...index, primaryKey: undefined }, hasher)).toBeUndefined();
    expect(shardsOfFilter("id = 1", { ...index, shards: 1 }, hasher)).toBeUndefined();
  });
});
