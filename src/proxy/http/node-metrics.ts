import { type NodeTransport, NodeUnavailableError } from "../../meilisearch/transport.js";
import type { World } from "../../runtime/world.js";
import type { NodeCallOutcome, ProxyMetrics } from "./metrics.js";

/** `transport` with every call counted by node, operation and outcome. */
export function countNodeCalls(
  transport: NodeTransport,
  metrics: Pick<ProxyMetrics, "nodeCallDone">,
  world: World,
): NodeTransport {
  return {
    request(node, request) {
      const started = world.clock.monotonic();
      const done = (outcome: NodeCallOutcome): void => {
        const seconds = (world.clock.monotonic() - started) / 1_000;
        metrics.nodeCallDone(node.id, operationOf(request.method, request.path), outcome, seconds);
      };
      return transport.request(node, request).then(
        (response) => {
          done(response.status < 500 ? "ok" : "error");
          return response;
        },
        (error: unknown) => {
          const given = request.signal?.aborted === true;
          done(given ? "aborted" : error instanceof NodeUnavailableError ? "unavailable" : "error");
          throw error;
        },
      );
    },
    close: () => transport.close(),
  };
}

/** Few and stable names: the resource of the path, without uids and ids. */
function operationOf(method: string, path: string): string {
  const query = path.indexOf("?");
  const [, first = "", , third, fourth] = (query === -1 ? path : path.slice(0, query)).split("/");
  if (first !== "indexes") return KNOWN.has(first) ? `${method} ${first}` : `${method} other`;
  if (third === undefined) return `${method} index`;
  if (third === "documents" && fourth !== undefined) {
    return KNOWN.has(fourth) ? `${method} documents/${fourth}` : `${method} document`;
  }
  return KNOWN.has(third) ? `${method} ${third}` : `${method} other`;
}

const KNOWN = new Set([
  "search",
  "documents",
  "fetch",
  "delete-batch",
  "delete",
  "settings",
  "stats",
  "tasks",
  "health",
  "version",
  "swap-indexes",
]);
