import { detailsOfGuarded, messageAboutClient } from "../../rhai/guarded-function.js";
import type { NodeTaskRow, TaskErrorRow, TaskRow } from "../../store/task-store.js";

/** The error of an edit by a function, which nodes report about the function as they got it; other tasks' as it is. */
export function editError(error: TaskErrorRow, { type, detailsJson, nodeTasks }: TaskRow): TaskErrorRow {
  if (type !== "documentEdition") return error;
  const details = detailsJson ?? nodeTasks.map(editDetails).find((known) => known !== null) ?? "{}";
  const { function: source } = JSON.parse(details) as { readonly function?: string };
  return source === undefined ? error : { ...error, message: messageAboutClient(error.message, source) };
}

/** The client's details of an edit, from those of its task on a node; null where the node has told none. */
export function editDetails({ detailsJson }: NodeTaskRow): string | null {
  if (detailsJson === null) return null;
  const { function: guarded } = JSON.parse(detailsJson) as { readonly function?: string };
  return guarded === undefined ? null : detailsOfGuarded(guarded);
}
