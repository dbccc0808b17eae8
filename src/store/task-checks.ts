import { InvalidArgumentError } from "./errors.js";
import { checkBatch, checkInteger, checkText, checkTime, maxTaskBatch, maxTaskPage } from "./limits.js";
import { nodeTaskOfUpdate } from "./merge-task.js";
import {
  isFinalStatus,
  type NodeTaskRow,
  type NodeTaskUpdate,
  type TaskErrorRow,
  type TaskFilter,
  type TaskPageRequest,
  type TaskRow,
  type TaskStatus,
  taskStatuses,
  taskTypes,
} from "./task-store.js";

/** Node tasks that one call of `upsert` takes at most, over all its tasks. */
const maxNodeTasks = 10_000;
const maxNameLength = 512;
const statuses: ReadonlySet<string> = new Set(taskStatuses);
const types: ReadonlySet<string> = new Set(taskTypes);

/** Refuses calls of `upsert` that no store could keep, or that would hold up other calls. */
export function checkTasks(tasks: readonly TaskRow[]): void {
  checkTaskBatch(tasks, "tasks");
  let nodeTasks = 0;
  for (const task of tasks) {
    checkTask(task);
    nodeTasks += task.nodeTasks.length;
  }
  checkInteger(nodeTasks, 0, maxNodeTasks, "The number of node tasks of one call");
}

/** Refuses calls of `applyNodeTaskUpdates` that no store could keep, or that would hold up other calls. */
export function checkNodeTaskUpdates(updates: readonly NodeTaskUpdate[]): void {
  checkTaskBatch(updates, "node task updates");
  for (const update of updates) {
    checkNodeTask(nodeTaskOfUpdate(update));
    if (update.taskUid !== undefined) checkInteger(update.taskUid, 0, Number.MAX_SAFE_INTEGER, "A task uid");
  }
}

/** Refuses filters with too many values or bounds that are no times. */
export function checkFilter(filter: TaskFilter): void {
  for (const values of [filter.uids, filter.indexUids, filter.statuses, filter.types, filter.canceledBy]) {
    if (values !== undefined) checkBatch(values, "values of one filter");
  }
  for (const time of [
    filter.beforeEnqueuedAt,
    filter.afterEnqueuedAt,
    filter.beforeStartedAt,
    filter.afterStartedAt,
    filter.beforeFinishedAt,
    filter.afterFinishedAt,
  ]) {
    checkTime(time, "A bound of a time range");
  }
  for (const uids of [filter.uids, filter.canceledBy]) {
    if (uids?.some((uid) => !Number.isSafeInteger(uid))) {
      throw new InvalidArgumentError("A filter's uids are integers below 2^53.");
    }
  }
}

/** Refuses pages that start or end nowhere. */
export function checkPage(page: TaskPageRequest): void {
  checkInteger(page.limit, 0, maxTaskPage, "A page's limit");
  if (page.from !== undefined) checkInteger(page.from, 0, Number.MAX_SAFE_INTEGER, "The uid to start from");
}

function checkTaskBatch(entries: readonly unknown[], what: string): void {
  if (entries.length > maxTaskBatch) {
    throw new InvalidArgumentError(
      `A call takes at most ${maxTaskBatch} ${what}, not ${entries.length}; split it into several.`,
    );
  }
}

function checkTask(task: TaskRow): void {
  const what = `Task ${task.uid}`;
  checkInteger(task.uid, 0, Number.MAX_SAFE_INTEGER, "A task uid");
  if (task.indexUid === "") throw new InvalidArgumentError(`${what} has an empty index; use null for none.`);
  checkName(task.indexUid, `${what}: indexUid`);
  checkName(task.instance, `${what}: instance`);
  if (!types.has(task.type)) throw new InvalidArgumentError(`${what} has the unknown type "${task.type}".`);
  checkStatus(task.status, what);
  if (isFinalStatus(task.status) && task.finishedAt === null) {
    throw new InvalidArgumentError(`${what} is ${task.status} and has no finishedAt.`);
  }
  checkTime(task.enqueuedAt, `${what}: enqueuedAt`);
  checkTime(task.startedAt, `${what}: startedAt`);
  checkTime(task.finishedAt, `${what}: finishedAt`);
  checkText(task.detailsJson, `${what}: details`);
  checkText(task.customMetadata, `${what}: customMetadata`);
  checkError(task.error, what);
  if (task.canceledBy !== null) {
    checkInteger(task.canceledBy, 0, Number.MAX_SAFE_INTEGER, `${what}: canceledBy`);
  }
  for (const [shard, documents] of task.documentsByShard) {
    checkInteger(shard, 0, Number.MAX_SAFE_INTEGER, `${what}: a shard`);
    checkInteger(documents, 0, Number.MAX_SAFE_INTEGER, `${what}: the documents of a shard`);
  }
  for (const nodeTask of task.nodeTasks) checkNodeTask(nodeTask);
}

function checkNodeTask(nodeTask: NodeTaskRow): void {
  const what = `Task ${nodeTask.nodeTaskUid} of ${nodeTask.nodeId}`;
  checkInteger(nodeTask.nodeTaskUid, 0, 2 ** 32 - 1, "A node's task uid");
  checkName(nodeTask.nodeId, `${what}: nodeId`);
  checkStatus(nodeTask.status, what);
  checkTime(nodeTask.startedAt, `${what}: startedAt`);
  checkTime(nodeTask.finishedAt, `${what}: finishedAt`);
  checkText(nodeTask.detailsJson, `${what}: details`);
  checkError(nodeTask.error, what);
  for (const shard of nodeTask.shards) checkInteger(shard, 0, Number.MAX_SAFE_INTEGER, `${what}: a shard`);
}

function checkStatus(status: TaskStatus, what: string): void {
  if (!statuses.has(status)) throw new InvalidArgumentError(`${what} has the unknown status "${status}".`);
}

function checkName(name: string | null, what: string): void {
  if (name !== null && name.length > maxNameLength) {
    throw new InvalidArgumentError(`${what} has at most ${maxNameLength} characters, not ${name.length}.`);
  }
  checkText(name, what);
}

function checkError(error: TaskErrorRow | null, what: string): void {
  if (error === null) return;
  for (const text of [error.message, error.code, error.type, error.link]) {
    checkText(text, `${what}: a text of its error`);
  }
}
