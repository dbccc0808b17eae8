import { type IncomingHttpHeaders, METHODS } from "node:http";
import { Readable } from "node:stream";
import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from "fastify";
import createRouter, { type HTTPMethod } from "find-my-way";
import type { Logger } from "pino";
import { MeilisearchError } from "../../meilisearch/errors.js";
import type { World } from "../../runtime/world.js";
import type { Action } from "../auth/actions.js";
import { AuthFilter } from "../auth/auth-filter.js";
import { internalError } from "./api-errors.js";
import type { Authentication } from "./authentication.js";
import { ClientEnd } from "./client-end.js";
import { type Coding, compressed } from "./content-encoding.js";
import type { ProxyMetrics } from "./metrics.js";
import type { BodySource } from "./request-body.js";
import { boundByClient } from "./request-timeout.js";
import { ServedRequest } from "./served-request.js";

/** A client's request as route handlers see it. */
export interface RouteRequest {
  /** Names the request in logs and in the `x-request-id` of its answer. */
  readonly id: string;
  readonly method: string;
  /** Method and path of the route, such as `POST /indexes/:indexUid/documents`. */
  readonly route: string;
  /** Whether another proxy has passed the request on, taking this one for the writer of its index. */
  readonly isForwarded: boolean;
  /** Path and query string as they were sent. */
  readonly url: string;
  /** Query string without the question mark. */
  readonly query: string;
  readonly params: Readonly<Record<string, string>>;
  readonly headers: IncomingHttpHeaders;
  readonly contentType: string | undefined;
  /** The body as it arrives, still encoded. */
  readonly stream: Readable;
  /** Aborts when the client goes away before its answer was sent. */
  readonly signal: AbortSignal;
  /** The same, at next to no cost, for what only asks nodes (see {@link ClientEnd}). */
  readonly readSignal: AbortSignal;
  readonly log: Logger;
  /** What the request's key may touch; everything on routes that ask for none. */
  readonly auth: AuthFilter;
}

/** A request that another proxy has passed on. */
export type ForwardedRequest = Omit<RouteRequest, "auth" | "log" | "readSignal">;

/** A parameter of the route's path, decoded. */
export function parameter(request: Pick<RouteRequest, "params">, name: string): string {
  return request.params[name] ?? "";
}

/** What of a request concerns its body. */
export function bodySource(request: RouteRequest): BodySource {
  return {
    contentType: request.contentType,
    contentEncoding: request.headers["content-encoding"],
    contentLength: request.headers["content-length"],
    stream: request.stream,
  };
}

/** The answer to a request. */
export interface RouteAnswer {
  readonly status: number;
  /** JSON unless `contentType` says otherwise; absent for an empty body. */
  readonly body?: string | Buffer | Readable;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Answers a request, or rejects with a {@link MeilisearchError}. */
export type RouteHandler = (request: RouteRequest) => Promise<RouteAnswer>;

/** What a key must be good for; `open` routes ask for no key. */
export type RouteAccess = Action | "open";

/** One group of routes. */
export interface RouteTable {
  /** Serves `method` on `path`. */
  on(method: RouteMethod, path: string, access: RouteAccess, handler: RouteHandler): void;
}

export type RouteMethod = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/** Longest path segment: document ids have up to 511 bytes, each up to three characters when encoded. */
const MAX_PARAMETER_LENGTH = 2_048;

/** How paths are told from each other. */
export const ROUTER_OPTIONS = {
  ignoreTrailingSlash: true,
  ignoreDuplicateSlashes: true,
  maxParamLength: MAX_PARAMETER_LENGTH,
} as const;

/** Every method that a request can have; `CONNECT` never becomes one. */
const ALL_METHODS: readonly HTTPMethods[] = METHODS.filter((method) => method !== "CONNECT");

/** What every route needs. */
export interface RouteTableDependencies {
  readonly world: World;
  readonly authentication: Authentication;
  readonly metrics: ProxyMetrics;
  readonly logger: Logger;
}

/** Collects routes for {@link RouteRegistrar.finish}, which hands them to the server. */
export interface RouteRegistrar extends RouteTable {
  /** Answers a request that did not come over HTTP. Authentication and errors are as there. */
  answer(request: ForwardedRequest): Promise<RouteAnswer>;
  /** Answers what is no route: an empty 405 for a method that a known path does not have, an empty 404 else. Call it after the last route. */
  finish(): void;
}

/** Puts routes on `app`: authentication, errors in Meilisearch's shape, log lines, metrics. */
export function createRouteTable(app: FastifyInstance, dependencies: RouteTableDependencies): RouteRegistrar {
  const methodsByPath = new Map<string, Set<HTTPMethods>>();
  const handlers = new Map<string, ServedRoute>();
  const { authentication, logger } = dependencies;
  // Nothing of a request's line is secret, and to look for secrets takes most of the time.
  const lines = logger.child({}, { redact: [] });
  return {
    async answer(request) {
      const log = logger.child({ requestId: request.id });
      try {
        const served = handlers.get(request.route);
        if (served === undefined) throw new Error(`${request.route} is no route of this proxy`);
        const auth = authorize(request.headers, request.params, served.access, authentication);
        return await served.handler({ ...request, auth, log, readSignal: request.signal });
      } catch (error) {
        return answerOf(error, log);
      }
    },
    on(method, path, access, handler) {
      const route: ServedRoute = { path, name: `${method} ${path}`, access, handler, lines };
      handlers.set(route.name, route);
      const methods = methodsByPath.get(path) ?? new Set();
      methods.add(method);
      methodsByPath.set(path, methods);
      app.route({
        method,
        url: path,
        handler: (request, reply) => serve(request, reply, route, dependencies),
      });
    },
    finish() {
      for (const method of ALL_METHODS) {
        if (!app.supportedMethods.includes(method)) app.addHttpMethod(method);
      }
      const allowed = allowedMethods(methodsByPath);
      const refuse = (request: FastifyRequest, reply: FastifyReply): FastifyReply => {
        const allow = allowed(request.url);
        if (allow !== undefined) reply.header("allow", allow);
        return reply
          .code(allow === undefined ? 404 : 405)
          .header("content-length", "0")
          .send();
      };
      app.setNotFoundHandler(refuse);
      for (const { path, method } of hiddenRoutes(methodsByPath))
        app.route({ method, url: path, handler: refuse });
    },
  };
}

/**
 * The methods that the path of a URL has, as `allow` tells them; undefined for a path that is not known. Found by a router of its own: as
 * routes of the server's, all methods that paths do not have would be thirty times as many as those that they have.
 */
function allowedMethods(
  methodsByPath: ReadonlyMap<string, ReadonlySet<HTTPMethods>>,
): (url: string) => string | undefined {
  const paths = createRouter(ROUTER_OPTIONS);
  for (const [path, methods] of methodsByPath) paths.on("GET", path, () => {}, [...methods].join(", "));
  return (url) => paths.find("GET", url)?.store as string | undefined;
}

/**
 * Methods that a path does not have but another one that it would be taken for, as `/documents/fetch` for `/documents/:id`: a path
 * that is known is never one with a parameter.
 */
function hiddenRoutes(
  methodsByPath: ReadonlyMap<string, ReadonlySet<HTTPMethods>>,
): readonly { readonly path: string; readonly method: HTTPMethods }[] {
  const routes = createRouter(ROUTER_OPTIONS);
  for (const [path, methods] of methodsByPath) routes.on([...methods] as HTTPMethod[], path, () => {});
  const all = new Set([...methodsByPath.values()].flatMap((methods) => [...methods]));
  return [...methodsByPath].flatMap(([path, methods]) =>
    [...all]
      .filter((method) => !methods.has(method))
      .filter((method) => routes.find(method as HTTPMethod, path.replaceAll(/:\w+/g, "_")) !== null)
      .map((method) => ({ path, method })),
  );
}

/** A route, with what its requests have in common. */
interface ServedRoute {
  readonly path: string;
  /** Method and path. */
  readonly name: string;
  readonly access: RouteAccess;
  readonly handler: RouteHandler;
  /** Where each request leaves a line. */
  readonly lines: Logger;
}

async function serve(
  request: FastifyRequest,
  reply: FastifyReply,
  route: ServedRoute,
  { world, authentication, metrics, logger }: RouteTableDependencies,
): Promise<FastifyReply> {
  const started = world.clock.monotonic();
  const end = new ClientEnd();
  let answered = false;
  reply.raw.once("close", () => {
    const seconds = (world.clock.monotonic() - started) / 1_000;
    if (!reply.raw.writableFinished) end.light.abort(new Error("the client closed the connection"));
    const status = answered ? reply.statusCode : 499;
    metrics.requestDone(request.method, route.path, status, seconds);
    route.lines.info({
      requestId: request.id,
      method: request.method,
      route: route.path,
      index: indexOf(request.params),
      status,
      durationMs: Math.round(seconds * 1e6) / 1_000,
    });
  });
  const served = new ServedRequest(request, route.name, end, logger);
  let answer: RouteAnswer;
  try {
    served.auth = authorize(request.headers, request.params, route.access, authentication);
    boundByClient(request.headers, end.light, world.clock);
    answer = await route.handler(served);
  } catch (error) {
    answer = answerOf(error, served.log);
  }
  if (request.coding !== undefined) answer = await encoded(answer, request.coding, reply);
  answered = true;
  return send(reply, answer);
}

function authorize(
  headers: IncomingHttpHeaders,
  params: unknown,
  access: RouteAccess,
  authentication: Authentication,
): AuthFilter {
  return access === "open"
    ? AuthFilter.everything
    : authentication.authenticate(headers.authorization, access, indexOf(params));
}

function indexOf(params: unknown): string | undefined {
  return (params as Record<string, string | undefined>).indexUid;
}

function send(reply: FastifyReply, answer: RouteAnswer): FastifyReply {
  reply.code(answer.status);
  for (const name in answer.headers) reply.header(name, answer.headers[name]);
  if (answer.body === undefined) return reply.header("content-length", "0").send();
  reply.header("content-type", answer.contentType ?? "application/json");
  // As bytes: for text the server would append a charset that Meilisearch does not send.
  reply.send(typeof answer.body === "string" ? Buffer.from(answer.body) : answer.body);
  // The first bytes of a stream may be long in coming.
  if (answer.body instanceof Readable) reply.raw.flushHeaders();
  return reply;
}

/** The answer with its body compressed, and its headers that say so on `reply`; no body stays none. */
async function encoded(answer: RouteAnswer, coding: Coding, reply: FastifyReply): Promise<RouteAnswer> {
  const plain = typeof answer.body === "string" ? Buffer.from(answer.body) : answer.body;
  if (plain === undefined || (Buffer.isBuffer(plain) && plain.length === 0)) return answer;
  const body = await compressed(plain, coding);
  reply.header("content-encoding", coding).header("vary", [reply.getHeader("vary"), "accept-encoding"]);
  return { ...answer, body };
}

/** The answer that tells of an error; an unexpected one is logged and answered without its details. */
export function answerOf(error: unknown, log: Logger): RouteAnswer {
  if (!(error instanceof MeilisearchError)) log.error({ err: error }, "request failed unexpectedly");
  const refusal = error instanceof MeilisearchError ? error : internalError();
  if (refusal.status >= 500 && refusal.cause !== undefined) {
    log.warn({ err: refusal.cause, code: refusal.body.code }, "request refused");
  }
  return {
    status: refusal.status,
    body: JSON.stringify(refusal.body),
    ...(refusal.retryAfterSeconds === undefined
      ? {}
      : { headers: { "retry-after": String(refusal.retryAfterSeconds) } }),
  };
}
