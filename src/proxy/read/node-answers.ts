import {
  type NodeRequest,
  type NodeResponse,
  type NodeTransport,
  NodeUnavailableError,
} from "../../meilisearch/transport.js";
import { apiError } from "../http/api-errors.js";
import type { NodeView, TopologySource } from "../topology/topology-view.js";
import { currentView } from "./indexes.js";
import type { NodeHealth } from "./node-health.js";

/** Asks nodes for what one of them can answer alone, with the key for control work. */
export interface NodeAnswers {
  /**
   * The answer of the first node that gives one, whatever its status below 500.
   *
   * @param accept which nodes may be asked; all unless given
   * @throws MeilisearchError 503 where none answers
   */
  ask(
    request: Pick<NodeRequest, "method" | "path" | "body">,
    signal: AbortSignal,
    accept?: (node: NodeView) => boolean,
  ): Promise<NodeResponse>;
}

const TIMEOUT_MS = 10_000;

/** Asks nodes over `transport`, those that fail of late after the others. */
export function createNodeAnswers(
  transport: NodeTransport,
  topology: TopologySource,
  health: NodeHealth,
): NodeAnswers {
  return {
    async ask(request, signal, accept = () => true) {
      const nodes = [...currentView(topology).nodes.values()]
        .filter(accept)
        .sort((a, b) => Number(health.isAvoided(a.id)) - Number(health.isAvoided(b.id)));
      for (const node of nodes) {
        try {
          const response = await transport.request(node.adminAddress, {
            ...request,
            ...(request.body === undefined ? {} : { contentType: "application/json" }),
            timeoutMs: TIMEOUT_MS,
            signal,
          });
          const { status } = response;
          if (status < 500 && status !== 401 && status !== 403) return response;
        } catch (error) {
          if (!(error instanceof NodeUnavailableError)) throw error;
          signal.throwIfAborted();
        }
      }
      throw apiError(503, "miroir_shard_unavailable", "No node that could answer does.", "system", {
        retryAfterSeconds: 1,
      });
    },
  };
}
