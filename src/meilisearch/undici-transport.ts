import { Agent, errors, request as undiciRequest } from "undici";
import {
  type NodeAddress,
  type NodeRequest,
  type NodeResponse,
  type NodeTransport,
  NodeUnavailableError,
  RequestTimeoutError,
} from "./transport.js";

/** Limits of {@link createUndiciTransport}. */
export interface UndiciTransportOptions {
  /** Connections held open to one node; 128 unless given. Requests beyond it wait. */
  readonly connectionsPerNode?: number;
  /** Milliseconds to establish a connection; 1,000 unless given. */
  readonly connectTimeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 30_000;

/** Requests that ended before a connection existed: nothing reached the node. */
const NOT_SENT_CODES = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EAI_AGAIN",
  "UND_ERR_CONNECT_TIMEOUT",
]);

/** Carries requests over pooled HTTP/1.1 connections, one request in flight on each. */
export function createUndiciTransport(options: UndiciTransportOptions = {}): NodeTransport {
  const agent = new Agent({
    connections: options.connectionsPerNode ?? 128,
    pipelining: 1,
    connect: { timeout: options.connectTimeoutMs ?? 1_000 },
    keepAliveTimeout: 4_000,
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  return {
    request: (node, request) => send(agent, node, request),
    close: () => agent.close(),
  };
}

async function send(agent: Agent, node: NodeAddress, request: NodeRequest): Promise<NodeResponse> {
  const headers: Record<string, string> = { ...request.headers };
  if (node.key !== undefined && node.key !== "") headers.authorization = `Bearer ${node.key}`;
  if (request.contentType !== undefined) headers["content-type"] = request.contentType;
  if (request.contentLength !== undefined) headers["content-length"] = String(request.contentLength);
  // Composed signals cost more than a whole small request; one controller and one timer do the same.
  const timeoutMs = request.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(new RequestTimeoutError(timeoutMs)), timeoutMs);
  const onAbort = (): void => controller.abort(request.signal?.reason);
  if (request.signal?.aborted === true) onAbort();
  else request.signal?.addEventListener("abort", onAbort, { once: true });
  try {
    const response = await undiciRequest(node.url + request.path, {
      dispatcher: agent,
      method: request.method,
      headers,
      body: typeof request.body === "function" ? request.body() : (request.body ?? null),
      signal: controller.signal,
    });
    const body = Buffer.from(await response.body.arrayBuffer());
    const contentType = response.headers["content-type"];
    return {
      status: response.statusCode,
      contentType: typeof contentType === "string" ? contentType : "",
      body,
    };
  } catch (error) {
    throw unavailable(node, error);
  } finally {
    clearTimeout(timer);
    request.signal?.removeEventListener("abort", onAbort);
  }
}

function unavailable(node: NodeAddress, error: unknown): NodeUnavailableError {
  const code = errorCode(error);
  const reason = error instanceof Error ? error.message || code || error.name : String(error);
  return new NodeUnavailableError(node.id, NOT_SENT_CODES.has(code) ? "not-sent" : "unknown", reason, {
    cause: error,
  });
}

function errorCode(error: unknown): string {
  if (error instanceof errors.UndiciError) return error.code;
  if (error instanceof Error && "code" in error && typeof error.code === "string") return error.code;
  return "";
}
