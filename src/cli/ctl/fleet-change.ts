import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { type Command, InvalidArgumentError } from "commander";
import type { FleetChange } from "../../gen/miroir/v1/cluster_pb.js";
import { WorkflowSchema } from "../../gen/miroir/v1/workflows_pb.js";
import { messageJson, type Output, table } from "../output.js";
import { addCtlOptions, type CtlContext, type CtlOptions, runCtl } from "./context.js";
import { byteSize, duration } from "./labels.js";
import { requireCompleted, watchWorkflow } from "./watch-workflow.js";

/** Options of every command that changes the fleet. */
export interface FleetChangeOptions extends CtlOptions {
  readonly dryRun?: boolean;
  readonly watch?: boolean;
  readonly maxDocumentsPerSecond?: number;
}

/** Adds the options of {@link FleetChangeOptions} to a command. */
export function addFleetChangeOptions(command: Command): Command {
  command
    .option("--dry-run", "only show what it would take: moves, documents, bytes, time")
    .option("--watch", "show its progress, and end with it")
    .option(
      "--max-documents-per-second <count>",
      "how fast to copy (default: as fast as the nodes' queues allow)",
      parseWhole,
    );
  return addCtlOptions(command);
}

/** What a command that changes the fleet asks for. */
export interface FleetChangeCall<Desc extends DescMessage> {
  readonly schema: Desc;
  /** Makes the call. Admitting servers takes longer than other calls, so it has a limit of its own. */
  call(
    client: CtlContext["client"],
    mode: { readonly dryRun: boolean; readonly maxDocumentsPerSecond: number },
    options: { readonly timeoutMs: number },
  ): Promise<MessageShape<Desc> & { readonly change?: FleetChange | undefined }>;
}

/** Milliseconds for the servers that join to be looked at and emptied. */
const CALL_MS = 180_000;

/**
 * Asks for a change of the fleet, shows what it takes, and follows it where `--watch` was given.
 *
 * @throws CommandError where it is refused, or was watched and did not complete
 */
export async function runFleetChange<Desc extends DescMessage>(
  options: FleetChangeOptions,
  { call, schema }: FleetChangeCall<Desc>,
): Promise<void> {
  await runCtl(options, async ({ client, output }) => {
    const mode = {
      dryRun: options.dryRun === true,
      maxDocumentsPerSecond: options.maxDocumentsPerSecond ?? 0,
    };
    const response = await call(client, mode, { timeoutMs: CALL_MS });
    const { change } = response;
    const workflowId = change?.workflowId ?? "";
    if (options.watch !== true || workflowId === "") {
      output.result(messageJson(schema, response), () => {
        showChange(output, change);
        if (workflowId !== "") {
          output.line(`workflow ${workflowId} has begun; miroir ctl workflow watch ${workflowId} follows it`);
        } else output.line(conclusion(mode.dryRun, change));
      });
      return;
    }
    if (!output.json) showChange(output, change);
    const workflow = await watchWorkflow(client, output, workflowId);
    if (output.json) {
      const begun = messageJson(schema, response);
      const merged = typeof begun === "object" && !Array.isArray(begun) ? begun : {};
      output.result({ ...merged, workflow: messageJson(WorkflowSchema, workflow) }, () => undefined);
    }
    requireCompleted(workflow);
  });
}

function conclusion(dryRun: boolean, change: FleetChange | undefined): string {
  if (!dryRun) return "done";
  return change?.indexes.length === 0
    ? "nothing would have to be copied or given up; nothing was changed"
    : "nothing was changed; without --dry-run it is carried out";
}

/** Prints what a change takes. */
function showChange(output: Output, change: FleetChange | undefined): void {
  if (change === undefined) return;
  const { batches, bytes, documents, indexes, nodes, seconds, warnings } = change;
  const moves = indexes.flatMap((index) => index.moves);
  const given = moves.filter(({ toNodeId }) => toNodeId === "").length;
  const repairs = indexes.reduce((sum, { repairNodeIds }) => sum + repairNodeIds.length, 0);
  if (indexes.length > 0) {
    const parts = [
      ...(moves.length > given ? [`${moves.length - given} shard replicas to copy`] : []),
      ...(given > 0 ? [`${given} to give up`] : []),
      ...(repairs > 0 ? [`${repairs} stale replicas to repair`] : []),
    ];
    output.line(
      `${parts.join(", ")}, of ${indexes.length} ${indexes.length === 1 ? "index" : "indexes"}: ` +
        `about ${documents} documents, ${byteSize(bytes)}, ${duration(seconds)}, in ${batches} ${batches === 1 ? "copy" : "copies"}`,
    );
    output.line();
    output.line(
      table(
        ["NODE", "GROUP", "ZONE", "SHARDS", "IN", "OUT", "THEN"],
        nodes.map((node) => [
          node.nodeId,
          node.group,
          node.zone || "-",
          node.replicasBefore,
          node.replicasIn,
          node.replicasOut,
          node.replicasAfter,
        ]),
      ),
    );
    output.line();
  }
  for (const warning of warnings) output.line(`warning: ${warning}`);
}

/** A whole number from 1 of the command line. */
export function parseWhole(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1)
    throw new InvalidArgumentError("expected a whole number from 1.");
  return count;
}

/** A group's number of the command line. */
export function parseGroup(text: string): number {
  const group = Number(text);
  if (!Number.isInteger(group) || group < 0 || group > 63) {
    throw new InvalidArgumentError("expected a number from 0 to 63.");
  }
  return group;
}
