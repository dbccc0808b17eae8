import { describe, expect, it } from "vitest";
import { createShardHasher } from "../../../src/placement/shard.js";
import { onlyScenario, PLANTED_FAULTS } from "./planted-faults.js";
import { simulate } from "./run.js";
import { runSeeds, vacuity } from "./seeds.js";

/** `npm run simulate` looks further than the suite does. */
const RUNS = Number(process.env.MIROIR_SIMULATION_FLEETS ?? 20);

/** Planted faults that show in a run or two, with the seed to begin with. `npm run simulate -- --planted` goes through all of them. */
const SOON_FOUND = [
  ["1 any epoch is taken", 1],
  ["2 acts before proxies have acknowledged", 3],
  ["4 acknowledged by one replica", 6],
  ["5 readers see every replica", 3],
  ["6 no order of writes", 7],
  ["7 no rename at hand-over", 5],
  ["9 a switch is taken back", 4],
  ["13 restarted nodes are trusted", 2],
  ["counts of indexed documents ignored", 1],
] as const;
/** Runs in which each of them has to be found. */
const WITHIN = 20;

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

  it.each(SOON_FOUND)("is found wrong: %s", { timeout: 120_000 }, async (name, first) => {
    const planted = PLANTED_FAULTS[name];
    if (planted === undefined) throw new Error(`no fault is called ${name}`);
    let found = false;
    for (let seed = first; seed < first + WITHIN && !found; seed++) {
      found =
        (await simulate(seed, { hasher, planted })).findings.length > 0 &&
        (await simulate(seed, { hasher, planted: onlyScenario(planted) })).findings.length === 0;
    }
    expect(found).toBe(true);
  });
});
