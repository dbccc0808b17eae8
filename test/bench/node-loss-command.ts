import type { Command } from "commander";
import { table } from "../../src/cli/output.js";
import { readDocuments } from "./documents.js";
import { benchNodeLoss } from "./node-loss.js";
import { format, progress } from "./output.js";

interface NodeLossFlags {
  readonly documents: number;
  readonly searches: number;
  readonly writes: number;
  readonly seconds: number;
  readonly json?: boolean;
}

/** `bench node-loss`. */
export function addNodeLossCommand(program: Command): void {
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
    .action(run);
}

async function run(options: NodeLossFlags): Promise<void> {
  const sample = readDocuments(undefined);
  const corpus = Array.from({ length: options.documents }, (_, id) => ({
    ...sample[id % sample.length],
    id,
  }));
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
