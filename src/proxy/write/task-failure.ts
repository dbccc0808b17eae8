import { errorLink, type MeilisearchErrorBody, type MeilisearchErrorType } from "../../meilisearch/errors.js";

/**
 * Why Meilisearch would fail the task of a write that it accepts. Found before anything is sent, it becomes a task that
 * is already failed, and no node sees the write.
 */
export interface TaskFailure {
  readonly error: MeilisearchErrorBody;
}

/** A failure with Meilisearch's code and message. */
export function taskFailure(
  code: string,
  message: string,
  type: MeilisearchErrorType = "invalid_request",
): TaskFailure {
  return { error: { message, code, type, link: errorLink(code) } };
}

/** A failure whose message Meilisearch puts the index's name in front of. */
export function indexTaskFailure(
  indexUid: string,
  code: string,
  message: string,
  type: MeilisearchErrorType = "invalid_request",
): TaskFailure {
  return taskFailure(code, `Index \`${indexUid}\`: ${message}`, type);
}

/** The failure of a task on an index that does not exist. */
export function indexNotFoundFailure(indexUid: string): TaskFailure {
  return taskFailure("index_not_found", `Index \`${indexUid}\` not found.`);
}
