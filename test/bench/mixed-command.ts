import type { Command } from "commander";
import { table } from "../../src/cli/output.js";
import { corpusShape, createRequestGenerator } from "../fidelity/requests.js";
import { nodeBackend } from "../support/nodes.js";
import { seededRandom } from "../support/random.js";
import type { LoadRequest } from "./caller.js";
import { summarize } from "./contender.js";
import { type BenchDocument, readDocuments } from "./documents.js";
import { benchMixed, MIXED_INDEX } from "./mixed.js";
import { machine, printReport, printSpread, progress } from "./output.js";
import { spreadOf } from "./quantiles.js";

interface MixedFlags {
  readonly corpus?: readonly string[];
  readonly nodes: number;
  readonly replicationFactor: number;
  readonly searches: number;
  readonly batch: number;
  readonly seconds: number;
  readonly repeats: number;
  readonly json?: boolean;
}

/** `bench mixed`. */
export function addMixedCommand(program: Command): void {
  program
    .command("mixed")
    .description("searches at a fixed rate, alone and while documents are added to the same index")
    .option("--corpus <files...>", "documents, JSON arrays or one a line (default: the shipped sample)")
    .option("--nodes <count>", "nodes of the fleet", Number, 3)
    .option("--replication-factor <count>", "copies of each shard", Number, 1)
    .option("--searches <count>", "searches a second", Number, 50)
    .option("--batch <count>", "documents of one addition", Number, 1_000)
    .option("--seconds <count>", "length of each measurement", Number, 5)
    .option("--repeats <count>", "measurements of each kind, taking turns", Number, 3)
    .option("--json", "print one JSON document")
    .action(async (flags: MixedFlags) => {
      printReport(await measure(flags), flags.json, printed);
    });
}

async function measure(flags: MixedFlags) {
  const documents = readDocuments(flags.corpus);
  const results = await benchMixed({
    documents,
    requests: wordSearches(documents),
    nodes: flags.nodes,
    replicationFactor: flags.replicationFactor,
    perSecond: flags.searches,
    batch: flags.batch,
    durationMs: flags.seconds * 1_000,
    repeats: flags.repeats,
    progress,
  });
  return {
    kind: "mixed",
    machine: machine(),
    backend: nodeBackend.kind,
    settings: { ...flags, corpus: undefined, json: undefined, documents: documents.length },
    results: results.map(({ name, quiet, ingesting }) => ({
      name,
      quiet: summarize(quiet),
      ingesting: summarize(ingesting.map(({ turn }) => turn)),
      documentsPerSecond: spreadOf(ingesting.map(({ documentsPerSecond }) => documentsPerSecond)),
      proxyMostMegabytes: spreadOf(
        ingesting.flatMap(({ mostBytes }) => (mostBytes === undefined ? [] : [mostBytes / 1e6])),
      ),
    })),
  };
}

const SEARCHES = 200;

/** Searches of words alone: the index has no settings for others. */
function wordSearches(documents: readonly BenchDocument[]): LoadRequest[] {
  const generate = createRequestGenerator(documents, corpusShape(documents, "id"), "id", seededRandom(9));
  const requests: LoadRequest[] = [];
  while (requests.length < SEARCHES) {
    const { kind, body } = generate();
    if (kind !== "plain" && kind !== "prefix" && kind !== "typo") continue;
    requests.push({ method: "POST", path: `/indexes/${MIXED_INDEX}/search`, body: JSON.stringify(body) });
  }
  return requests;
}

function printed({ backend, results, settings }: Awaited<ReturnType<typeof measure>>): string {
  return [
    `${settings.searches} searches a second in ${settings.documents} documents; ${backend} nodes, ${settings.nodes} in the fleet, replication factor ${settings.replicationFactor}`,
    table(
      ["", "P50 MS", "P99 MS", "P50 INGESTING", "P99 INGESTING", "DOCUMENTS/S", "PROXY'S MOST MB"],
      results.map((row) => [
        row.name,
        printSpread(row.quiet.p50Ms),
        printSpread(row.quiet.p99Ms),
        printSpread(row.ingesting.p50Ms),
        printSpread(row.ingesting.p99Ms),
        printSpread(row.documentsPerSecond),
        row.name === "one node" ? "–" : printSpread(row.proxyMostMegabytes),
      ]),
    ),
  ].join("\n\n");
}
