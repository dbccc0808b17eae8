import type { Command } from "commander";
import { inspectStore, type SchemaState } from "../../store/inspect.js";
import { openTaskStore } from "../../store/open-task-store.js";
import { CommandError, ExitCode } from "../exit-codes.js";
import { addStoreFlags, type StoreFlags, storeContext } from "./context.js";

/** `miroir store migrate`: brings the schema up to date, as the control plane does when it starts. */
export function addMigrateCommand(parent: Command): void {
  addStoreFlags(
    parent
      .command("migrate")
      .description("create the store, or bring its schema up to date; says from which version to which"),
  ).action(async (flags: StoreFlags) => {
    const { options, output } = storeContext(flags);
    const before = await inspectStore(options);
    if (before.schema.kind === "refused") throw new CommandError(ExitCode.failure, before.schema.reason);
    const store = await openTaskStore(options);
    await store.close();
    const after = await inspectStore(options);
    const from = versionOf(before.schema);
    const to = versionOf(after.schema);
    output.result({ location: after.location, from, to }, () => {
      output.line(
        from === to
          ? `${after.location} has schema version ${to} already`
          : `${after.location}: ${from === 0 ? `created with schema version ${to}` : `schema version ${from} → ${to}`}`,
      );
    });
  });
}

/** 0 where there is none. */
function versionOf(schema: SchemaState): number {
  return schema.kind === "current" || schema.kind === "behind" ? schema.version : 0;
}
