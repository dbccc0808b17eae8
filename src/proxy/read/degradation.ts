import type { MeilisearchError } from "../../meilisearch/errors.js";
import { shardUnavailable } from "../http/api-errors.js";
import type { IndexView } from "../topology/topology-view.js";
import type { ShardReadResult } from "./shard-read.js";

/** Headers that say how far an answer can be relied on. */
export type ReadHeaders = Readonly<Record<string, string>>;

/**
 * Headers for an answer from `result`: shards that are not in it, and the state of the index's settings.
 *
 * @throws MeilisearchError `miroir_shard_unavailable` where shards are missing and `policy` is `error`, or
 *   all are: an answer about nothing would read as an empty index.
 */
export function readHeaders(
  result: Pick<ShardReadResult, "index" | "answers" | "missing">,
  policy: "partial" | "error",
): ReadHeaders {
  const headers = settingsHeaders(result.index);
  if (result.missing.length === 0) return headers;
  if (policy === "error" || result.answers.length === 0) throw unavailable(result.missing);
  headers["x-miroir-degraded"] = degradedValue(result.missing);
  return headers;
}

/** Which settings an answer follows, and whether some nodes may already follow others. */
export function settingsHeaders(
  index: Pick<IndexView, "settingsVersion" | "settingsChanging" | "drifted">,
): Record<string, string> {
  return {
    "x-miroir-settings-version": String(index.settingsVersion),
    ...(index.settingsChanging || index.drifted.size > 0 ? { "x-miroir-settings-inconsistent": "true" } : {}),
  };
}

/**
 * Headers for an answer that several reads went into: every shard that one of them misses, the oldest of their settings
 * versions, and whether the settings of any are changing.
 */
export function combinedHeaders(all: readonly ReadHeaders[]): ReadHeaders {
  const versions = all.flatMap((headers) => headers["x-miroir-settings-version"] ?? []).map(BigInt);
  const headers: Record<string, string> = {};
  if (versions.length > 0) {
    headers["x-miroir-settings-version"] = String(versions.reduce((a, b) => (a < b ? a : b)));
  }
  if (all.some((one) => one["x-miroir-settings-inconsistent"] === "true")) {
    headers["x-miroir-settings-inconsistent"] = "true";
  }
  const missing = all.flatMap((one) => one["x-miroir-degraded"]?.match(/\d+/g) ?? []).map(Number);
  if (missing.length > 0) {
    headers["x-miroir-degraded"] = degradedValue([...new Set(missing)].sort((a, b) => a - b));
  }
  return headers;
}

/** `shards=3,7`. */
export function degradedValue(shards: readonly number[]): string {
  return `shards=${shards.join(",")}`;
}

function unavailable(missing: readonly number[]): MeilisearchError {
  return shardUnavailable(missing);
}
