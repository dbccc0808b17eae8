import { Command } from "commander";
import { addControlCommand, addHealthcheckCommand, addProxyCommand } from "./commands.js";
import { addCompareCommand } from "./ctl/compare.js";
import { addControlListCommand } from "./ctl/control.js";
import { addElectCommand } from "./ctl/elect.js";
import { addGroupCommands } from "./ctl/groups.js";
import { addIndexCommands } from "./ctl/indexes.js";
import { addNodeCommands } from "./ctl/nodes.js";
import { addReplicaCommands } from "./ctl/replicas.js";
import { addStatusCommand } from "./ctl/status.js";
import { addTaskCommands } from "./ctl/tasks.js";
import { addTopologyCommands } from "./ctl/topology.js";
import { addVerifyCommand } from "./ctl/verify.js";
import { addWorkflowCommands } from "./ctl/workflows.js";
import { addDevCommand } from "./dev/dev.js";
import { packageVersion } from "./options.js";
import { addRestoreCommand } from "./restore/restore-command.js";
import { addStoreCommands } from "./store/commands.js";

/** The command line of `miroir`: every command and its options. A wrong command line throws a `CommanderError`. */
export function createProgram(): Command {
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
4 not found; 5 a key is missing or refused; 6 a comparison found differences; 7 impossible as things are.`,
    );
  addDevCommand(program);
  addControlCommand(program);
  addProxyCommand(program);
  addHealthcheckCommand(program);
  const ctl = program
    .command("ctl")
    .description("ask a running control plane, over the same gRPC services that anyone can call");
  addStatusCommand(ctl);
  addControlListCommand(ctl);
  addIndexCommands(ctl);
  addTaskCommands(ctl);
  addTopologyCommands(ctl);
  addVerifyCommand(ctl);
  addElectCommand(ctl);
  addCompareCommand(ctl);
  addNodeCommands(ctl);
  addGroupCommands(ctl);
  addReplicaCommands(ctl);
  addWorkflowCommands(ctl);
  addStoreCommands(program);
  addRestoreCommand(program);
  inheritExitOverride(program);
  return program;
}

/** Commander asks for this on every command; it is not inherited by commands that were added before. */
function inheritExitOverride(command: Command): void {
  for (const child of command.commands) {
    child.exitOverride();
    inheritExitOverride(child);
  }
}
