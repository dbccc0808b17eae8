// Measures side by side in one run, and prints ratios: Miroir beside one plain node, its proxy beside others, the stores beside each other.
import { Command } from "commander";
import { addBodiesCommand } from "./bodies-command.js";
import { addChartCommand } from "./chart-command.js";
import { addControlCommand } from "./control-command.js";
import { addForwardingCommand } from "./forwarding-command.js";
import { addIngestCommand } from "./ingest-command.js";
import { addLargeImportCommand } from "./large-import-command.js";
import { addMergeCommand } from "./merge-command.js";
import { addMixedCommand } from "./mixed-command.js";
import { addNodeLossCommand } from "./node-loss-command.js";
import { addProxyCommand } from "./proxy-command.js";
import { addRenameCommand } from "./rename-command.js";
import { addRouteCommand } from "./route-command.js";
import { addScaleCommand } from "./scale-command.js";
import { addSearchCommand } from "./search-command.js";
import { addStoreCommands } from "./store-command.js";
import { addTailCommand } from "./tail-command.js";

const program = new Command("bench").description(
  "measures Miroir beside others in one run; progress goes to standard error, results to standard output",
);
addSearchCommand(program);
addIngestCommand(program);
addLargeImportCommand(program);
addBodiesCommand(program);
addMixedCommand(program);
addProxyCommand(program);
addMergeCommand(program);
addRouteCommand(program);
addScaleCommand(program);
addStoreCommands(program);
addRenameCommand(program);
addForwardingCommand(program);
addNodeLossCommand(program);
addTailCommand(program);
addControlCommand(program);
addChartCommand(program);
await program.parseAsync();
process.exit(0);
