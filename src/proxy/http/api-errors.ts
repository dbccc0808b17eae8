import { errorLink, MeilisearchError, type MeilisearchErrorType } from "../../meilisearch/errors.js";

/** A refusal in Meilisearch's shape; `link` follows from the code. */
export function apiError(
  status: number,
  code: string,
  message: string,
  type: MeilisearchErrorType = "invalid_request",
  options: ErrorOptions & { retryAfterSeconds?: number } = {},
): MeilisearchError {
  return new MeilisearchError(status, { message, code, type, link: errorLink(code) }, options);
}

/** 404 for an index that the catalogue does not hold. */
export function indexNotFound(uid: string): MeilisearchError {
  return apiError(404, "index_not_found", `Index \`${uid}\` not found.`);
}

/** 404 for a document; `id` as it stood in the path. */
export function documentNotFound(id: string): MeilisearchError {
  return apiError(404, "document_not_found", `Document \`${id}\` not found.`);
}

/** Longest index uid, in bytes of UTF-8; Meilisearch's message tells of 512. */
const MAX_INDEX_UID_BYTES = 400;

/** 400 for a search that no node finds fault with, and that Miroir cannot make sense of. */
export function notUnderstood(): MeilisearchError {
  return apiError(400, "bad_request", "The search parameters could not be understood.");
}

/** What is wrong with an index uid, in Meilisearch's words; undefined for a valid one. */
export function indexUidFault(uid: string): string | undefined {
  if (uid !== "" && uid.length <= MAX_INDEX_UID_BYTES && /^[A-Za-z0-9_-]+$/.test(uid)) return undefined;
  return `\`${uid}\` is not a valid index uid. Index uid can be an integer or a string containing only alphanumeric characters, hyphens (-) and underscores (_), and can not be more than 512 bytes.`;
}

/**
 * The index uid of a path.
 *
 * @throws MeilisearchError `invalid_index_uid`
 */
export function checkedIndexUid(uid: string): string {
  const fault = indexUidFault(uid);
  if (fault !== undefined) throw apiError(400, "invalid_index_uid", fault);
  return uid;
}

/** 503: this proxy may not write and knows no other that may. */
export function noWriteLease(reason: string): MeilisearchError {
  return apiError(
    503,
    "miroir_no_write_lease",
    `No proxy holds a valid write lease: ${reason}. Reads are served; repeat the write after a moment.`,
    "system",
    { retryAfterSeconds: 1 },
  );
}

/** 503: for as long as a write may be held, no proxy took it. */
export function writeHeld(indexUid: string, reason: string): MeilisearchError {
  return apiError(
    503,
    "miroir_no_write_lease",
    `Index \`${indexUid}\` has no writer at present: ${reason}. Nothing was written; repeat the write after a moment.`,
    "system",
    { retryAfterSeconds: 1 },
  );
}

/** 503: no replica of these shards can be read. */
export function shardUnavailable(shards: readonly number[], options?: ErrorOptions): MeilisearchError {
  return apiError(
    503,
    "miroir_shard_unavailable",
    `No readable replica of ${shards.length === 1 ? "shard" : "shards"} ${shards.join(", ")} answered.`,
    "system",
    { retryAfterSeconds: 1, ...options },
  );
}

/** 503: no topology has arrived yet. */
export function notReady(): MeilisearchError {
  return apiError(
    503,
    "miroir_not_ready",
    "This proxy has not received a topology from the control plane yet.",
    "system",
    { retryAfterSeconds: 1 },
  );
}

/** 503: the proxy has as many requests under way and waiting as it may, or this one has waited for too long. */
export function overloaded(reason: "full" | "waited"): MeilisearchError {
  const what =
    reason === "full"
      ? "as many requests under way and waiting as it may"
      : "more requests than it can answer, and this one has waited for too long";
  return apiError(
    503,
    "miroir_overloaded",
    `This proxy has ${what}. Repeat the request after a moment.`,
    "system",
    { retryAfterSeconds: 1 },
  );
}

/** 503: the control plane did not answer a request that only it can answer. */
export function controlUnavailable(cause: unknown): MeilisearchError {
  return apiError(
    503,
    "miroir_control_unavailable",
    "The control plane does not answer; searches and document reads are served, tasks are not.",
    "system",
    { retryAfterSeconds: 1, cause },
  );
}

/** 400: Meilisearch can do that, a fleet cannot; `why` as whole sentences. */
export function featureNotAvailable(what: string, why: string): MeilisearchError {
  return apiError(400, "feature_not_available", `${what} is not available in Miroir. ${why}`);
}

/** 500 without the cause, which goes to the log. */
export function internalError(): MeilisearchError {
  return apiError(500, "internal", "An internal error has occurred in Miroir's proxy.", "internal");
}
