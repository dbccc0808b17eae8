import type { Command } from "commander";
import { table } from "../../src/cli/output.js";
import { format, machine, printReport, printSpread } from "./output.js";
import { benchRoute } from "./route.js";

interface RouteFlags {
  readonly documents: number;
  readonly documentBytes: number;
  readonly shards: number;
  readonly seconds: number;
  readonly repeats: number;
  readonly json?: boolean;
}

const NANOSECONDS_PER_MILLISECOND = 1e6;

/** `bench route`. */
export function addRouteCommand(program: Command): void {
  program
    .command("route")
    .description("from documents to their shards, hashing apart, in this process")
    .option("--documents <count>", "documents", Number, 10_000)
    .option("--document-bytes <count>", "size of a document", Number, 700)
    .option("--shards <count>", "shards of the index", Number, 64)
    .option("--seconds <count>", "length of each measurement", Number, 1)
    .option("--repeats <count>", "measurements of each kind, taking turns", Number, 5)
    .option("--json", "print one JSON document")
    .action(run);
}

async function run(flags: RouteFlags): Promise<void> {
  const measured = await benchRoute({ ...flags, durationMs: flags.seconds * 1_000 });
  const rows = measured.map((row) => ({
    ...row,
    nanosecondsPerKey: (row.time.ms.median * NANOSECONDS_PER_MILLISECOND) / flags.documents,
  }));
  const report = { kind: "route", machine: machine(), settings: { ...flags, json: undefined }, rows };
  printReport(report, flags.json, () =>
    table(
      [`${flags.documents} DOCUMENTS, ${flags.shards} SHARDS`, "MS", "NS A DOCUMENT"],
      rows.map(({ work, time, nanosecondsPerKey }) => [
        work,
        printSpread(time.ms),
        format(nanosecondsPerKey),
      ]),
    ),
  );
}
