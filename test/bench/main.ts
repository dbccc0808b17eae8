// Measures side by side in one run, and prints ratios: Miroir beside one plain node, the stores beside each other.
import { readFileSync } from "node:fs";
import { Command, Option } from "commander";
import { table } from "../../src/cli/output.js";
import { createSystemWorld } from "../../src/runtime/world.js";
import { type Fleet, startFleet } from "../support/fleet.js";
import { meilisearchHttp } from "../support/meilisearch-http.js";
import { nodeBackend, startNodes } from "../support/nodes.js";
import { referenceLoad } from "../unit/store/fill-store.js";
import { benchForwarding } from "./forwarding.js";
import { benchIngest } from "./ingest.js";
import { addMergeCommand } from "./merge-command.js";
import { benchNodeLoss } from "./node-loss.js";
import { addProxyCommand } from "./proxy-command.js";
import { benchRename } from "./rename.js";
import { benchSearch } from "./search.js";
import { benchStore } from "./store.js";
import { measureMemory } from "./store-memory.js";
import type { BenchRow, BenchTarget } from "./target.js";

const program = new Command("bench").description("measures Miroir beside a single node, in one run");
for (const [name, description] of [
  ["search", "mixed searches: throughput and latency"],
  ["ingest", "document additions: until accepted, and until searchable"],
] as const) {
  program
    .command(name)
    .description(description)
    .option("--corpus <file>", "documents, a JSON array or one a line (default: the shipped sample)")
    .option("--nodes <count>", "nodes of the fleet", Number, 3)
    .option("--replication-factor <count>", "copies of each shard", Number, 1)
    .option("--seconds <count>", "length of each search measurement", Number, 5)
    .option("--repeats <count>", "measurements of each kind", Number, 5)
    .addOption(
      new Option("--clients <counts...>", "numbers of clients for searches")
        .argParser(addNumber)
        .default([1, 16]),
    )
    .option("--json", "print one JSON document")
    .action((options: BenchOptions) => run(name, options));
}
program
  .command("store")
  .description("the task store: operations a second, and lists of a long history beside a short one")
  .option("--tasks <count>", "tasks of the long history", Number, 1_000_000)
  .option("--few-tasks <count>", "tasks of the short one", Number, 10_000)
  .option("--seconds <count>", "length of each measurement at most", Number, 2)
  .option("--repeats <count>", "measurements of each kind", Number, 3)
  .addOption(
    new Option("--clients <counts...>", "calls under way at once").argParser(addNumber).default([1, 16]),
  )
  .option("--json", "print one JSON document")
  .action(runStore);
program
  .command("store-memory")
  .description("what the reference load costs a Redis server, by kind of row")
  .option("--json", "print one JSON document")
  .action(runStoreMemory);
program
  .command("rename")
  .description("a change of generation: pauses of readers and writers, on a real node and between proxies")
  .option("--batch-documents <count>", "documents of the batch in front", Number, 40_000)
  .option("--tasks <count>", "finished tasks of the index", Number, 100_000)
  .option("--json", "print one JSON document")
  .action(runRename);
program
  .command("forwarding")
  .description("small writes: through the proxy that writes their index, and through another one")
  .action(async () => {
    const rows = await benchForwarding();
    const lines = rows.map(({ asked, p50Ms, p90Ms }) => [asked, format(p50Ms), format(p90Ms)]);
    console.log(table(["ASKED", "P50 MS", "P90 MS"], lines));
  });
program
  .command("node-loss")
  .description(
    "one of two replicas is lost under load and comes back: what searches take, and whether they are right",
  )
  .option("--documents <count>", "documents of the index", Number, 10_000)
  .option("--searches <count>", "searches a second", Number, 20)
  .option("--writes <count>", "writes a second", Number, 3)
  .option("--seconds <count>", "length of each part", Number, 20)
  .option("--json", "print one JSON document")
  .action(runNodeLoss);
addMergeCommand(program);
addProxyCommand(program);
await program.parseAsync();
process.exit(0);

interface BenchOptions {
  readonly corpus?: string;
  readonly nodes: number;
  readonly replicationFactor: number;
  readonly seconds: number;
  readonly repeats: number;
  readonly clients: number[];
  readonly json?: boolean;
}

async function run(kind: "search" | "ingest", options: BenchOptions): Promise<void> {
  const documents = readDocuments(options.corpus);
  const plain = await startNodes(1);
  let fleet: Fleet | undefined;
  try {
    fleet = await startFleet({
      nodes: options.nodes,
      replicationFactor: options.replicationFactor,
      shards: 64,
    });
    const node = plain.nodes[0];
    if (node === undefined) throw new Error("no plain node");
    const targets: readonly BenchTarget[] = [
      { name: "one node", api: meilisearchHttp(node.url, node.masterKey), key: node.masterKey },
      { name: `miroir over ${options.nodes}`, api: fleet.api, key: undefined },
    ];
    const rows =
      kind === "search"
        ? await benchSearch(targets, documents, {
            durationMs: options.seconds * 1_000,
            repeats: options.repeats,
            clients: options.clients,
          })
        : await benchIngest(targets, documents, options.repeats);
    print(kind, options, documents.length, rows);
  } finally {
    await fleet?.stop();
    await plain.stop();
  }
}

async function runRename(options: {
  readonly batchDocuments: number;
  readonly tasks: number;
  readonly json?: boolean;
}): Promise<void> {
  const { batchDocuments, tasks } = options;
  const progress = (text: string) => process.stderr.write(`${text}\n`);
  const rows = await benchRename({ world: createSystemWorld(), batchDocuments, tasks, progress });
  if (options.json === true)
    console.log(JSON.stringify({ kind: "rename", batchDocuments, tasks, rows }, null, 2));
  else {
    const lines = rows.map(({ situation, figure, value }) => [situation, figure, value]);
    console.log(table(["SITUATION", "FIGURE", "VALUE"], lines));
  }
}

async function runNodeLoss(options: {
  readonly documents: number;
  readonly searches: number;
  readonly writes: number;
  readonly seconds: number;
  readonly json?: boolean;
}): Promise<void> {
  const sample = readDocuments(undefined);
  const corpus = Array.from({ length: options.documents }, (_, id) => ({
    ...sample[id % sample.length],
    id,
  }));
  const progress = (text: string) => process.stderr.write(`${text}\n`);
  const result = await benchNodeLoss({ ...options, corpus, progress });
  if (options.json === true) {
    console.log(JSON.stringify({ kind: "node-loss", options, ...result }, null, 2));
    return;
  }
  const { differences, phases, refused, repairSeconds, writes } = result;
  const lines = phases.map((phase) => [
    phase.name,
    String(phase.searches),
    String(phase.wrong),
    format(phase.p50),
    format(phase.p99),
    format(phase.max),
  ]);
  console.log(table(["PART", "SEARCHES", "WRONG", "P50 MS", "P99 MS", "MAX MS"], lines));
  console.log(
    `${writes} writes, ${refused} not accepted; in sync ${format(repairSeconds)} s after the node's return; ${differences} differences`,
  );
}

async function runStore(
  options: Pick<BenchOptions, "seconds" | "repeats" | "clients" | "json"> & {
    readonly tasks: number;
    readonly fewTasks: number;
  },
): Promise<void> {
  const result = await benchStore({
    tasks: options.tasks,
    fewTasks: options.fewTasks,
    durationMs: options.seconds * 1_000,
    repeats: options.repeats,
    clients: options.clients,
    progress: (text) => process.stderr.write(`${text}\n`),
  });
  if (options.json === true) {
    const { json: _json, ...settings } = options;
    console.log(JSON.stringify({ kind: "store", settings, ...result }, null, 2));
    return;
  }
  console.log(`store: ${options.tasks} tasks with 3 node tasks each, median of ${options.repeats}`);
  console.log(
    table(
      ["BACKEND", "OPERATION", "AT ONCE", "PER SECOND", "P50 MS", "P99 MS"],
      result.operations.map((row) => [
        row.backend,
        row.operation,
        String(row.clients),
        format(row.perSecond),
        format(row.p50Ms),
        format(row.p99Ms),
      ]),
    ),
  );
  console.log(
    table(
      [
        "BACKEND",
        "LIST",
        "LIMIT",
        "MATCHING",
        "ROWS",
        `MS OF ${options.fewTasks}`,
        `MS OF ${options.tasks}`,
        "RATIO",
      ],
      result.lists.map((row) => [
        row.backend,
        row.filter,
        String(row.limit),
        String(row.matching),
        row.fewRows === row.manyRows ? String(row.manyRows) : `${row.fewRows}, ${row.manyRows}`,
        format(row.fewMs),
        format(row.manyMs),
        format(row.ratio),
      ]),
    ),
  );
}

async function runStoreMemory(options: Pick<BenchOptions, "json">): Promise<void> {
  const report = await measureMemory(referenceLoad);
  if (options.json === true) {
    console.log(JSON.stringify({ kind: "store-memory", ...report }, null, 2));
    return;
  }
  console.log(
    `store-memory: server ${report.version}, ${format(report.totalBytes / 1024 / 1024)} MiB in all`,
  );
  console.log(
    table(
      ["KIND", "ROWS", "KIB", "BYTES A ROW"],
      report.rows.map((row) => [
        row.kind,
        String(row.rows),
        format(row.bytes / 1024),
        row.bytesPerRow.toFixed(0),
      ]),
    ),
  );
}

function print(kind: string, options: BenchOptions, documents: number, rows: readonly BenchRow[]): void {
  const { corpus: _corpus, ...settings } = options;
  if (options.json === true) {
    console.log(JSON.stringify({ kind, backend: nodeBackend.kind, documents, settings, rows }, null, 2));
    return;
  }
  console.log(
    `${kind}: ${documents} documents, ${nodeBackend.kind} nodes, replication factor ${options.replicationFactor}, median of ${options.repeats}`,
  );
  console.log(
    table(
      ["MEASURE", "ONE NODE", "MIROIR", "RATIO", "SPREAD OF RATIO"],
      rows.map((row) => [
        row.measure,
        format(row.node),
        format(row.miroir),
        format(row.ratio),
        `${format(row.ratioLow)} to ${format(row.ratioHigh)}`,
      ]),
    ),
  );
}

function format(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(2);
}

function readDocuments(file: string | undefined): Record<string, unknown>[] {
  const text = readFileSync(file ?? new URL("../../samples/movies.ndjson", import.meta.url), "utf8");
  if (text.trimStart().startsWith("[")) return JSON.parse(text) as Record<string, unknown>[];
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

function addNumber(text: string, previous: number[] | undefined): number[] {
  // Commander hands the default over as the previous value of the first argument.
  const given = previous !== undefined && !(previous.length === 2 && previous[0] === 1 && previous[1] === 16);
  return [...(given ? previous : []), Number(text)];
}
