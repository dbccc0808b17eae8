import { expect, it } from "vitest";
import { measureMemory } from "../../bench/store-memory.js";
import { describeWithRedis } from "../../support/redis-server.js";
import { referenceLoad } from "./fill-store.js";

const budget = 6 * 1024 * 1024;

describeWithRedis("memory of Redis", () => {
  it("holds the reference load within its budget", { timeout: 120_000 }, async () => {
    const { rows, totalBytes } = await measureMemory(referenceLoad);
    const total = rows.reduce((sum, row) => sum + row.rows, 0);
    expect(total).toBe(12_980);
    expect(totalBytes, JSON.stringify(rows)).toBeLessThan(budget);
    // Nothing was left out: each kind took some room.
    expect(rows.filter((row) => row.bytes <= 0)).toEqual([]);
  });
});
