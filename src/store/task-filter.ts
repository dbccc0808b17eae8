import type { TaskFilter, TaskRow } from "./task-store.js";

/** Whether a task is one of those that a filter asks for. */
export function matchesFilter(task: TaskRow, filter: TaskFilter): boolean {
  return (
    isAmong(task.uid, filter.uids) &&
    isAmong(task.indexUid, filter.indexUids) &&
    isAmong(task.status, filter.statuses) &&
    isAmong(task.type, filter.types) &&
    isAmong(task.canceledBy, filter.canceledBy) &&
    isBetween(task.enqueuedAt, filter.afterEnqueuedAt, filter.beforeEnqueuedAt) &&
    isBetween(task.startedAt, filter.afterStartedAt, filter.beforeStartedAt) &&
    isBetween(task.finishedAt, filter.afterFinishedAt, filter.beforeFinishedAt)
  );
}

function isAmong<T>(value: T | null, values: readonly T[] | undefined): boolean {
  return values === undefined || (value !== null && values.includes(value));
}

function isBetween(value: number | null, after: number | undefined, before: number | undefined): boolean {
  if (after === undefined && before === undefined) return true;
  return value !== null && (after === undefined || value > after) && (before === undefined || value < before);
}
