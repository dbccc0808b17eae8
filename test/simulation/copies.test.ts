import { describe, expect, it } from "vitest";
import { createShardHasher } from "../../src/placement/shard.js";
import { runWriteScenario, type ScenarioReport } from "./write-scenario.js";

/** `MIROIR_SIMULATION_SEED=123` replays one run and prints what happens in it. */
const REPLAY = process.env.MIROIR_SIMULATION_SEED;
/** `MIROIR_SIMULATION_RUNS=10000` looks further than the suite does. */
const RUNS = Number(process.env.MIROIR_SIMULATION_RUNS ?? 120);
const FIRST_SEED = Number(process.env.MIROIR_SIMULATION_FIRST_SEED ?? 1);

const hasher = await createShardHasher();

describe("copies of shards in a simulated cluster", () => {
  it.skipIf(REPLAY === undefined)("replays one run", { timeout: 60_000 }, async () => {
    const report = await runWriteScenario(Number(REPLAY), hasher, true, { copies: true });
    expect(report.breaches).toEqual([]);
  });

  it.skipIf(REPLAY !== undefined)(
    `lose and resurrect nothing in ${RUNS} runs of writes, moves, repairs, cancels, crashes and changes of writer`,
    { timeout: 60_000 + RUNS * 120 },
    async () => {
      const total = { acknowledged: 0, copies: 0, cancelled: 0, takeOvers: 0 };
      const bad: ScenarioReport[] = [];
      for (let seed = FIRST_SEED; seed < FIRST_SEED + RUNS && bad.length < 5; seed++) {
        const report = await runWriteScenario(seed, hasher, false, { copies: true }).catch(
          (error: unknown): ScenarioReport => ({
            seed,
            breaches: [String(error)],
            acknowledged: 0,
            refused: 0,
            unknown: 0,
            generations: 0n,
            staleReplicas: 0,
            takeOvers: 0,
            lapses: 0,
            copies: 0,
            cancelled: 0,
          }),
        );
        total.acknowledged += report.acknowledged;
        total.copies += report.copies;
        total.cancelled += report.cancelled;
        total.takeOvers += report.takeOvers;
        if (report.breaches.length > 0) bad.push(report);
      }
      process.stderr.write(`[simulation] ${RUNS} runs with copies: ${JSON.stringify(total)}\n`);
      expect(bad.map(({ seed, breaches }) => ({ seed, breaches }))).toEqual([]);
      expect(total.copies).toBeGreaterThan(RUNS);
    },
  );
});
