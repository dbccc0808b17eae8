import { describe, expect, it } from "vitest";
import { createShardHasher } from "../../../src/placement/shard.js";
import { PLANTED_FAULTS } from "./planted-faults.js";
import { simulate } from "./run.js";
import { runSeeds, vacuity } from "./seeds.js";

/** `npm run simulate` looks further than the suite does. */
const RUNS = Number(process.env.MIROIR_SIMULATION_FLEETS ?? 30);

/** Planted faults with a seed that shows each soon. `npm run simulate -- --planted` goes through all of them. */
const FOUND: readonly (readonly [fault: string, seed: number])[] = [];

const hasher = await createShardHasher();

describe("a simulated fleet", () => {
  it(`keeps its promises in ${RUNS} runs with kills, pauses, partitions, damage and operators' changes`, {
    timeout: 120_000 + RUNS * 6_000,
  }, async () => {
    const { reports, failed } = await runSeeds(1, RUNS, { hasher });
    process.stderr.write(`[simulation] ${RUNS} fleets: ${JSON.stringify(reports)}\n`);
    expect(failed.map(({ seed, findings }) => ({ seed, findings }))).toEqual([]);
    expect(vacuity(reports, RUNS)).toBeUndefined();
  });

  it("does the same for the same seed", { timeout: 60_000 }, async () => {
    expect(await simulate(4, { hasher })).toEqual(await simulate(4, { hasher }));
  });

  it.each(FOUND)("is found wrong: %s", { timeout: 60_000 }, async (name, seed) => {
    const planted = PLANTED_FAULTS[name];
    if (planted === undefined) throw new Error(`no fault is called ${name}`);
    const { findings } = await simulate(seed, { hasher, planted });
    expect(findings).not.toEqual([]);
  });
});
