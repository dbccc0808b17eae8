import type { Task, TaskError } from "../gen/miroir/v1/tasks_pb.js";
import { formatDuration, formatMoment, type Instant } from "./rfc3339.js";
import { statusName, typeName } from "./task-names.js";

/** One task as JSON text, members in Meilisearch's order. Each task is a batch of its own, under its own uid. */
export function printTask(task: Task): string {
  const { startedAt, finishedAt } = task;
  const duration =
    startedAt === undefined || finishedAt === undefined ? null : formatDuration(startedAt, finishedAt);
  const members = [
    `"uid":${task.uid}`,
    `"batchUid":${startedAt === undefined ? null : task.uid}`,
    `"indexUid":${task.indexUid === "" ? null : JSON.stringify(task.indexUid)}`,
    `"status":"${statusName(task.status)}"`,
    `"type":"${typeName(task.type)}"`,
    `"canceledBy":${task.canceledBy ?? null}`,
    ...(task.detailsJson === "" ? [] : [`"details":${task.detailsJson}`]),
    `"error":${task.error === undefined ? null : printError(task.error)}`,
    `"duration":${JSON.stringify(duration)}`,
    `"enqueuedAt":${time(task.enqueuedAt)}`,
    `"startedAt":${time(startedAt)}`,
    `"finishedAt":${time(finishedAt)}`,
  ];
  if (task.customMetadata !== "" || task.emptyCustomMetadata)
    members.push(`"customMetadata":${JSON.stringify(task.customMetadata)}`);
  return `{${members.join(",")}}`;
}

function printError({ message, code, type, link }: TaskError): string {
  return JSON.stringify({ message, code, type, link });
}

function time(instant: Instant | undefined): string {
  return instant === undefined ? "null" : `"${formatMoment(instant)}"`;
}
