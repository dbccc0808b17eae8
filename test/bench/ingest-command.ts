import { type Command, Option } from "commander";
import { table } from "../../src/cli/output.js";
import { nodeBackend } from "../support/nodes.js";
import { readDocuments } from "./documents.js";
import { benchIngest, type IngestResult, type IngestTurn } from "./ingest.js";
import { machine, numbers, printReport, printSpread, progress } from "./output.js";
import { type Spread, spreadOf } from "./quantiles.js";

interface IngestFlags {
  readonly corpus?: readonly string[];
  readonly nodes: number;
  readonly replicationFactors: readonly number[];
  readonly batch: number;
  readonly repeats: number;
  readonly profile?: string;
  readonly json?: boolean;
}

const REPLICATION_FACTORS: readonly number[] = [1, 2];

/** `bench ingest`. */
export function addIngestCommand(program: Command): void {
  program
    .command("ingest")
    .description("document additions to fleets and to one node: until accepted, and until searchable")
    .option("--corpus <files...>", "documents, JSON arrays or one a line (default: the shipped sample)")
    .option("--nodes <count>", "nodes of each fleet", Number, 3)
    .addOption(
      new Option("--replication-factors <counts...>", "copies of each shard, a fleet for each count")
        .argParser(numbers(REPLICATION_FACTORS))
        .default(REPLICATION_FACTORS),
    )
    .option("--batch <count>", "documents of one request", Number, 1_000)
    .option("--repeats <count>", "measurements of each kind, taking turns", Number, 3)
    .option("--profile <folder>", "where CPU profiles of the proxies go (ingest-1.cpuprofile, …)")
    .option("--json", "print one JSON document")
    .action(async (flags: IngestFlags) => {
      printReport(await measure(flags), flags.json, printed);
    });
}

async function measure(flags: IngestFlags) {
  const documents = readDocuments(flags.corpus);
  const results = await benchIngest({ ...flags, documents, profileFolder: flags.profile, progress });
  const [alone] = results;
  return {
    kind: "ingest",
    machine: machine(),
    backend: nodeBackend.kind,
    settings: { ...flags, corpus: undefined, json: undefined, documents: documents.length },
    results: results.map((result) => summary(result, alone)),
  };
}

function summary({ replicationFactor, turns }: IngestResult, alone: IngestResult | undefined) {
  const over = (figure: (turn: IngestTurn) => number | undefined): Spread | null => {
    const values = turns.flatMap((turn) => figure(turn) ?? []);
    return values.length === 0 ? null : spreadOf(values);
  };
  return {
    name: replicationFactor === undefined ? "one node" : `replication factor ${replicationFactor}`,
    acceptedSeconds: over((turn) => turn.acceptedSeconds),
    searchableSeconds: over((turn) => turn.searchableSeconds),
    searchableRatio: spreadOf(
      turns.map((turn, at) => turn.searchableSeconds / (alone?.turns[at]?.searchableSeconds ?? Number.NaN)),
    ),
    nodesCpuSeconds: over((turn) => turn.nodesCpuSeconds),
    batches: over((turn) => turn.batches),
    proxyCpuSeconds: over(({ proxy }) => proxy?.cpuSeconds),
    proxyMostMegabytes: over(({ proxy }) => (proxy === undefined ? undefined : proxy.mostBytes / 1e6)),
  };
}

function printed({ backend, results, settings }: Awaited<ReturnType<typeof measure>>): string {
  return [
    `${settings.documents} documents in batches of ${settings.batch}; ${backend} nodes, ${settings.nodes} in a fleet`,
    table(
      [
        ...["TO", "ACCEPTED S", "SEARCHABLE S", "OF ONE NODE", "BATCHES A NODE"],
        ...["NODES' CPU S", "PROXY'S CPU S", "PROXY'S MOST MB"],
      ],
      results.map((row) => [
        row.name,
        printSpread(row.acceptedSeconds),
        printSpread(row.searchableSeconds),
        printSpread(row.searchableRatio),
        printSpread(row.batches),
        printSpread(row.nodesCpuSeconds),
        printSpread(row.proxyCpuSeconds),
        printSpread(row.proxyMostMegabytes),
      ]),
    ),
  ].join("\n\n");
}
