import type { Command } from "commander";
import { addCompareCommand } from "./compare.js";
import { addControlListCommand } from "./control.js";
import { addElectCommand } from "./elect.js";
import { addGroupCommands } from "./groups.js";
import { addIndexCommands } from "./indexes.js";
import { addNodeCommands } from "./nodes.js";
import { addReplicaCommands } from "./replicas.js";
import { addStatusCommand } from "./status.js";
import { addTaskCommands } from "./tasks.js";
import { addTopologyCommands } from "./topology.js";
import { addVerifyCommand } from "./verify.js";
import { addWorkflowCommands } from "./workflows.js";

/** `miroir ctl`: what operators ask a running control plane. */
export function addCtlCommands(program: Command): void {
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
}
