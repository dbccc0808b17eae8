// Sends the same seeded searches to a single node and to a fleet that hold the same corpus, and compares
// everything but timings.
import { writeFileSync } from "node:fs";
import { Command } from "commander";
import { table } from "../../src/cli/output.js";
import { type MeilisearchHttp, meilisearchHttp } from "../support/meilisearch-http.js";
import { loadCorpus } from "./corpora.js";
import type { FidelityReport } from "./report.js";
import { runFidelity } from "./run.js";
import { type ComparedServers, parseShape, startCompared } from "./servers.js";

const options = new Command("fidelity")
  .description("compares a fleet's answers with a single node's, request by request")
  .option(
    "--shape <NxGxR>",
    "start a fleet of N nodes in G groups with replication factor R, and a plain node",
  )
  .option("--whole <url>", "a plain Meilisearch node that runs already")
  .option("--fleet <url>", "a Miroir proxy that runs already")
  .option("--key <key>", "key of both")
  .option("--whole-key <key>", "key of the plain node, where it differs")
  .requiredOption("--corpus <name>", "movies, airports, vectors, large, adversarial, a JSON file or a folder")
  .option("--primary-key <field>", "the documents' key", "id")
  .option("--index <uid>", "the index that holds the corpus", "fidelity")
  .option("--seeds <numbers>", "seeds of the requests, separated by commas", "1")
  .option("--count <number>", "how many requests for each seed", Number, 500)
  .option("--kinds <names>", "send requests of these kinds alone, separated by commas")
  .option("--no-load", "the corpus is in both already")
  .option("--report <file>", "write the figures as JSON")
  .option("--verbose", "print each request that is not identical")
  .parse()
  .opts<{
    shape?: string;
    whole?: string;
    fleet?: string;
    key?: string;
    wholeKey?: string;
    corpus: string;
    primaryKey: string;
    index: string;
    seeds: string;
    count: number;
    kinds?: string;
    load: boolean;
    report?: string;
    verbose?: boolean;
  }>();

const servers = await serversToCompare();
const { whole, fleet } = servers;
try {
  const corpus = loadCorpus(options.corpus);
  const seeds = options.seeds.split(",").map(Number);
  const report = await runFidelity({
    whole,
    fleet,
    documents: corpus.documents,
    settings: corpus.settings,
    primaryKey: options.primaryKey,
    index: options.index,
    seeds,
    count: options.count,
    kinds: options.kinds?.split(","),
    load: options.load,
    note: (line) => {
      if (options.verbose === true) console.error(line);
    },
  });
  const distribution = await servers.distribution?.(options.index);
  print(report, distribution);
  if (options.report !== undefined) {
    const { name, documents } = corpus;
    const run = { shape: options.shape, distribution, corpus: name, documents: documents.length, seeds };
    writeFileSync(
      options.report,
      `${JSON.stringify({ ...run, count: options.count, ...report }, null, 2)}\n`,
    );
  }
  process.exitCode = report.failed > 0 ? 1 : 0;
} finally {
  await servers.stop?.();
}

async function serversToCompare(): Promise<
  { readonly whole: MeilisearchHttp; readonly fleet: MeilisearchHttp } & Partial<ComparedServers>
> {
  const { shape, key } = options;
  if (shape !== undefined) return startCompared(parseShape(shape));
  if (options.whole === undefined || options.fleet === undefined)
    throw new Error("give --shape, or --whole and --fleet");
  return {
    whole: meilisearchHttp(options.whole, options.wholeKey ?? key),
    fleet: meilisearchHttp(options.fleet, key),
  };
}

function print(
  report: FidelityReport,
  distribution: Readonly<Record<string, readonly number[]>> | undefined,
): void {
  for (const [node, shards] of Object.entries(distribution ?? {})) {
    console.log(`${node}: ${shards.length} shards (${shards.join(", ")})`);
  }
  console.log(
    table(
      [
        "KIND",
        "CASES",
        "REFUSED ALIKE",
        "IDENTICAL",
        "TIES",
        "SCORED DIFFERENTLY",
        "WRONG",
        "CONTENTS",
        "HIGHLIGHTS",
        "TOTALS",
        "FACETS",
      ],
      report.rows.map((row) => [
        row.kind,
        row.cases,
        row.refused,
        row.identical,
        row.ties,
        row.scoredDifferently,
        row.wrong,
        row.contents,
        row.highlights,
        row.totals,
        `${row.facets}/${row.facetCases}`,
      ]),
    ),
  );
  for (const line of report.named) console.log(line);
  for (const [cause, count] of Object.entries(report.causes))
    console.log(`scored differently, ${cause}: ${count}`);
  console.log(`${report.passed} passed, ${report.failed} failed`);
}
