import { type Task, TaskStatus, TaskType } from "../../gen/miroir/v1/tasks_pb.js";
import { formatDuration, formatMoment, type Instant } from "../../tasks/rfc3339.js";
import { statusName, typeName } from "../../tasks/task-names.js";
import type { ControlTransport } from "../control-transport.js";
import { apiError } from "../http/api-errors.js";
import type { TaskLookups } from "./task-lookups.js";
import { findTask, listPage, readTaskQuery, type TaskVisibility, uidInPath } from "./tasks.js";

/** A task belongs to a batch from its start on. */
const STARTED: readonly TaskStatus[] = [
  TaskStatus.PROCESSING,
  TaskStatus.SUCCEEDED,
  TaskStatus.FAILED,
  TaskStatus.CANCELED,
];

/**
 * `GET /batches`: each task that has started, as a batch of its own under its own uid.
 *
 * @param query the client's query string
 * @throws MeilisearchError
 */
export async function listBatches(
  control: ControlTransport,
  query: string,
  signal: AbortSignal,
  visibility: TaskVisibility = { kind: "all" },
): Promise<string> {
  const asked = readTaskQuery(query, visibility);
  // What a cancelation ended belongs to the batch of the cancelation.
  const { canceledBy: cancelation } = asked;
  const statuses = cancelation === undefined ? STARTED : [TaskStatus.SUCCEEDED];
  return listPage(
    control,
    {
      ...asked,
      uids: both(asked.uids, cancelation),
      types: cancelation === undefined ? asked.types : both(asked.types, [TaskType.TASK_CANCELATION]),
      statuses: both(asked.statuses, statuses),
      canceledBy: undefined,
    },
    printBatch,
    signal,
  );
}

/**
 * `GET /batches/{uid}`. `unregistered` gives the tasks that this proxy accepted and the control plane was not told of yet.
 *
 * @throws MeilisearchError
 */
export async function getBatch(
  lookups: TaskLookups,
  uidText: string,
  signal: AbortSignal,
  unregistered: (uid: bigint) => Task | undefined,
  visibility: TaskVisibility = { kind: "all" },
): Promise<string> {
  const uid = uidInPath(uidText, "batch");
  const task = await findTask(lookups, uid, signal, unregistered, visibility);
  if (task === undefined || !STARTED.includes(task.status)) {
    throw apiError(404, "batch_not_found", `Batch \`${uid}\` not found.`);
  }
  return printBatch(task);
}

/** One task as the batch that consists of it, as JSON text, members in Meilisearch's order. */
export function printBatch(task: Task): string {
  const { uid, finishedAt, indexUid } = task;
  const startedAt = task.startedAt ?? task.enqueuedAt;
  const type = typeName(task.type);
  const duration =
    startedAt === undefined || finishedAt === undefined ? null : formatDuration(startedAt, finishedAt);
  const stats = {
    totalNbTasks: 1,
    status: { [statusName(task.status)]: 1 },
    types: { [type]: 1 },
    indexUids: indexUid === "" ? {} : { [indexUid]: 1 },
    ...(startedAt === undefined || finishedAt === undefined
      ? {}
      : { progressTrace: { "processing tasks": traceDuration(startedAt, finishedAt) } }),
  };
  const members = [
    `"uid":${uid}`,
    `"progress":null`,
    `"details":${detailsOf(task)}`,
    `"stats":${JSON.stringify(stats)}`,
    `"duration":${JSON.stringify(duration)}`,
    `"startedAt":${startedAt === undefined ? null : `"${formatMoment(startedAt)}"`}`,
    `"finishedAt":${finishedAt === undefined ? null : `"${formatMoment(finishedAt)}"`}`,
    `"batchStrategy":${JSON.stringify(strategyOf(task, type))}`,
  ];
  return `{${members.join(",")}}`;
}

/** A duration as the trace of a batch prints it, such as `33.00ms`. */
function traceDuration(start: Instant, end: Instant): string {
  const ms = Math.max(0, Number(end.seconds - start.seconds) * 1_000 + (end.nanos - start.nanos) / 1e6);
  return ms >= 1_000 ? `${(ms / 1_000).toFixed(2)}s` : `${ms.toFixed(2)}ms`;
}

/** What a batch tells of its tasks: members without a value are left out, but for the settings that were reset. */
function detailsOf({ type, detailsJson, status }: Task): string {
  if (detailsJson === "") return "{}";
  if (type === TaskType.SETTINGS_UPDATE || status === TaskStatus.PROCESSING) return detailsJson;
  const details = JSON.parse(detailsJson) as Record<string, unknown>;
  return JSON.stringify(Object.fromEntries(Object.entries(details).filter(([, value]) => value !== null)));
}

const ALONE: readonly TaskType[] = [
  TaskType.INDEX_CREATION,
  TaskType.INDEX_UPDATE,
  TaskType.INDEX_SWAP,
  TaskType.TASK_CANCELATION,
  TaskType.DUMP_CREATION,
  TaskType.EXPORT,
  TaskType.INDEX_COMPACTION,
];

const KIND_ALONE: readonly TaskType[] = [
  TaskType.TASK_DELETION,
  TaskType.SNAPSHOT_CREATION,
  TaskType.UPGRADE_DATABASE,
];

/** What Meilisearch says of a batch of this one task, with no other task behind it. */
function strategyOf({ uid, type }: Task, name: string): string {
  if (type === TaskType.INDEX_DELETION)
    return `stopped after task with id ${uid} because it deletes the index`;
  if (ALONE.includes(type)) {
    return `created batch containing only task with id ${uid} of type \`${name}\` that cannot be batched with any other task.`;
  }
  if (KIND_ALONE.includes(type)) {
    return `stopped after the last task of type \`${name}\` because they cannot be batched with tasks of any other type.`;
  }
  return "batched all enqueued tasks";
}

/** Undefined restricts nothing. */
function both<T>(a: readonly T[] | undefined, b: readonly T[] | undefined): readonly T[] | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a.filter((value) => b.includes(value));
}
