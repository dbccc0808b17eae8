import type { FastifyInstance } from "fastify";

const VARY = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
const METHODS = "POST, GET, OPTIONS, PATCH, TRACE, PUT, CONNECT, DELETE, HEAD";
const MAX_AGE_SECONDS = "86400";

/** Lets pages of every origin call the API, and answers preflight requests, as Meilisearch does. */
export function registerCors(app: FastifyInstance): void {
  app.addHook("onRequest", (request, reply, done) => {
    const { origin } = request.headers;
    reply.headers(corsHeaders(origin));
    if (
      origin === undefined ||
      request.method !== "OPTIONS" ||
      request.headers["access-control-request-method"] === undefined
    ) {
      done();
      return;
    }
    const asked = request.headers["access-control-request-headers"];
    if (asked !== undefined) reply.header("access-control-allow-headers", asked);
    reply
      .code(200)
      .header("access-control-allow-methods", METHODS)
      .header("access-control-max-age", MAX_AGE_SECONDS)
      .send();
  });
}

/** What every answer says to a page of this origin; `undefined` for requests that come from no page. */
export function corsHeaders(origin: string | undefined): Readonly<Record<string, string>> {
  return origin === undefined ? { vary: VARY } : { vary: VARY, "access-control-allow-origin": "*" };
}
