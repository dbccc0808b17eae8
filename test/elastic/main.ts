// Grows a fleet of real nodes and shrinks it back while clients write and search, and shows what they noticed.
import { readFileSync, writeFileSync } from "node:fs";
import { Command } from "commander";
import { table } from "../../src/cli/output.js";
import { DEFAULT_MASTER_KEY, nodeBackend } from "../support/nodes.js";
import { runElastic, type StepResult } from "./run.js";

const SAMPLE = new URL("../../samples/movies.ndjson", import.meta.url);

interface Options {
  readonly documents: number;
  readonly shards: number;
  readonly replicationFactor: number;
  readonly from: number;
  readonly to: number;
  readonly writes: number;
  readonly documentsPerWrite: number;
  readonly searches: number;
  readonly dump?: string;
  readonly json?: boolean;
}

const program = new Command("elastic")
  .description(
    "grows a fleet under load and shrinks it back; ends with 1 where anything was not as it should be",
  )
  .option("--documents <count>", "documents at the start", Number, 30_000)
  .option("--shards <count>", "shards of the index", Number, 64)
  .option("--replication-factor <count>", "copies of each shard", Number, 2)
  .option("--from <count>", "nodes at the start and at the end", Number, 3)
  .option("--to <count>", "nodes at the most", Number, 6)
  .option("--writes <count>", "write requests a second", Number, 5)
  .option("--documents-per-write <count>", "documents of a write request", Number, 10)
  .option("--searches <count>", "searches a second", Number, 10)
  .option("--dump <file>", "write every request and log line there, to look into a run")
  .option("--json", "print one JSON document")
  .parse();
const options = program.opts<Options>();

const corpus = readFileSync(SAMPLE, "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line) as Record<string, unknown>);
const documents = Array.from({ length: options.documents }, (_, id) => ({
  ...corpus[id % corpus.length],
  id,
}));
const { epoch, logs, seen, ...result } = await runElastic({
  ...options,
  nodeKey: DEFAULT_MASTER_KEY,
  corpus: documents,
  progress: (text) => process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`),
});

if (options.dump !== undefined) writeFileSync(options.dump, JSON.stringify({ epoch, seen, logs }));
if (options.json === true)
  console.log(JSON.stringify({ backend: nodeBackend.kind, options, ...result }, null, 2));
else {
  console.log(
    `${options.documents} documents, ${options.shards} shards, ${options.replicationFactor} replicas, nodes: ${nodeBackend.kind}; ` +
      `${options.writes} writes of ${options.documentsPerWrite} documents and ${options.searches} searches a second`,
  );
  console.log(
    table(
      [
        "STEP",
        "SECONDS",
        "MOVED",
        "BOUND",
        "STAYING",
        "DOCUMENTS",
        "MB",
        "WRITES",
        "SEARCHES",
        "FAILED",
        "WRITE P99",
        "SEARCH P99",
      ],
      result.steps.map(row),
    ),
  );
  for (const { kind, count, p50, p99, max } of result.pauses) {
    console.log(
      `writes at ${count} moments of ${kind}: the slowest took ${Math.round(p50)} ms (median), ${Math.round(p99)} ms (99 %), ${Math.round(max)} ms (longest)`,
    );
  }
  for (const { max, mean, p99, step, turns } of result.heldBack) {
    console.log(
      `copies held writes back in ${turns} turns while ${step}: ${Math.round(mean * 1_000)} ms on average, 99 % within ${p99} s, all within ${max} s`,
    );
  }
  console.log(
    `final state: ${result.documents} documents, ${result.wrong} not as written, ${result.differences} differences between replicas`,
  );
  for (const fault of result.faults) console.log(`FAULT: ${fault}`);
}
process.exit(result.faults.length === 0 ? 0 : 1);

function row(step: StepResult) {
  return [
    step.name,
    step.seconds.toFixed(1),
    step.moved,
    step.bound,
    step.betweenStaying,
    step.documents,
    (step.bytes / 1e6).toFixed(1),
    step.writes,
    step.searches,
    step.failed,
    `${Math.round(step.writeP99)} ms`,
    `${Math.round(step.searchP99)} ms`,
  ];
}
