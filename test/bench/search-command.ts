import { type Command, Option } from "commander";
import { table } from "../../src/cli/output.js";
import { nodeBackend } from "../support/nodes.js";
import { ratio, summarize, type Turn } from "./contender.js";
import { readDocuments } from "./documents.js";
import { machine, numbers, printReport, printSpread, progress } from "./output.js";
import { benchSearch, type QueryMix, type SearchBenchResult, type SearchContender } from "./search.js";

interface SearchFlags {
  readonly corpus?: readonly string[];
  readonly nodes: number;
  readonly replicationFactor: number;
  readonly queries: QueryMix;
  readonly seconds: number;
  readonly repeats: number;
  readonly clients: readonly number[];
  readonly profile?: string;
  readonly json?: boolean;
}

const CLIENTS: readonly number[] = [1, 16];

/** `bench search`. */
export function addSearchCommand(program: Command): void {
  program
    .command("search")
    .description("searches over a fleet of nodes, beside one node and beside the nodes' own work alone")
    .option("--corpus <files...>", "documents, JSON arrays or one a line (default: the shipped sample)")
    .option("--nodes <count>", "nodes of the fleet", Number, 3)
    .option("--replication-factor <count>", "copies of each shard", Number, 1)
    .addOption(
      new Option("--queries <mix>", "all kinds of searches, or such of words alone")
        .choices(["mixed", "words"])
        .default("mixed"),
    )
    .option("--seconds <count>", "length of each measurement", Number, 3)
    .option("--repeats <count>", "measurements of each kind, taking turns", Number, 5)
    .addOption(
      new Option("--clients <counts...>", "numbers of clients").argParser(numbers(CLIENTS)).default(CLIENTS),
    )
    .option("--profile <folder>", "where a CPU profile of the proxy goes (search.cpuprofile)")
    .option("--json", "print one JSON document")
    .action(async (flags: SearchFlags) => {
      printReport(await measure(flags), flags.json, printed);
    });
}

async function measure(flags: SearchFlags) {
  const documents = readDocuments(flags.corpus);
  const result = await benchSearch({
    documents,
    nodes: flags.nodes,
    replicationFactor: flags.replicationFactor,
    queries: flags.queries,
    durationMs: flags.seconds * 1_000,
    repeats: flags.repeats,
    clients: flags.clients,
    profileFolder: flags.profile,
    progress,
  });
  return {
    kind: "search",
    machine: machine(),
    backend: nodeBackend.kind,
    settings: { ...flags, corpus: undefined, json: undefined, documents: documents.length },
    results: [...result].map(([clients, turns]) => ({
      clients,
      contenders: [...turns].map(([name, of]) => ({ name, ...summarize(of) })),
      ratios: ratios(turns),
    })),
  };
}

const RATIOS: readonly (readonly [SearchContender, SearchContender])[] = [
  ["miroir", "one node"],
  ["floor", "one node"],
  ["miroir", "floor"],
];

type Turns = SearchBenchResult extends ReadonlyMap<number, infer T> ? T : never;

function ratios(turns: Turns) {
  return RATIOS.map(([name, beside]) => {
    const over = (figure: (turn: Turn) => number) => ratio(turns.get(name), turns.get(beside), figure);
    return {
      name: `${name} / ${beside}`,
      perSecond: over(({ load }) => load.perSecond),
      p50: over(({ load }) => load.p50),
      p99: over(({ load }) => load.p99),
    };
  });
}

function printed({ backend, results, settings }: Awaited<ReturnType<typeof measure>>): string {
  const { documents, nodes, queries, replicationFactor } = settings;
  return [
    `${queries} searches in ${documents} documents; ${backend} nodes, ${nodes} in the fleet, replication factor ${replicationFactor}`,
    ...results.flatMap(({ clients, contenders, ratios: of }) => [
      table(
        [
          `${clients} ${clients === 1 ? "CLIENT" : "CLIENTS"}`,
          "SEARCHES/S",
          "P50 MS",
          "P99 MS",
          "PROXY'S CPU MS",
          "NODES' CPU MS",
        ],
        contenders.map((row) => [
          row.name,
          printSpread(row.perSecond),
          printSpread(row.p50Ms),
          printSpread(row.p99Ms),
          printSpread(row.proxyCpuMs),
          printSpread(row.nodesCpuMs),
        ]),
      ),
      table(
        ["RATIO", "SEARCHES/S", "P50", "P99"],
        of.map((row) => [row.name, printSpread(row.perSecond), printSpread(row.p50), printSpread(row.p99)]),
      ),
    ]),
  ].join("\n\n");
}
