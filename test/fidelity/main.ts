// Sends the same seeded searches to a single node and to a fleet that hold the same corpus, and compares
// everything but timings.
import { readFileSync } from "node:fs";
import { Command } from "commander";
import { table } from "../../src/cli/output.js";
import { meilisearchHttp } from "../support/meilisearch-http.js";
import { seededRandom } from "../support/random.js";
import { runFidelity } from "./run.js";

const options = new Command("fidelity")
  .description("compares a fleet's answers with a single node's, request by request")
  .requiredOption("--whole <url>", "a plain Meilisearch node")
  .requiredOption("--fleet <url>", "a Miroir proxy")
  .option("--key <key>", "key of both")
  .option("--whole-key <key>", "key of the plain node, where it differs")
  .requiredOption("--corpus <file>", "a JSON array of documents")
  .option("--primary-key <field>", "the documents' key", "id")
  .option("--index <uid>", "the index that holds the corpus", "fidelity")
  .option("--seed <number>", "seed of the requests", Number, 1)
  .option("--count <number>", "how many requests", Number, 500)
  .option("--no-load", "the corpus is in both already")
  .option("--verbose", "print each request that is not identical")
  .parse()
  .opts<{
    whole: string;
    fleet: string;
    key?: string;
    wholeKey?: string;
    corpus: string;
    primaryKey: string;
    index: string;
    seed: number;
    count: number;
    load: boolean;
    verbose?: boolean;
  }>();

const report = await runFidelity({
  whole: meilisearchHttp(options.whole, options.wholeKey ?? options.key),
  fleet: meilisearchHttp(options.fleet, options.key),
  documents: JSON.parse(readFileSync(options.corpus, "utf8")) as Record<string, unknown>[],
  primaryKey: options.primaryKey,
  index: options.index,
  random: seededRandom(options.seed),
  count: options.count,
  load: options.load,
  note: (line) => {
    if (options.verbose === true) console.error(line);
  },
});
console.log(
  table(
    [
      "KIND",
      "CASES",
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
console.log(`${report.passed} passed, ${report.failed} failed`);
process.exit(report.failed > 0 ? 1 : 0);
