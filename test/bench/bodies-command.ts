import type { Command } from "commander";
import { table } from "../../src/cli/output.js";
import { benchBodies } from "./bodies.js";
import { readDocuments } from "./documents.js";
import { machine, printSpread } from "./output.js";
import { spreadOf } from "./quantiles.js";

interface BodiesFlags {
  readonly corpus?: readonly string[];
  readonly nodes: number;
  readonly repeats: number;
  readonly json?: boolean;
}

/** `bench bodies`. */
export function addBodiesCommand(program: Command): void {
  program
    .command("bodies")
    .description(
      "bodies of documents: megabytes for a second of CPU, cut into documents and made into nodes' bodies",
    )
    .option("--corpus <files...>", "documents, JSON arrays or one a line (default: the shipped sample)")
    .option("--nodes <count>", "nodes that hold the index", Number, 3)
    .option("--repeats <count>", "measurements of each part", Number, 7)
    .option("--json", "print one JSON document")
    .action(async ({ corpus, json, ...options }: BodiesFlags) => {
      const rows = await benchBodies({ ...options, documents: readDocuments(corpus) });
      if (json === true) {
        console.log(JSON.stringify({ kind: "bodies", machine: machine(), settings: options, rows }, null, 2));
        return;
      }
      const lines = rows.map((row) => [row.part, printSpread(spreadOf(row.megabytesPerSecond))]);
      console.log(table(["PART", "MB FOR A SECOND OF CPU"], lines));
    });
}
