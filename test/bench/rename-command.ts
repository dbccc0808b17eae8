import type { Command } from "commander";
import { table } from "../../src/cli/output.js";
import { createSystemWorld } from "../../src/runtime/world.js";
import { progress } from "./output.js";
import { benchRename } from "./rename.js";

interface RenameFlags {
  readonly batchDocuments: number;
  readonly tasks: number;
  readonly json?: boolean;
}

/** `bench rename`. */
export function addRenameCommand(program: Command): void {
  program
    .command("rename")
    .description("a change of generation: pauses of readers and writers, on a real node and between proxies")
    .option("--batch-documents <count>", "documents of the batch in front", Number, 40_000)
    .option("--tasks <count>", "finished tasks of the index", Number, 100_000)
    .option("--json", "print one JSON document")
    .action(run);
}

async function run({ batchDocuments, tasks, json }: RenameFlags): Promise<void> {
  const rows = await benchRename({ world: createSystemWorld(), batchDocuments, tasks, progress });
  if (json === true) {
    console.log(JSON.stringify({ kind: "rename", batchDocuments, tasks, rows }, null, 2));
    return;
  }
  const lines = rows.map(({ situation, figure, value }) => [situation, figure, value]);
  console.log(table(["SITUATION", "FIGURE", "VALUE"], lines));
}
