import type { IncomingHttpHeaders } from "node:http";
import type { Readable } from "node:stream";
import { Agent, request as undiciRequest } from "undici";
import type { World } from "../../runtime/world.js";

/** A client's request on its way to another proxy. */
export interface PeerRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Path and query string. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Readable;
  /** Gives up after this long without the whole answer. Milliseconds. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Another proxy's answer. */
export interface PeerResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** Carries client requests to other proxies. Never retries: a body can be sent once. */
export interface PeerTransport {
  /** Resolves with whatever the peer at base URL `address` answered; rejects when it did not answer. */
  forward(address: string, request: PeerRequest): Promise<PeerResponse>;
  close(): Promise<void>;
}

/** Headers that concern one connection, or that the client library sets itself. Answers are compressed for the client by who sends them to it. */
const NOT_PASSED_ON = new Set([
  "accept-encoding",
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "host",
  "expect",
]);

/** Headers of an answer that are the peer's to say. */
const PASSED_BACK = ["content-type", "retry-after", "x-miroir-degraded"];

/** Answers to writes are small; anything larger is no answer of a proxy. */
const MAX_ANSWER_BYTES = 1024 * 1024;

/** Forwards over pooled HTTP/1.1 connections. */
export function createPeerTransport(world: World): PeerTransport {
  const agent = new Agent({
    connections: 64,
    connect: { timeout: 1_000 },
    headersTimeout: 0,
    bodyTimeout: 0,
    maxResponseSize: MAX_ANSWER_BYTES,
  });
  return {
    async forward(address, request) {
      const stop = new AbortController();
      const timer = world.timers.after(request.timeoutMs, () =>
        stop.abort(new Error(`no answer within ${request.timeoutMs} ms`)),
      );
      const onAbort = (): void => stop.abort(request.signal.reason);
      request.signal.addEventListener("abort", onAbort, { once: true });
      try {
        const response = await undiciRequest(address + request.url, {
          dispatcher: agent,
          method: request.method,
          headers: passedOn(request.headers),
          body: hasBody(request.headers) ? request.body : null,
          signal: stop.signal,
        });
        const body = Buffer.from(await response.body.arrayBuffer());
        const headers: Record<string, string> = {};
        for (const name of PASSED_BACK) {
          const value = response.headers[name];
          if (typeof value === "string") headers[name] = value;
        }
        return { status: response.statusCode, headers, body };
      } finally {
        timer.cancel();
        request.signal.removeEventListener("abort", onAbort);
      }
    },
    close: () => agent.close(),
  };
}

function passedOn(headers: IncomingHttpHeaders): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || NOT_PASSED_ON.has(name)) continue;
    result[name] = Array.isArray(value) ? value.join(", ") : value;
  }
  return result;
}

function hasBody(headers: IncomingHttpHeaders): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}
