import { availableParallelism } from "node:os";
import { createShardHasher } from "../../../src/placement/shard.js";
import { onlyScenario, PLANTED_FAULTS, type PlantedFault } from "./planted-faults.js";
import { runOnProcesses, serveSeeds } from "./processes.js";
import { type RunReport, simulate } from "./run.js";
import { SeedResults, vacuity } from "./seeds.js";

const USAGE = `npm run simulate -- [--seeds 3000] [--from 1] [--jobs N] [--planted] [--replay SEED] [--fault NAME]

  --seeds N     how many runs; 3,000 unless given
  --from N      the first seed; 1 unless given
  --jobs N      in so many processes; one for each core unless given
  --replay N    one run, told line by line
  --fault NAME  switches something off: ${Object.keys(PLANTED_FAULTS).join(" · ")}
  --planted     every one of these in turn, until it is found or ${"SEEDS"} runs are over
`;
/** Runs within which a planted fault has to be found. */
const PLANTED_RUNS = 200;
const TOLD_EVERY_MS = 10_000;

const hasher = await createShardHasher();
const options = readOptions(process.argv.slice(2));
process.exitCode = await main();
process.exit();

async function main(): Promise<number> {
  if (options.has("help")) {
    process.stdout.write(USAGE.replace("SEEDS", String(PLANTED_RUNS)));
    return 0;
  }
  if (options.has("planted")) return plantAll();
  const name = options.get("fault");
  const planted = name === undefined ? {} : PLANTED_FAULTS[name];
  if (planted === undefined) throw new Error(`no fault is called ${name}`);
  if (options.has("serve")) {
    await serveSeeds((seed) => simulate(seed, { hasher, planted }));
    return 0;
  }
  const replay = options.get("replay");
  if (replay !== undefined) {
    const say = (line: string) => process.stdout.write(`${line}\n`);
    return show(await simulate(Number(replay), { hasher, planted, say }));
  }
  return runMany(Number(options.get("from") ?? 1), Number(options.get("seeds") ?? 3_000));
}

async function runMany(from: number, seeds: number): Promise<number> {
  const started = performance.now();
  let told = started;
  const results = new SeedResults();
  const fault = options.get("fault");
  const jobs = Number(options.get("jobs") ?? availableParallelism());
  await runOnProcesses(jobs, from, seeds, fault === undefined ? [] : ["--fault", fault], (report) => {
    results.add(report);
    if (report.findings.length > 0) show(report);
    if (performance.now() - told < TOLD_EVERY_MS) return;
    told = performance.now();
    process.stdout.write(`${results.runs} of ${seeds} runs, ${pace(results.runs, started)}\n`);
  });
  const { reports, failed } = results;
  const empty = vacuity(reports, seeds);
  process.stdout.write(`${JSON.stringify(reports)}\n`);
  process.stdout.write(
    `${seeds} runs from seed ${from}, ${pace(seeds, started)}: ${failed.length} with findings${failed.length === 0 ? "" : ` (${failed.map(({ seed }) => seed).join(", ")})`}${empty === undefined ? "" : `; vacuous: ${empty}`}\n`,
  );
  return failed.length === 0 && empty === undefined ? 0 : 1;
}

/** Every planted fault has to be found. */
async function plantAll(): Promise<number> {
  let missed = 0;
  const only = options.get("planted");
  for (const [name, planted] of Object.entries(PLANTED_FAULTS)) {
    if (only !== undefined && !name.startsWith(only)) continue;
    const started = performance.now();
    let found: RunReport | undefined;
    let runs = 0;
    while (found === undefined && runs < PLANTED_RUNS) {
      const report = await simulate(++runs, { hasher, planted });
      if (report.findings.length > 0 && (await isClean(runs, planted))) found = report;
    }
    if (found === undefined) missed++;
    const kinds = [...new Set(found?.findings.map(({ kind }) => kind))].join(", ");
    process.stdout.write(
      `${name}: ${found === undefined ? `not found in ${runs} runs` : `seed ${found.seed} (${kinds})`}, ${pace(runs, started)}\n`,
    );
  }
  return missed === 0 ? 0 : 1;
}

/** Whether a run of the same scenario without any planted fault shows nothing, so that what was found is that fault's. */
async function isClean(seed: number, planted: PlantedFault): Promise<boolean> {
  return (await simulate(seed, { hasher, planted: onlyScenario(planted) })).findings.length === 0;
}

function show(report: RunReport): number {
  process.stdout.write(`${JSON.stringify(report, null, 1)}\n`);
  return report.findings.length === 0 ? 0 : 1;
}

function pace(runs: number, started: number): string {
  const seconds = (performance.now() - started) / 1_000;
  return `${seconds.toFixed(1)} s, ${(runs / seconds).toFixed(1)} runs a second`;
}

function readOptions(words: readonly string[]): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const [at, word] of words.entries()) {
    if (!word.startsWith("--")) continue;
    const next = words[at + 1];
    found.set(word.slice(2), next === undefined || next.startsWith("--") ? "" : next);
  }
  return found;
}
