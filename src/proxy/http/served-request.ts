import type { IncomingHttpHeaders } from "node:http";
import type { Readable } from "node:stream";
import type { FastifyRequest } from "fastify";
import type { Logger } from "pino";
import { AuthFilter } from "../auth/auth-filter.js";
import type { ClientEnd } from "./client-end.js";
import type { RouteRequest } from "./route-table.js";

/** A request that came over HTTP. What hardly any handler asks for is made when it does. */
export class ServedRequest implements RouteRequest {
  readonly id: string;
  readonly method: string;
  readonly isForwarded = false;
  readonly url: string;
  readonly query: string;
  readonly params: Readonly<Record<string, string>>;
  readonly headers: IncomingHttpHeaders;
  readonly contentType: string | undefined;
  readonly stream: Readable;
  readonly readSignal: AbortSignal;
  /** Nothing until its key is known. */
  auth = AuthFilter.nothing;
  readonly #end: ClientEnd;
  readonly #logger: Logger;
  #log: Logger | undefined;

  /** @param route method and path of the route */
  constructor(
    request: FastifyRequest,
    readonly route: string,
    end: ClientEnd,
    logger: Logger,
  ) {
    const { raw } = request;
    const url = raw.url ?? "/";
    const mark = url.indexOf("?");
    this.id = request.id;
    this.method = request.method;
    this.url = url;
    this.query = mark === -1 ? "" : url.slice(mark + 1);
    this.params = request.params as Record<string, string>;
    this.headers = request.headers;
    this.contentType = raw.headers["content-type"];
    this.stream = raw;
    this.readSignal = end.light;
    this.#end = end;
    this.#logger = logger;
  }

  get signal(): AbortSignal {
    return this.#end.signal;
  }

  get log(): Logger {
    this.#log ??= this.#logger.child({ requestId: this.id });
    return this.#log;
  }
}
