import type { Command } from "commander";
import {
  ListWorkflowsResponseSchema,
  type Workflow,
  WorkflowSchema,
} from "../../gen/miroir/v1/workflows_pb.js";
import { CommandError, ExitCode } from "../exit-codes.js";
import { messageJson, type Output, table } from "../output.js";
import { addCtlOptions, type CtlContext, type CtlOptions, runCtl } from "./context.js";
import { parseWhole } from "./fleet-change.js";
import { time, workflowKind, workflowStatus } from "./labels.js";
import { describe, requireCompleted, watchWorkflow } from "./watch-workflow.js";

interface ListOptions extends CtlOptions {
  readonly limit: number;
  readonly pageToken?: string;
}

/** `miroir ctl workflow list|show|watch|cancel`. */
export function addWorkflowCommands(parent: Command): void {
  const workflow = parent
    .command("workflow")
    .description("changes of the fleet: what runs, and what has run");
  const list = workflow
    .command("list")
    .description("workflows, newest first")
    .option("--limit <count>", "how many", parseWhole, 20)
    .option("--page-token <token>", "from the previous page");
  addCtlOptions(list).action((options: ListOptions) =>
    runCtl(options, (context) => listWorkflows(context, options)),
  );
  addCtlOptions(
    workflow.command("show").description("one workflow with its events").argument("<id>", "its id"),
  ).action((id: string, options: CtlOptions) =>
    runCtl(options, async ({ client, output }) => {
      const { workflow: found } = await client.workflows.getWorkflow({ id });
      if (found === undefined) throw new CommandError(ExitCode.notFound, `there is no workflow ${id}`);
      output.result(messageJson(WorkflowSchema, found), () => show(output, found));
    }),
  );
  addCtlOptions(
    workflow
      .command("watch")
      .description("follow a workflow to its end; exit code 0 where it completes")
      .argument("<id>", "its id"),
  ).action((id: string, options: CtlOptions) =>
    runCtl(options, async ({ client, output }) => {
      const ended = await watchWorkflow(client, output, id);
      if (output.json) output.result(messageJson(WorkflowSchema, ended), () => undefined);
      requireCompleted(ended);
    }),
  );
  addCtlOptions(
    workflow
      .command("cancel")
      .description("end a workflow; shards that have moved stay where they are")
      .argument("<id>", "its id"),
  ).action((id: string, options: CtlOptions) => runCtl(options, (context) => cancelWorkflow(context, id)));
}

/** Cancels a workflow and shows what has become of it. */
export async function cancelWorkflow({ client, output }: CtlContext, id: string): Promise<void> {
  const { workflow } = await client.workflows.cancelWorkflow({ id });
  if (workflow === undefined) throw new CommandError(ExitCode.notFound, `there is no workflow ${id}`);
  output.result(messageJson(WorkflowSchema, workflow), () =>
    output.line(`workflow ${workflow.id} (${workflow.title}): ${workflowStatus(workflow.status)}`),
  );
}

async function listWorkflows(
  { client, output }: CtlContext,
  { limit, pageToken }: ListOptions,
): Promise<void> {
  const page = await client.workflows.listWorkflows({ pageSize: limit, pageToken: pageToken ?? "" });
  output.result(messageJson(ListWorkflowsResponseSchema, page), () => {
    output.line(
      table(
        ["WORKFLOW", "KIND", "STATUS", "SHARDS", "CREATED", "FINISHED", "WHAT", "REASON"],
        page.workflows.map((entry) => [
          entry.id,
          workflowKind(entry.kind),
          workflowStatus(entry.status),
          `${entry.progress?.shardsDone ?? 0n}/${entry.progress?.shardsTotal ?? 0n}`,
          time(entry.createdAt),
          time(entry.finishedAt),
          entry.title,
          entry.reason,
        ]),
      ),
    );
    if (page.nextPageToken !== "") output.line(`more: --page-token ${page.nextPageToken}`);
  });
}

function show(output: Output, workflow: Workflow): void {
  output.line(`workflow ${workflow.id}  ${workflowKind(workflow.kind)}  ${workflowStatus(workflow.status)}`);
  output.line(`created ${time(workflow.createdAt)}  finished ${time(workflow.finishedAt)}`);
  output.line(describe(workflow));
  for (const { copy, indexUid, progress } of workflow.copies) {
    const waiting = progress?.waitingFor ?? "";
    const error = progress?.lastError ?? "";
    output.line(
      `copy ${copy?.id ?? "-"} of ${indexUid}: ${progress?.documentsCopied ?? 0n} documents copied, ${progress?.documentsLeft ?? 0n} left` +
        `${waiting === "" ? "" : `; waits for ${waiting}`}${error === "" ? "" : `; ${error}`}`,
    );
  }
  if (workflow.events.length > 0) output.line();
  for (const { at, text } of workflow.events) output.line(`${time(at)}  ${text}`);
}
