import { degradedValue } from "../read/degradation.js";
import type { WriteResult } from "../write/types.js";
import { apiError, noWriteLease, writeForwardingLoop } from "./api-errors.js";
import type { RouteAnswer, RouteHandler, RouteMethod, RouteRequest } from "./route-table.js";
import type { RouteServices } from "./services.js";

/** Marks a write that a proxy has passed on, so that two that take each other for the writer do not play ping-pong. */
const FORWARDED_HEADER = "x-miroir-forwarded-by";

/**
 * Runs a write where the write lease is: here, or at the proxy that holds it, which gets the request as it came.
 * Without a lease anywhere the write is refused (invariant 2).
 */
export function writeRoute(
  { lease, peers, config }: Pick<RouteServices, "lease" | "peers" | "config">,
  write: (request: RouteRequest) => Promise<WriteResult>,
): RouteHandler {
  return async (request) => {
    const state = lease.state();
    switch (state.kind) {
      case "held":
        return printResult(await write(request));
      case "none":
        throw noWriteLease(state.reason);
      case "elsewhere": {
        if (request.headers[FORWARDED_HEADER] !== undefined) throw writeForwardingLoop();
        try {
          const answer = await peers.forward(state.address, {
            method: request.method as RouteMethod,
            url: request.url,
            headers: {
              ...request.headers,
              ...(request.contentType === undefined ? {} : { "content-type": request.contentType }),
              [FORWARDED_HEADER]: lease.proxyId,
              "x-request-id": request.id,
            },
            body: request.stream,
            timeoutMs: config.forwardTimeoutMs,
            signal: request.signal,
          });
          const { "content-type": contentType, ...headers } = answer.headers;
          return {
            status: answer.status,
            headers,
            ...(answer.body.length === 0 ? {} : { body: answer.body }),
            ...(contentType === undefined ? {} : { contentType }),
          };
        } catch (cause) {
          throw forwardFailed(state.address, cause);
        }
      }
    }
  };
}

function printResult(result: WriteResult): RouteAnswer {
  const degraded = result.degradedShards ?? [];
  return {
    status: result.status,
    body: JSON.stringify(result.body),
    ...(degraded.length === 0 ? {} : { headers: { "x-miroir-degraded": degradedValue(degraded) } }),
  };
}

/** The peer may have accepted the write before the connection broke, so it is never called failed (invariant 4). */
function forwardFailed(address: string, cause: unknown) {
  return apiError(
    504,
    "miroir_write_outcome_unknown",
    `The proxy that holds the write lease, at ${address}, did not answer; whether the write was accepted is not known. Look at the tasks before repeating it.`,
    "system",
    { cause },
  );
}
