import type { Command } from "commander";
import { table } from "../../src/cli/output.js";
import { benchMerge } from "./merge.js";
import { machine, printReport, printSpread } from "./output.js";

interface MergeFlags {
  readonly parts: number;
  readonly hits: number;
  readonly hitBytes: number;
  readonly seconds: number;
  readonly repeats: number;
  readonly json?: boolean;
}

/** `bench merge`. */
export function addMergeCommand(program: Command): void {
  program
    .command("merge")
    .description("from the bytes of nodes' answers to the bytes of a page, in this process")
    .option("--parts <count>", "nodes that have answered", Number, 3)
    .option("--hits <count>", "hits of each answer", Number, 1_000)
    .option("--hit-bytes <count>", "size of a hit", Number, 700)
    .option("--seconds <count>", "length of each measurement", Number, 1)
    .option("--repeats <count>", "measurements of each kind, taking turns", Number, 5)
    .option("--json", "print one JSON document")
    .action(run);
}

async function run(flags: MergeFlags): Promise<void> {
  const rows = await benchMerge({ ...flags, durationMs: flags.seconds * 1_000 });
  const report = { kind: "merge", machine: machine(), settings: { ...flags, json: undefined }, rows };
  printReport(report, flags.json, () =>
    table(
      [`PAGE OF ${flags.parts} × ${flags.hits} HITS`, "BYTES IN", "MS"],
      rows.map((row) => [row.page, String(row.bytes), printSpread(row.time.ms)]),
    ),
  );
}
