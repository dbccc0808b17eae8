import { SHARD_FIELD, shardCode } from "../placement/injected-fields.js";
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
 * @param shards the shards to read; none matches no document
 */
export function filterWithShards(filter: JsonValue | undefined, shards: readonly number[]): JsonValue {
  const condition = shardCondition(shards);
  if (filter === undefined || filter === null) return condition;
  if (typeof filter === "string") return [condition, filter];
  if (!Array.isArray(filter)) return filter;
  return [condition, ...(filter as readonly JsonValue[])];
}

/** Codes hold neither quotes nor backslashes. */
function shardCondition(shards: readonly number[]): string {
  return `${SHARD_FIELD} IN [${shards.map((shard) => `"${shardCode(shard)}"`).join(", ")}]`;
}
