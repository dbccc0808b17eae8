import type { Catalog } from "../catalog.js";
import { ApiError } from "../errors.js";
import { type JsonObject, JsonSyntaxError, type JsonValue, parseExactJson } from "../exact-json.js";
import type { FaultPlan } from "../faults.js";
import type { IndexState } from "../index-state.js";
import type { Access, KeyRing } from "../keys.js";
import type { TaskQueue } from "../task-queue.js";
import type { Task, TaskContent } from "../tasks.js";
import { summarizedView } from "../tasks.js";
import { indexUidMessage, isIndexUid } from "../validate.js";

/** What the routes work on. */
export interface NodeParts {
  readonly catalog: Catalog;
  readonly queue: TaskQueue;
  readonly keys: KeyRing;
  readonly faults: FaultPlan;
  readonly startedAt: string;
}

/** An answer: a status and, unless empty, a JSON text. */
export interface Reply {
  readonly status: number;
  readonly json?: string;
}

/** A request being answered. */
export interface RequestContext {
  readonly node: NodeParts;
  readonly method: string;
  readonly query: URLSearchParams;
  readonly params: Readonly<Record<string, string>>;
  readonly contentType: string | undefined;
  readonly body: Buffer;
  readonly access: Access;
}

/** A route: `:name` segments become parameters. `action` is what a key must allow; `null` lets everybody in. */
export interface Route {
  readonly method: string;
  readonly path: string;
  readonly action: string | null;
  readonly handle: (context: RequestContext) => Reply;
}

/** An answer with a JSON value. */
export function reply(value: JsonValue, status = 200): Reply {
  return { status, json: JSON.stringify(value) };
}

/** The media type without parameters; `undefined` without a header. */
export function mediaType(context: RequestContext): string | undefined {
  return context.contentType?.split(";")[0]?.trim();
}

/** Refuses a body whose type is not one of `accepted`. */
export function checkContentType(context: RequestContext, accepted: readonly string[]): string {
  const type = mediaType(context);
  const list = `Accepted values for the Content-Type header are: ${accepted.map((name) => `\`${name}\``).join(", ")}`;
  if (type === undefined)
    throw new ApiError("missing_content_type", `A Content-Type header is missing. ${list}`);
  if (!accepted.includes(type)) {
    throw new ApiError("invalid_content_type", `The Content-Type \`${type}\` is invalid. ${list}`);
  }
  return type;
}

/** Parses a JSON body. */
export function jsonBody(context: RequestContext): JsonValue {
  checkContentType(context, ["application/json"]);
  try {
    return parseExactJson(context.body.toString("utf8")).value;
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    throw new ApiError("malformed_payload", `The json payload provided is malformed. \`${error.message}\`.`);
  }
}

/** Parses a JSON body that must be an object with known members. */
export function objectBody(context: RequestContext): JsonObject {
  const value = jsonBody(context);
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  const found =
    value === null
      ? "null"
      : `${Array.isArray(value) ? "an array" : typeof value === "string" ? "a string" : typeof value === "boolean" ? "a boolean" : "a positive integer"}: \`${JSON.stringify(value)}\``;
  throw new ApiError("bad_request", `Invalid value type: expected an object, but found ${found}`);
}

/** The index named by the path, which the key must cover. */
export function indexUid(context: RequestContext): string {
  const uid = context.params.uid ?? "";
  if (!isIndexUid(uid)) throw new ApiError("invalid_index_uid", indexUidMessage(uid));
  assertIndexAllowed(context, uid);
  return uid;
}

/** Refuses an index that the key does not cover. */
export function assertIndexAllowed(context: RequestContext, uid: string): void {
  const patterns = context.access.indexes;
  if (
    patterns.some((pattern) =>
      pattern.endsWith("*") ? uid.startsWith(pattern.slice(0, -1)) : pattern === uid,
    )
  )
    return;
  throw new ApiError(
    "invalid_api_key",
    `The API key cannot acces the index \`${uid}\`, authorized indexes are ${JSON.stringify(patterns)}.`,
  );
}

/** The existing index named by the path. */
export function existingIndex(context: RequestContext): IndexState {
  return context.node.catalog.get(indexUid(context));
}

/** Enqueues a task and answers 202 with its summary. */
export function enqueue(
  context: RequestContext,
  uid: string | null,
  content: TaskContent,
  metadata: string | null = null,
): Reply {
  return accepted(context.node.queue.enqueue(uid, content, metadata));
}

/** The answer to a request that enqueued a task. */
export function accepted(task: Task, status = 202): Reply {
  return reply(summarizedView(task), status);
}

/** Refuses query parameters that are not in `known`. */
export function refuseUnknownParameters(query: URLSearchParams, known: readonly string[]): void {
  for (const name of query.keys()) {
    if (known.includes(name)) continue;
    const list = known.map((option) => `\`${option}\``).join(", ");
    throw new ApiError("bad_request", `Unknown parameter \`${name}\`: expected one of ${list}`);
  }
}

/** Reads a query parameter that is a positive integer. */
export function integerParameter(
  query: URLSearchParams,
  name: string,
  fallback: number,
  code: string,
): number {
  const text = query.get(name);
  if (text === null) return fallback;
  if (/^\d+$/.test(text)) return Number(text);
  throw new ApiError(
    code,
    `Invalid value in parameter \`${name}\`: could not parse \`${text}\` as a positive integer`,
  );
}

/** Reads a query parameter that is `true` or `false`. */
export function booleanParameter(query: URLSearchParams, name: string, code: string): boolean | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (text === "true" || text === "false") return text === "true";
  throw new ApiError(
    code,
    `Invalid value in parameter \`${name}\`: could not parse \`${text}\` as a boolean, expected either \`true\` or \`false\``,
  );
}
