#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import { NodeSetupError } from "../control/nodes/errors.js";
import { NodeLaunchError } from "../nodes/errors.js";
import { addControlCommand, addHealthcheckCommand, addProxyCommand } from "./commands.js";
import { addIndexCommands } from "./ctl/indexes.js";
import { addStatusCommand } from "./ctl/status.js";
import { addTaskCommands } from "./ctl/tasks.js";
import { addTopologyCommands } from "./ctl/topology.js";
import { addDevCommand } from "./dev/dev.js";
import { CommandError, ExitCode } from "./exit-codes.js";
import { packageVersion } from "./options.js";

const program = new Command("miroir")
  .description("A fleet of plain Meilisearch servers that answers as one Meilisearch.")
  .version(packageVersion())
  .showHelpAfterError("(--help lists the options)")
  .configureHelp({ showGlobalOptions: true })
  .exitOverride()
  .addHelpText(
    "after",
    `
Exit codes: 0 done; 1 failed; 2 wrong command line or configuration; 3 a server does not answer;
4 not found; 5 a key is missing or refused.`,
  );
addDevCommand(program);
addControlCommand(program);
addProxyCommand(program);
addHealthcheckCommand(program);
const ctl = program
  .command("ctl")
  .description("ask a running control plane, over the same gRPC services that anyone can call");
addStatusCommand(ctl);
addIndexCommands(ctl);
addTaskCommands(ctl);
addTopologyCommands(ctl);
inheritExitOverride(program);

try {
  await program.parseAsync();
  process.exit(process.exitCode ?? ExitCode.ok);
} catch (error) {
  process.exit(report(error));
}

/** Commander asks for this on every command; it is not inherited by commands that were added before. */
function inheritExitOverride(command: Command): void {
  for (const child of command.commands) {
    child.exitOverride();
    inheritExitOverride(child);
  }
}

function report(error: unknown): ExitCode {
  if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
  if (error instanceof CommandError) {
    console.error(`miroir: ${error.message}${causes(error)}`);
    return error.exitCode;
  }
  if (error instanceof NodeSetupError) {
    console.error(`miroir: ${error.message}${causes(error)}`);
    if (error.code === "unreachable") return ExitCode.unreachable;
    return error.code === "foreign_key" ? ExitCode.refused : ExitCode.usage;
  }
  if (error instanceof NodeLaunchError) {
    console.error(`miroir: ${error.message}${causes(error)}`);
    return ExitCode.failure;
  }
  console.error("miroir:", error);
  return ExitCode.failure;
}

/** The messages of what led to an error, one a line. */
function causes(error: Error): string {
  let text = "";
  for (let cause = error.cause; cause instanceof Error; cause = cause.cause)
    text += `\n  because: ${cause.message}`;
  return text;
}
