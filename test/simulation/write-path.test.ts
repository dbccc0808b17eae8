import { describe, expect, it } from "vitest";
import { createShardHasher } from "../../src/placement/shard.js";
import { runWriteScenario, type ScenarioReport } from "./write-scenario.js";

/** `MIROIR_SIMULATION_SEED=123` replays one run and prints what happens in it. */
const REPLAY = process.env.MIROIR_SIMULATION_SEED;
/** `MIROIR_SIMULATION_RUNS=10000` looks further than the suite does. */
const RUNS = Number(process.env.MIROIR_SIMULATION_RUNS ?? 2_900);
const FIRST_SEED = Number(process.env.MIROIR_SIMULATION_FIRST_SEED ?? 1);

const hasher = await createShardHasher();

describe("the write path in a simulated cluster", () => {
  it.skipIf(REPLAY === undefined)("replays one run", async () => {
    const report = await runWriteScenario(Number(REPLAY), hasher, true);
    expect(report.breaches).toEqual([]);
  });

  it.skipIf(REPLAY !== undefined)(
    `keeps its promises in ${RUNS} runs with crashes, lost answers, late executions and changes of writer`,
    { timeout: 60_000 + RUNS * 60 },
    async () => {
      const total = {
        acknowledged: 0,
        refused: 0,
        unknown: 0,
        staleReplicas: 0,
        takeOvers: 0,
        lapses: 0,
        generations: 0,
      };
      const bad: ScenarioReport[] = [];
      for (let seed = FIRST_SEED; seed < FIRST_SEED + RUNS; seed++) {
        const report = await runWriteScenario(seed, hasher);
        total.acknowledged += report.acknowledged;
        total.refused += report.refused;
        total.unknown += report.unknown;
        total.staleReplicas += report.staleReplicas;
        total.takeOvers += report.takeOvers;
        total.lapses += report.lapses;
        total.generations += Number(report.generations) - 1;
        if (report.breaches.length > 0) bad.push(report);
        if (bad.length >= 5) break;
      }
      process.stderr.write(`[simulation] ${RUNS} runs: ${JSON.stringify(total)}\n`);
      expect(bad.map(({ seed, breaches }) => ({ seed, breaches }))).toEqual([]);
      // Runs in which nothing happens prove nothing.
      expect(total.acknowledged).toBeGreaterThan(RUNS * 5);
      expect(total.unknown).toBeGreaterThan(RUNS / 2);
      expect(total.staleReplicas).toBeGreaterThan(RUNS / 4);
      expect(total.takeOvers).toBeGreaterThan(RUNS / 2);
      expect(total.lapses).toBeGreaterThan(RUNS / 2);
    },
  );

  it("gives the same run for the same seed", async () => {
    expect(await runWriteScenario(4, hasher)).toEqual(await runWriteScenario(4, hasher));
  });
});
