import type { Logger } from "pino";
import { MeilisearchError } from "../../meilisearch/errors.js";
import type { NodeClient } from "../../meilisearch/node-client.js";
import { NodeUnavailableError } from "../../meilisearch/transport.js";

const TIMEOUT_MS = 5_000;

/** A node does not take the features that it is to have. */
export class FeatureRefusedError extends Error {
  override readonly name = "FeatureRefusedError";
}

/**
 * Switches features on nodes. One that is away, or that has no such route, is left alone: the first gets them when it
 * comes back.
 *
 * @throws FeatureRefusedError
 */
export async function switchFeatures(
  nodes: readonly NodeClient[],
  features: Readonly<Record<string, boolean>>,
  logger: Logger,
): Promise<void> {
  if (Object.keys(features).length === 0) return;
  const body = JSON.stringify(features);
  await Promise.all(
    nodes.map(async (node) => {
      try {
        await node.json({
          method: "PATCH",
          path: "/experimental-features",
          body,
          contentType: "application/json",
          timeoutMs: TIMEOUT_MS,
        });
      } catch (error) {
        const isAway = error instanceof NodeUnavailableError;
        const hasNoRoute =
          error instanceof MeilisearchError && (error.status === 404 || error.status === 405);
        if (!isAway && !hasNoRoute) {
          throw new FeatureRefusedError(
            `node ${node.address.id} does not take the experimental features: ${String(error)}`,
            { cause: error },
          );
        }
        logger.warn(
          { err: error, node: node.address.id },
          "experimental features could not be switched on a node",
        );
      }
    }),
  );
}
