import type { Command } from "commander";
import {
  RebalanceResponseSchema,
  RepairResponseSchema,
  ReshardResponseSchema,
  SetReplicationResponseSchema,
} from "../../gen/miroir/v1/cluster_pb.js";
import { type Workflow, WorkflowKind, WorkflowSchema } from "../../gen/miroir/v1/workflows_pb.js";
import { CommandError, ExitCode } from "../exit-codes.js";
import { messageJson } from "../output.js";
import { type CtlContext, runCtl } from "./context.js";
import {
  addFleetChangeOptions,
  type FleetChangeOptions,
  parseWhole,
  runFleetChange,
} from "./fleet-change.js";
import { isRunning, requireCompleted, watchWorkflow } from "./watch-workflow.js";
import { cancelWorkflow } from "./workflows.js";

/** `miroir ctl replication set`, `rebalance`, `repair` and `reshard`. */
export function addReplicaCommands(parent: Command): void {
  const replication = parent.command("replication").description("how many replicas every shard has");
  const set = replication
    .command("set")
    .description("set the number of replicas of each shard inside every group, for all indexes")
    .argument("<replicas>", "1 or more", parseWhole);
  addFleetChangeOptions(set).action((replicationFactor: number, options: FleetChangeOptions) =>
    runFleetChange(options, {
      schema: SetReplicationResponseSchema,
      call: (client, mode, callOptions) =>
        client.cluster.setReplication({ replicationFactor, ...mode }, callOptions),
    }),
  );
  addRebalanceCommand(parent);
  const collect = (value: string, all: readonly string[] = []) => [...all, value];
  const repair = parent
    .command("repair")
    .description("bring stale replicas back now, rather than when the control plane would by itself")
    .option("--index <uid>", "an index; give it once for each (default: all)", collect)
    .option("--node <node>", "a node; give it once for each (default: all)", collect);
  addFleetChangeOptions(repair).action(
    (options: FleetChangeOptions & { readonly index?: string[]; readonly node?: string[] }) =>
      runFleetChange(options, {
        schema: RepairResponseSchema,
        call: (client, mode, callOptions) => {
          const { index = [], node = [] } = options;
          return client.cluster.repair({ indexUids: index, nodeIds: node, ...mode }, callOptions);
        },
      }),
  );
  const reshard = parent
    .command("reshard")
    .description("cut an index into another number of shards; only --dry-run is built yet")
    .argument("<index>", "its uid")
    .argument("<shards>", "how many", parseWhole);
  addFleetChangeOptions(reshard).action((indexUid: string, shards: number, options: FleetChangeOptions) =>
    runFleetChange(options, {
      schema: ReshardResponseSchema,
      call: (client, mode, callOptions) => client.cluster.reshard({ indexUid, shards, ...mode }, callOptions),
    }),
  );
}

function addRebalanceCommand(parent: Command): void {
  const command = parent
    .command("rebalance")
    .description(
      "even out what the nodes hold, by their weights, and tell zones apart; with --watch it follows a rebalance that runs already",
    )
    .option("--cancel", "end the rebalance that runs; what has moved stays where it is");
  addFleetChangeOptions(command).action(
    async (options: FleetChangeOptions & { readonly cancel?: boolean }) => {
      if (options.cancel === true) return await runCtl(options, cancelRebalance);
      if (options.watch === true && (await followRunning(options))) return;
      await runFleetChange(options, {
        schema: RebalanceResponseSchema,
        call: (client, mode, callOptions) => client.cluster.rebalance(mode, callOptions),
      });
    },
  );
}

async function cancelRebalance(context: CtlContext): Promise<void> {
  const running = await runningRebalance(context);
  if (running === undefined) throw new CommandError(ExitCode.notFound, "no rebalance is running");
  await cancelWorkflow(context, running.id);
}

/** Whether a rebalance was running, and has been followed to its end. */
async function followRunning(options: FleetChangeOptions): Promise<boolean> {
  let found = false;
  await runCtl(options, async (context) => {
    const running = await runningRebalance(context);
    if (running === undefined) return;
    found = true;
    const workflow = await watchWorkflow(context.client, context.output, running.id);
    if (context.output.json) context.output.result(messageJson(WorkflowSchema, workflow), () => undefined);
    requireCompleted(workflow);
  });
  return found;
}

async function runningRebalance({ client }: CtlContext): Promise<Workflow | undefined> {
  const { workflows } = await client.workflows.listWorkflows({});
  return workflows.find((workflow) => workflow.kind === WorkflowKind.REBALANCE && isRunning(workflow));
}
