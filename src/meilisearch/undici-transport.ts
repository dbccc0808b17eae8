import { Agent, type Dispatcher, errors } from "undici";
import { Exchange } from "./exchange.js";
import {
  type NodeAddress,
  type NodeRequest,
  type NodeResponse,
  type NodeTransport,
  NodeUnavailableError,
} from "./transport.js";

/** Limits of {@link createUndiciTransport}. */
export interface UndiciTransportOptions {
  /** Connections held open to one node; 128 unless given. Requests beyond it wait. */
  readonly connectionsPerNode?: number;
  /** Milliseconds to establish a connection; 1,000 unless given. */
  readonly connectTimeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 30_000;
/**
 * How long a connection stays open that nothing is sent on. Nodes close none (`KeepAlive::Os`), what stands in between does after a minute or
 * so; and traffic that comes back after a pause would open one for each request that is under way.
 */
const IDLE_MS = 30_000;

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
    keepAliveTimeout: IDLE_MS,
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  const bases = new WeakMap<NodeAddress, Base>();
  return {
    request: (node, request) => send(agent, baseOf(bases, node), node, request),
    close: () => agent.close(),
  };
}

/** What all requests to one address have in common. */
interface Base {
  readonly origin: string;
  /** Path of the address itself, without a slash at its end. */
  readonly prefix: string;
  readonly authorization: readonly string[];
}

function baseOf(bases: WeakMap<NodeAddress, Base>, node: NodeAddress): Base {
  let base = bases.get(node);
  if (base === undefined) {
    const { origin, pathname } = new URL(node.url);
    const authorization =
      node.key === undefined || node.key === "" ? [] : ["authorization", `Bearer ${node.key}`];
    base = { origin, prefix: pathname.replace(/\/$/, ""), authorization };
    bases.set(node, base);
  }
  return base;
}

function send(agent: Agent, base: Base, node: NodeAddress, request: NodeRequest): Promise<NodeResponse> {
  return new Promise((resolve, reject) => {
    const timeoutMs = request.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const fail = (error: unknown): void => reject(unavailable(node, error));
    const exchange = new Exchange(timeoutMs, request.signal, resolve, fail);
    try {
      if (!exchange.isOver) agent.dispatch(dispatchOptions(base, node, request), exchange);
    } catch (error) {
      exchange.onResponseError(undefined, error instanceof Error ? error : new Error(String(error)));
    }
  });
}

/** Paths that a URL parser would leave as they are. */
const PLAIN_PATH = /^(?:\/[\w-]+)+$/;

function dispatchOptions(base: Base, node: NodeAddress, request: NodeRequest): Dispatcher.DispatchOptions {
  const { method, body } = request;
  const headers = [...base.authorization];
  for (const name in request.headers) headers.push(name, request.headers[name] ?? "");
  if (request.contentType !== undefined) headers.push("content-type", request.contentType);
  if (request.contentLength !== undefined) headers.push("content-length", String(request.contentLength));
  return {
    origin: base.origin,
    path: PLAIN_PATH.test(request.path) ? base.prefix + request.path : normalised(node.url + request.path),
    method,
    headers,
    body: typeof body === "function" ? body() : (body ?? null),
  };
}

function normalised(url: string): string {
  const { pathname, search } = new URL(url);
  return pathname + search;
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
