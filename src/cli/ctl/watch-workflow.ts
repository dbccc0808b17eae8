import { setTimeout as sleep } from "node:timers/promises";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import type { MiroirClient } from "../../client/index.js";
import { type Workflow, WorkflowStatus } from "../../gen/miroir/v1/workflows_pb.js";
import { CommandError, ExitCode } from "../exit-codes.js";
import type { Output } from "../output.js";
import { progressBar } from "../progress.js";
import { byteSize, duration, workflowStatus } from "./labels.js";

/** Attempts, a second apart, to find a control plane again that went away. */
const ATTEMPTS = 60;
const ATTEMPT_MS = 1_000;

/**
 * Follows a workflow to its end, over changes of the leader too: a bar with the time left on a terminal; elsewhere its events and a line
 * every tenth; nothing where JSON was asked for.
 */
export async function watchWorkflow(client: MiroirClient, output: Output, id: string): Promise<Workflow> {
  const display = output.json ? undefined : createDisplay(output);
  let failures = 0;
  for (;;) {
    try {
      for await (const { workflow } of client.workflows.watchWorkflow({ id })) {
        if (workflow === undefined) continue;
        failures = 0;
        display?.show(workflow);
        if (!isRunning(workflow)) {
          display?.end(workflow);
          return workflow;
        }
      }
    } catch (error) {
      const isAway = error instanceof ConnectError && error.code === Code.Unavailable;
      if (!isAway || failures >= ATTEMPTS) throw error;
    }
    failures += 1;
    await sleep(ATTEMPT_MS);
  }
}

/** Whether a workflow has not ended. */
export function isRunning({ status }: Workflow): boolean {
  return status === WorkflowStatus.RUNNING || status === WorkflowStatus.CANCELLING;
}

/** @throws CommandError where a workflow ended without having done all of its work */
export function requireCompleted({ id, reason, status, title }: Workflow): void {
  if (status === WorkflowStatus.COMPLETED) return;
  const why = reason === "" ? "" : `: ${reason}`;
  throw new CommandError(ExitCode.failure, `workflow ${id} (${title}) ${workflowStatus(status)}${why}`);
}

interface Display {
  show(workflow: Workflow): void;
  end(workflow: Workflow): void;
}

function createDisplay(output: Output): Display {
  return process.stderr.isTTY === true ? terminalDisplay(output) : lineDisplay(output);
}

function terminalDisplay(output: Output): Display {
  return {
    show: (workflow) => {
      const width = process.stderr.columns ?? 120;
      process.stderr.write(
        `\r\u001b[K${`${progressBar(shareDone(workflow))} ${describe(workflow)}`.slice(0, width - 1)}`,
      );
    },
    end: (workflow) => {
      process.stderr.write("\r\u001b[K");
      output.line(`${workflow.title}: ${workflowStatus(workflow.status)}, ${totals(workflow)}`);
    },
  };
}

function lineDisplay(output: Output): Display {
  let shown = 0;
  let tenth = -1;
  let reason = "";
  return {
    show: (workflow) => {
      const events = workflow.events.filter(
        ({ at }) => at !== undefined && timestampDate(at).getTime() > shown,
      );
      for (const { at, text } of events) {
        if (at === undefined) continue;
        shown = Math.max(shown, timestampDate(at).getTime());
        output.line(`${timestampDate(at).toISOString()}  ${text}`);
      }
      const now = Math.floor(shareDone(workflow) * 10);
      if (now === tenth && workflow.reason === reason) return;
      tenth = now;
      reason = workflow.reason;
      output.line(describe(workflow));
    },
    end: (workflow) =>
      output.line(`${workflow.title}: ${workflowStatus(workflow.status)}, ${totals(workflow)}`),
  };
}

function shareDone({ progress }: Workflow): number {
  const total = Number(progress?.shardsTotal ?? 0n);
  return total === 0 ? 0 : Math.min(1, Number(progress?.shardsDone ?? 0n) / total);
}

/** How far a workflow has come, in one line. */
export function describe(workflow: Workflow): string {
  const { progress, reason, title } = workflow;
  const percent = `${Math.floor(shareDone(workflow) * 100)} %`;
  const shards = `${progress?.shardsDone ?? 0n}/${progress?.shardsTotal ?? 0n} shard replicas`;
  const rate = Math.round(progress?.documentsPerSecond ?? 0);
  const left = progress?.secondsLeft ?? 0;
  return [
    `${title}  ${percent.padStart(5)}  ${shards}`,
    `${progress?.documentsCopied ?? 0n} documents${rate > 0 ? ` at ${rate}/s` : ""}`,
    ...(left > 0 ? [`${duration(left)} left`] : []),
    ...(reason === "" ? [] : [reason]),
  ].join("  ");
}

function totals({ createdAt, finishedAt, progress }: Workflow): string {
  const took =
    createdAt === undefined || finishedAt === undefined
      ? ""
      : ` in ${duration((timestampDate(finishedAt).getTime() - timestampDate(createdAt).getTime()) / 1_000)}`;
  return `${progress?.shardsDone ?? 0n} shard replicas, ${progress?.documentsCopied ?? 0n} documents, ${byteSize(progress?.bytesCopied ?? 0n)}${took}`;
}
