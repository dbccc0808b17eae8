import { type Command, InvalidArgumentError } from "commander";
import { ListTasksResponseSchema, TaskSchema, TaskStatus } from "../../gen/miroir/v1/tasks_pb.js";
import { CommandError, ExitCode } from "../exit-codes.js";
import { messageJson, table } from "../output.js";
import { addCtlOptions, type CtlOptions, runCtl } from "./context.js";
import { taskStatus, taskType, time } from "./labels.js";

interface ListOptions extends CtlOptions {
  readonly limit: number;
  readonly from?: bigint;
  readonly index?: string[];
  readonly status?: TaskStatus[];
}

/** `miroir ctl task list|show`. */
export function addTaskCommands(parent: Command): void {
  const task = parent.command("task").description("Miroir's tasks and what they became on the nodes");
  addCtlOptions(
    task
      .command("list")
      .description("tasks, newest first")
      .option("--limit <count>", "how many", parseCount, 20)
      .option("--from <uid>", "the newest uid to show", parseUid)
      .option("--index <uid...>", "only these indexes")
      .option(
        "--status <status...>",
        "only these: enqueued, processing, succeeded, failed, canceled",
        parseStatus,
      ),
  ).action((options: ListOptions) =>
    runCtl(options, async ({ client, output }) => {
      const page = await client.tasks.listTasks({
        limit: options.limit,
        ...(options.from === undefined ? {} : { from: options.from }),
        indexUids: options.index ?? [],
        statuses: options.status ?? [],
      });
      output.result(messageJson(ListTasksResponseSchema, page), () => {
        output.line(
          table(
            ["TASK", "INDEX", "TYPE", "STATUS", "ENQUEUED", "FINISHED", "ERROR"],
            page.tasks.map((entry) => [
              entry.uid,
              entry.indexUid || "-",
              taskType(entry.type),
              taskStatus(entry.status),
              time(entry.enqueuedAt),
              time(entry.finishedAt),
              entry.error?.code ?? "",
            ]),
          ),
        );
        output.line(`${page.tasks.length} of ${page.total}`);
      });
    }),
  );
  addCtlOptions(
    task.command("show").description("one task with its node tasks").argument("<uid>", "task uid", parseUid),
  ).action((uid: bigint, options: CtlOptions) =>
    runCtl(options, async ({ client, output }) => {
      const { task: entry } = await client.tasks.getTask({ uid });
      if (entry === undefined) throw new CommandError(ExitCode.notFound, `there is no task ${uid}`);
      output.result(messageJson(TaskSchema, entry), () => {
        output.line(
          `task ${entry.uid}  ${taskType(entry.type)}  index ${entry.indexUid || "-"}  ${taskStatus(entry.status)}`,
        );
        output.line(
          `enqueued ${time(entry.enqueuedAt)}  started ${time(entry.startedAt)}  finished ${time(entry.finishedAt)}`,
        );
        if (entry.detailsJson !== "") output.line(`details ${entry.detailsJson}`);
        if (entry.error !== undefined) output.line(`error ${entry.error.code}: ${entry.error.message}`);
        output.line();
        output.line(
          table(
            ["NODE", "NODE TASK", "STATUS", "FINISHED", "DETAILS", "ERROR"],
            entry.nodeTasks.map((row) => [
              row.nodeId,
              row.nodeTaskUid,
              taskStatus(row.status),
              time(row.finishedAt),
              row.detailsJson,
              row.error?.message ?? "",
            ]),
          ),
        );
      });
    }),
  );
}

function parseUid(text: string): bigint {
  if (!/^\d{1,19}$/.test(text)) throw new InvalidArgumentError("expected a task uid: a whole number.");
  return BigInt(text);
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1 || count > 1_000)
    throw new InvalidArgumentError("expected a number from 1 to 1000.");
  return count;
}

function parseStatus(text: string, previous: TaskStatus[] | undefined): TaskStatus[] {
  const statuses: Record<string, TaskStatus> = {
    enqueued: TaskStatus.ENQUEUED,
    processing: TaskStatus.PROCESSING,
    succeeded: TaskStatus.SUCCEEDED,
    failed: TaskStatus.FAILED,
    canceled: TaskStatus.CANCELED,
  };
  const status = statuses[text];
  if (status === undefined)
    throw new InvalidArgumentError(`expected one of ${Object.keys(statuses).join(", ")}.`);
  return [...(previous ?? []), status];
}
