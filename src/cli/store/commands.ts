import type { Command } from "commander";
import { addCheckCommand } from "./check.js";
import { addExportCommand } from "./export.js";
import { addImportCommand } from "./import.js";
import { addMigrateCommand } from "./migrate.js";
import { addStatusCommand } from "./status.js";

/** `miroir store`: the control plane's store itself, without a running control plane. */
export function addStoreCommands(program: Command): void {
  const store = program
    .command("store")
    .description("look at the control plane's store, bring it up to date, move it");
  addStatusCommand(store);
  addMigrateCommand(store);
  addCheckCommand(store);
  addExportCommand(store);
  addImportCommand(store);
}
