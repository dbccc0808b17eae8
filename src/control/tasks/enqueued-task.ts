import type { TaskRow } from "../../store/task-store.js";

/** A task that was enqueued and has neither started nor gone to any node, with what `row` says of it. */
export function enqueuedTask(
  row: Pick<TaskRow, "uid" | "indexUid" | "instance" | "type" | "detailsJson" | "enqueuedAt">,
): TaskRow {
  return {
    ...row,
    status: "enqueued",
    error: null,
    startedAt: null,
    finishedAt: null,
    canceledBy: null,
    customMetadata: null,
    documentsByShard: new Map(),
    nodeTasks: [],
  };
}
