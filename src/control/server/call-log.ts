import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import type { Logger } from "pino";
import type { World } from "../../runtime/world.js";
import { requestIdKey } from "./call-context.js";
import type { ServerMetrics } from "./server-metrics.js";

/**
 * Gives every call an id (the client's `x-request-id` where it is a sensible one), logs it and measures it. What goes wrong inside
 * the server is logged with its cause, since the client is told only that it did.
 */
export function logCalls(logger: Logger, world: World, metrics: ServerMetrics): Interceptor {
  return (next) => async (request) => {
    const requestId = requestIdOf(request.header, world);
    request.contextValues.set(requestIdKey, requestId);
    const startedAt = world.clock.monotonic();
    const { service, method } = request;
    const done = (error: unknown) => {
      const ms = world.clock.monotonic() - startedAt;
      const code = error === undefined ? "ok" : codeName(error);
      metrics.callDone(service.typeName, method.name, code, ms / 1_000);
      const fields = {
        requestId,
        rpc: `${service.typeName}/${method.name}`,
        code,
        ms: Math.round(ms * 10) / 10,
      };
      if (error === undefined) logger.debug(fields, "call");
      else if (isServerFault(error)) logger.error({ ...fields, err: error }, "call failed");
      else logger.info({ ...fields, reason: errorText(error) }, "call refused");
    };
    try {
      const response = await next(request);
      response.header.set("x-request-id", requestId);
      if (!response.stream) {
        done(undefined);
        return response;
      }
      return { ...response, message: observed(response.message, done) };
    } catch (error) {
      done(error);
      throw error;
    }
  };
}

/** Passes messages on, and says how the stream ended. */
async function* observed<T>(messages: AsyncIterable<T>, done: (error: unknown) => void): AsyncGenerator<T> {
  let error: unknown;
  try {
    yield* messages;
  } catch (thrown) {
    error = thrown;
    throw thrown;
  } finally {
    done(error);
  }
}

function requestIdOf(header: Headers, world: World): string {
  const given = header.get("x-request-id");
  if (given !== null && /^[\w.:-]{1,128}$/.test(given)) return given;
  return Buffer.from(world.random.bytes(8)).toString("hex");
}

function codeName(error: unknown): string {
  const code = error instanceof ConnectError ? error.code : Code.Internal;
  return (Code[code] ?? "unknown").replace(/(?<=.)([A-Z])/g, "_$1").toLowerCase();
}

function isServerFault(error: unknown): boolean {
  if (!(error instanceof ConnectError)) return true;
  return error.code === Code.Internal || error.code === Code.Unknown || error.code === Code.DataLoss;
}

function errorText(error: unknown): string {
  return error instanceof ConnectError ? error.rawMessage : String(error);
}
