import { errorLink, MeilisearchError, type MeilisearchErrorBody, parseErrorBody } from "./errors.js";
import type { NodeAddress, NodeRequest, NodeResponse, NodeTransport } from "./transport.js";

/** A node's answer to a request that enqueued a task. */
export interface EnqueuedTask {
  readonly taskUid: number;
  readonly enqueuedAt: string;
}

/** A task as a node's API prints it. */
export interface NodeTaskRecord {
  readonly uid: number;
  readonly batchUid: number | null;
  readonly indexUid: string | null;
  readonly status: "enqueued" | "processing" | "succeeded" | "failed" | "canceled";
  readonly type: string;
  readonly canceledBy: number | null;
  /** Absent from tasks that have none, such as snapshots. */
  readonly details?: Readonly<Record<string, unknown>> | null;
  readonly error: MeilisearchErrorBody | null;
  readonly duration: string | null;
  readonly enqueuedAt: string;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
  readonly customMetadata?: string | null;
}

/** A page of a node's tasks. */
export interface NodeTaskPage {
  readonly results: readonly NodeTaskRecord[];
  readonly total: number;
  readonly limit: number;
  readonly from: number | null;
  readonly next: number | null;
}

/** What `GET /version` answers. */
export interface NodeVersion {
  readonly commitSha: string;
  readonly commitDate: string;
  readonly pkgVersion: string;
}

/** A key as a node's API prints it. */
export interface NodeKey {
  readonly uid: string;
  readonly key: string;
  readonly name: string | null;
  readonly actions: readonly string[];
  readonly indexes: readonly string[];
  readonly expiresAt: string | null;
}

/**
 * Typed requests to one node. Every method rejects with {@link MeilisearchError} when the node
 * refuses, and with `NodeUnavailableError` when it does not answer. Nothing is retried.
 */
export interface NodeClient {
  readonly address: NodeAddress;
  health(timeoutMs?: number): Promise<void>;
  version(timeoutMs?: number): Promise<NodeVersion>;
  createIndex(uid: string, primaryKey: string | undefined): Promise<EnqueuedTask>;
  deleteIndex(uid: string): Promise<EnqueuedTask>;
  /** Renames by `swap-indexes`; `to` must be free when the task runs (invariant 7). */
  renameIndex(from: string, to: string): Promise<EnqueuedTask>;
  updateSettings(uid: string, settings: Readonly<Record<string, unknown>>): Promise<EnqueuedTask>;
  settings(uid: string): Promise<Record<string, unknown>>;
  tasks(query: Readonly<Record<string, string | number | boolean>>): Promise<NodeTaskPage>;
  task(uid: number): Promise<NodeTaskRecord>;
  keys(): Promise<readonly NodeKey[]>;
  createKey(key: Readonly<Record<string, unknown>>): Promise<NodeKey>;
  /** Any other request; resolves with the parsed body of a 2xx answer. */
  json(request: NodeRequest): Promise<unknown>;
}

/** A {@link NodeClient} for the node at `address`. */
export function createNodeClient(transport: NodeTransport, address: NodeAddress): NodeClient {
  const json = async (request: NodeRequest): Promise<unknown> =>
    parseAnswer(address, await transport.request(address, request));
  const send = (
    method: NodeRequest["method"],
    path: string,
    body?: unknown,
    timeoutMs?: number,
  ): Promise<unknown> =>
    json({
      method,
      path,
      ...(body === undefined ? {} : { body: JSON.stringify(body), contentType: "application/json" }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    });
  const index = (uid: string): string => `/indexes/${encodeURIComponent(uid)}`;
  return {
    address,
    json,
    health: async (timeoutMs) => {
      await send("GET", "/health", undefined, timeoutMs);
    },
    version: async (timeoutMs) => (await send("GET", "/version", undefined, timeoutMs)) as NodeVersion,
    createIndex: async (uid, primaryKey) =>
      (await send("POST", "/indexes", {
        uid,
        ...(primaryKey === undefined ? {} : { primaryKey }),
      })) as EnqueuedTask,
    deleteIndex: async (uid) => (await send("DELETE", index(uid))) as EnqueuedTask,
    renameIndex: async (from, to) =>
      (await send("POST", "/swap-indexes", [{ indexes: [from, to], rename: true }])) as EnqueuedTask,
    updateSettings: async (uid, settings) =>
      (await send("PATCH", `${index(uid)}/settings`, settings)) as EnqueuedTask,
    settings: async (uid) => (await send("GET", `${index(uid)}/settings`)) as Record<string, unknown>,
    tasks: async (query) =>
      (await send("GET", `/tasks?${new URLSearchParams(stringValues(query))}`)) as NodeTaskPage,
    task: async (uid) => (await send("GET", `/tasks/${uid}`)) as NodeTaskRecord,
    keys: async () => ((await send("GET", "/keys?limit=1000")) as { results: readonly NodeKey[] }).results,
    createKey: async (key) => (await send("POST", "/keys", key)) as NodeKey,
  };
}

function stringValues(query: Readonly<Record<string, string | number | boolean>>): Record<string, string> {
  return Object.fromEntries(Object.entries(query).map(([name, value]) => [name, String(value)]));
}

/**
 * The parsed body of a 2xx answer.
 *
 * @throws MeilisearchError with the node's own error body and status for any other answer.
 */
export function parseAnswer(address: NodeAddress, response: NodeResponse): unknown {
  if (response.status >= 200 && response.status < 300) {
    return response.body.length === 0 ? undefined : JSON.parse(response.body.toString("utf8"));
  }
  throw new MeilisearchError(response.status, refusal(address, response));
}

function refusal(address: NodeAddress, response: NodeResponse): MeilisearchErrorBody {
  const parsed = parseErrorBody(response.body);
  if (parsed !== undefined) return parsed;
  const message = `node ${address.id} answered with status ${response.status} and no error body`;
  return { message, code: "internal", type: "internal", link: errorLink("internal") };
}
