import { SHARD_FIELD } from "./injected-fields.js";
import type { JsonValue } from "./search-parameters.js";

/**
 * A client's filter narrowed to some shards. The shard condition becomes one more element of the
 * top-level array, which is an AND: the client's expressions are never pasted into another expression,
 * so that none of them can reach outside of its own (invariant 5).
 *
 * A filter that is neither a string nor an array is what a node refuses; it comes back as it is, so that
 * the node can say so.
 *
 * @param filter the client's filter; null or undefined for none
 * @param shardCodes the codes of the shards to read, as stored in documents; none matches no document
 */
export function filterWithShards(filter: JsonValue | undefined, shardCodes: readonly string[]): JsonValue {
  const shards = shardCondition(shardCodes);
  if (filter === undefined || filter === null) return shards;
  if (typeof filter === "string") return [shards, filter];
  if (!Array.isArray(filter)) return filter;
  return [shards, ...(filter as readonly JsonValue[])];
}

function shardCondition(shardCodes: readonly string[]): string {
  const codes = shardCodes.map((code) => `"${code.replace(/["\\]/g, "\\$&")}"`);
  return `${SHARD_FIELD} IN [${codes.join(", ")}]`;
}
