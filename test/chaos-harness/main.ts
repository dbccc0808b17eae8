// Runs a fleet of real processes through faults, and proves from what its clients saw that nothing was lost and nothing was wrong.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { fleetOperations } from "./fleet-operations.js";
import { PLANTED_FAULTS } from "./planted-faults.js";
import { runChaos } from "./run.js";
import { minimumOf, parseFaults } from "./run-options.js";
import { type RunRow, runTable } from "./run-table.js";

const options = new Command("chaos")
  .description("hurts a fleet under load and checks every answer that its clients got")
  .option("--seed <number>", "seed of faults and requests", Number, 1)
  .option("--runs <number>", "runs, each with the next seed", Number, 1)
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
    runs: number;
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

const faults = parseFaults(options.faults);
const hasOperations = faults.includes("topology");

/** One run; resolves with its row of the table, its violations told and its folder kept where there are any. */
async function run(seed: number): Promise<RunRow> {
  const folder = mkdtempSync(join(tmpdir(), `miroir-chaos-${seed}-`));
  const began = performance.now();
  const report = await runChaos({
    seed,
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
  for (const [answer, count] of report.refusals) console.log(`  ${count} times ${answer}`);
  for (const outcome of report.outcomes) console.log(`  ${outcome}`);
  for (const { kind, detail } of report.violations) console.log(`VIOLATION ${kind}: ${detail}`);
  if (report.violations.length === 0 && options.keep !== true)
    rmSync(folder, { recursive: true, force: true });
  else console.log(`schedule, history, logs and data: ${folder}`);
  return { seed, seconds: (performance.now() - began) / 1_000, report };
}

const rows: RunRow[] = [];
for (let at = 0; at < options.runs; at++) rows.push(await run(options.seed + at));
console.log(runTable(rows));
const violations = rows.reduce((sum, { report }) => sum + report.violations.length, 0);
console.log(`${violations} violations`);
process.exit(violations === 0 ? 0 : 1);
