import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { ApiError } from "../errors.js";
import type { FaultEffect } from "../faults.js";
import type { NodeParts, Reply, Route } from "./context.js";
import { DOCUMENT_ROUTES } from "./document-routes.js";
import { INDEX_ROUTES } from "./index-routes.js";
import { SEARCH_ROUTES } from "./search-routes.js";
import { FAULT_ROUTES, SYSTEM_ROUTES } from "./system-routes.js";
import { TASK_ROUTES } from "./task-routes.js";

/** How the server behaves. */
export interface ServerOptions {
  /** The largest body accepted, in bytes. */
  readonly payloadSizeLimit: number;
  /** Serves `/_embedded/faults`. */
  readonly faultControl: boolean;
}

interface CompiledRoute {
  readonly route: Route;
  readonly pattern: RegExp;
  readonly names: readonly string[];
}

const ROUTES = [...SYSTEM_ROUTES, ...INDEX_ROUTES, ...DOCUMENT_ROUTES, ...SEARCH_ROUTES, ...TASK_ROUTES];

function compile(route: Route): CompiledRoute {
  const names: string[] = [];
  const source = route.path
    .split("/")
    .map((segment) => {
      if (!segment.startsWith(":")) return segment;
      names.push(segment.slice(1));
      return "([^/]+)";
    })
    .join("/");
  return { route, names, pattern: new RegExp(`^${source}/?$`) };
}

/** Creates the node's HTTP server; it does not listen yet. */
export function createNodeServer(node: NodeParts, options: ServerOptions): Server {
  const routes = [...ROUTES, ...(options.faultControl ? FAULT_ROUTES : [])].map(compile);
  const server = createServer((request, response) => {
    handle(node, options, routes, request, response).catch((error: unknown) => {
      if (response.headersSent || response.destroyed) return;
      const message = error instanceof Error ? error.message : String(error);
      process.stderr.write(`${error instanceof Error ? (error.stack ?? message) : message}\n`);
      send(response, errorReply(new ApiError("internal", message)));
    });
  });
  server.keepAliveTimeout = 65_000;
  return server;
}

async function handle(
  node: NodeParts,
  options: ServerOptions,
  routes: readonly CompiledRoute[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = request.url ?? "/";
  const method = request.method ?? "GET";
  const body = await readBody(request, options.payloadSizeLimit);
  const effects = url.startsWith("/_embedded/") ? [] : node.faults.forRequest(method, url);
  for (const effect of effects) {
    if (effect.kind === "refuse" || (effect.kind === "crash" && !effect.executed))
      return disrupt(effect, response);
    if (effect.kind === "status") {
      return send(response, {
        status: effect.status,
        json: JSON.stringify({ message: "fault injected", code: "internal" }),
      });
    }
    if (effect.kind === "delay") await sleep(effect.ms + node.faults.random() * effect.jitterMs);
  }
  let reply =
    body === undefined
      ? errorReply(tooLarge(options.payloadSizeLimit))
      : answer(node, routes, request, method, url, body);
  for (const effect of effects) {
    if (effect.kind === "hang") return;
    if (effect.kind === "drop" || effect.kind === "crash") return disrupt(effect, response);
    if (effect.kind === "dropHits") reply = dropHits(reply, effect.probability, () => node.faults.random());
  }
  send(response, reply);
}

function disrupt(effect: FaultEffect, response: ServerResponse): void {
  if (effect.kind === "crash") process.kill(process.pid, "SIGKILL");
  response.destroy();
}

function dropHits(reply: Reply, probability: number, random: () => number): Reply {
  if (reply.json === undefined) return reply;
  const body = JSON.parse(reply.json) as { hits?: unknown[] };
  if (!Array.isArray(body.hits)) return reply;
  body.hits = body.hits.filter(() => random() >= probability);
  return { ...reply, json: JSON.stringify(body) };
}

function tooLarge(limit: number): ApiError {
  return new ApiError(
    "payload_too_large",
    `The provided payload reached the size limit. The maximum accepted payload size is ${(limit / 1024 / 1024).toFixed(2)} MiB.`,
  );
}

async function readBody(request: IncomingMessage, limit: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size <= limit) chunks.push(chunk);
  }
  return size > limit ? undefined : Buffer.concat(chunks);
}

function answer(
  node: NodeParts,
  routes: readonly CompiledRoute[],
  request: IncomingMessage,
  method: string,
  url: string,
  body: Buffer,
): Reply {
  const question = url.indexOf("?");
  const path = question < 0 ? url : url.slice(0, question);
  const matching = routes.filter(({ pattern }) => pattern.test(path));
  const found = matching.find(({ route }) => route.method === method);
  if (found === undefined) return { status: matching.length > 0 ? 405 : 404 };
  try {
    const values = found.pattern.exec(path)?.slice(1) ?? [];
    const params = Object.fromEntries(
      found.names.map((name, i) => [name, decodeURIComponent(values[i] ?? "")]),
    );
    const { action } = found.route;
    const access =
      action === null
        ? { allows: () => true, indexes: ["*"] }
        : node.keys.authorize(request.headers.authorization, action);
    return found.route.handle({
      node,
      method,
      params,
      query: new URLSearchParams(question < 0 ? "" : url.slice(question + 1)),
      contentType: request.headers["content-type"],
      body,
      access,
    });
  } catch (error) {
    if (error instanceof ApiError) return errorReply(error);
    throw error;
  }
}

function errorReply(error: ApiError): Reply {
  return { status: error.status, json: JSON.stringify(error.body) };
}

function send(response: ServerResponse, reply: Reply): void {
  response.statusCode = reply.status;
  if (reply.json === undefined) {
    response.setHeader("content-length", 0);
    response.end();
    return;
  }
  const bytes = Buffer.from(reply.json);
  response.setHeader("content-type", "application/json");
  response.setHeader("content-length", bytes.length);
  response.end(bytes);
}
