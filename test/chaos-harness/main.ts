// Runs a fleet of real processes through faults, and proves from what its clients saw that nothing was lost and nothing was wrong.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { table } from "../../src/cli/output.js";
import { fleetOperations } from "./fleet-operations.js";
import { PLANTED_FAULTS } from "./planted-faults.js";
import { runChaos } from "./run.js";
import { minimumOf, parseFaults } from "./run-options.js";

const options = new Command("chaos")
  .description("hurts a fleet under load and checks every answer that its clients got")
  .option("--seed <number>", "seed of faults and requests", Number, 1)
  .option("--duration <seconds>", "how long faults and load last", Number, 60)
  .option("--nodes <kind>", "real or embedded", "real")
  .option("--faults <kinds>", "comma-separated kinds of faults, or all, or none", "all")
  .option("--node-count <number>", "nodes", Number, 4)
  .option("--spares <number>", "further nodes, for operations on the fleet to add", Number, 1)
  .option("--groups <number>", "replica groups", Number, 1)
  .option("--replication-factor <number>", "copies of a shard in each group", Number, 2)
  .option("--proxies <number>", "proxies", Number, 2)
  .option("--controls <number>", "control replicas; one runs on SQLite, several on Redis", Number, 2)
  .option("--plant <fault>", `plants a fault for the checker to find: ${PLANTED_FAULTS.join(", ")}`)
  .option("--no-repairs", "do not wait until replicas that were left behind are repaired")
  .option("--keep", "keep logs, data and history of a run without violations too")
  .parse()
  .opts<{
    seed: number;
    duration: number;
    nodes: string;
    faults: string;
    nodeCount: number;
    spares: number;
    groups: number;
    replicationFactor: number;
    proxies: number;
    controls: number;
    plant?: string;
    repairs: boolean;
    keep?: boolean;
  }>();

const folder = mkdtempSync(join(tmpdir(), `miroir-chaos-${options.seed}-`));
const faults = parseFaults(options.faults);
const hasOperations = faults.includes("topology");
const began = performance.now();
const report = await runChaos({
  seed: options.seed,
  durationMs: options.duration * 1_000,
  faults,
  shape: {
    nodeKind: options.nodes === "embedded" ? "embedded" : "real",
    nodes: options.nodeCount,
    spares: options.spares,
    groups: options.groups,
    replicationFactor: options.replicationFactor,
    shards: 8,
    controls: options.controls,
    proxies: options.proxies,
    ...(options.plant === undefined ? {} : { plantedFault: options.plant }),
  },
  writers: 4,
  readers: 4,
  folder,
  operations: (fleet, observer) =>
    hasOperations ? fleetOperations(fleet, observer, options.groups * options.replicationFactor + 1) : [],
  minimum: (durationMs) => minimumOf(durationMs, faults, hasOperations),
  repairs: options.repairs,
  restMs: 120_000,
});

const { figures, injected, violations } = report;
console.log(
  table(
    ["SEED", "SECONDS", "WRITES", "ACKNOWLEDGED", "REFUSED", "UNKNOWN", "READS", "FAILED READS", "OVERLAPS"],
    [
      [
        `${options.seed}`,
        `${Math.round((performance.now() - began) / 1_000)}`,
        ...[figures.writes, figures.acknowledged, figures.refused, figures.unknown].map(String),
        ...[figures.reads, figures.failedReads, figures.overlaps].map(String),
      ],
    ],
  ),
);
console.log(
  `faults: ${injected.link} on links, ${injected.kill} kills, ${injected.pause} pauses, ${injected.clock} clocks, ` +
    `${injected.topology} operations, ${figures.switches} switches; at rest ${Math.round(report.restedAfterMs / 1_000)} s after the last one`,
);
for (const { kind, detail } of violations) console.log(`VIOLATION ${kind}: ${detail}`);
if (violations.length === 0 && options.keep !== true) rmSync(folder, { recursive: true, force: true });
else console.log(`schedule, history, logs and data: ${folder}`);
console.log(`${violations.length} violations`);
process.exit(violations.length === 0 ? 0 : 1);
