import { currentView } from "../read/indexes.js";
import type { TopologySource } from "../topology/topology-view.js";
import { apiError } from "./api-errors.js";

/** How Meilisearch's refusals name its gated features, and where they are discussed. */
const FEATURES = {
  metrics: { name: "metrics", discussion: "meilisearch/product/discussions/625" },
  logsRoute: { name: "logs route", discussion: "orgs/meilisearch/discussions/721" },
  dynamicSearchRules: { name: "dynamic search rules", discussion: "orgs/meilisearch/discussions/884" },
  network: { name: "network", discussion: "orgs/meilisearch/discussions/805" },
  getTaskDocumentsRoute: {
    name: "get task documents route",
    discussion: "orgs/meilisearch/discussions/808",
  },
  taskQueueCompactionRoute: {
    name: "task queue compaction route",
    discussion: "orgs/meilisearch/discussions/883",
  },
  chatCompletions: { name: "chat completions", discussion: "orgs/meilisearch/discussions/835" },
} as const;

/**
 * Refuses what needs an experimental feature that is off.
 *
 * @param action what is refused, as Meilisearch's message begins
 * @throws MeilisearchError 400 `feature_not_enabled`
 */
export function requireFeature(
  topology: TopologySource,
  feature: keyof typeof FEATURES,
  action: string,
): void {
  if (currentView(topology).experimentalFeatures.has(feature)) return;
  const { name, discussion } = FEATURES[feature];
  throw apiError(
    400,
    "feature_not_enabled",
    `${action} requires enabling the \`${name}\` experimental feature. See https://github.com/${discussion}`,
  );
}
