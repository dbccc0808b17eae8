/**
 * Faults that are planted in a Miroir process of a run, to show that the checker finds them. Each stands between the process and its nodes,
 * so that the product itself has no switch for any of them.
 */
import type { NodeRequest, NodeResponse, NodeTransport } from "../../src/meilisearch/transport.js";
import { SHARD_FIELD } from "../../src/placement/injected-fields.js";

/** What a planted fault does to one request; undefined leaves the request alone. */
type Tamper = (
  nodeId: string,
  request: NodeRequest,
  pass: (request: NodeRequest) => Promise<NodeResponse>,
) => Promise<NodeResponse> | undefined;

/** How often `accept-unsent` strikes: every so many writes to one node. */
const UNSENT_EVERY = 20;
const CACHED_MS = 1_500;

/** Every planted fault by its name: what it breaks, and how. */
const planted: Readonly<Record<string, () => Tamper>> = {
  /** Invariant 4: a write is acknowledged although one replica never got it. */
  "accept-unsent": () => {
    let writes = 0;
    return (nodeId, request) => {
      if (nodeId !== "node-0" || !isDocumentWrite(request)) return undefined;
      writes++;
      if (writes % UNSENT_EVERY !== 0) return undefined;
      const answer = {
        taskUid: 1,
        status: "enqueued",
        enqueuedAt: "2026-01-01T00:00:00Z",
        type: "documentAdditionOrUpdate",
      };
      return Promise.resolve(json(202, answer));
    };
  },
  /** Design section 5: a task is told to have succeeded before every replica has finished it. */
  "succeed-early": () => (_, request, pass) => {
    if (request.method !== "GET" || !request.path.startsWith("/tasks")) return undefined;
    return pass(request).then((answer) => {
      const text = answer.body
        .toString("utf8")
        .replace(/"status":"(enqueued|processing)"/g, '"status":"succeeded"');
      return { ...answer, body: Buffer.from(text) };
    });
  },
  /** Invariant 5: a node is asked for all that it holds, also for what it does not serve. */
  "no-shard-filter": () => (_, request, pass) => {
    if (typeof request.body !== "string" && !Buffer.isBuffer(request.body)) return undefined;
    if (!request.path.includes("/search")) return undefined;
    const body = JSON.parse(request.body.toString()) as { filter?: unknown };
    if (!JSON.stringify(body.filter ?? null).includes(SHARD_FIELD)) return undefined;
    const filter = Array.isArray(body.filter)
      ? body.filter.filter((part) => !JSON.stringify(part).includes(SHARD_FIELD))
      : undefined;
    return pass({ ...request, body: JSON.stringify({ ...body, filter }) });
  },
  /** A reader answers with what it read a moment ago. */
  "cached-reads": () => {
    const cache = new Map<string, { readonly until: number; readonly answer: Promise<NodeResponse> }>();
    return (nodeId, request, pass) => {
      const reads = request.method === "GET" ? /\/documents/ : /\/(search|documents\/fetch)$/;
      if (!reads.test(request.path) || typeof request.body === "function") return undefined;
      const key = `${nodeId} ${request.path} ${request.body?.toString() ?? ""}`;
      const cached = cache.get(key);
      if (cached !== undefined && cached.until > performance.now()) return cached.answer;
      const answer = pass(request);
      cache.set(key, { until: performance.now() + CACHED_MS, answer });
      return answer;
    };
  },
};

/** Names of the planted faults. */
export const PLANTED_FAULTS: readonly string[] = Object.keys(planted);

/** A transport with the named fault; the same one where the name is undefined. @throws Error for an unknown name */
export function withPlantedFault(inner: NodeTransport, name: string | undefined): NodeTransport {
  if (name === undefined) return inner;
  const tamper = planted[name]?.();
  if (tamper === undefined)
    throw new Error(`${name} is no planted fault; there are ${PLANTED_FAULTS.join(", ")}`);
  return {
    request: (node, request) =>
      tamper(node.id, request, (changed) => inner.request(node, changed)) ?? inner.request(node, request),
    close: () => inner.close(),
  };
}

function isDocumentWrite({ method, path }: NodeRequest): boolean {
  return (method === "POST" || method === "PUT") && /\/documents\?/.test(path);
}

function json(status: number, body: unknown): NodeResponse {
  return { status, contentType: "application/json", body: Buffer.from(JSON.stringify(body)) };
}
