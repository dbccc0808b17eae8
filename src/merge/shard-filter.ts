import { SHARD_FIELD, shardCode } from "../placement/injected-fields.js";
import type { JsonValue } from "./search-parameters.js";

/**
 * A client's filter narrowed to some shards. The shard condition becomes one more element of the
 * top-level array, which is an AND: the client's expressions are never pasted into another expression,
 * so that none of them can reach outside of its own (invariant 5). It comes last, since nodes print the
 * joined filter in error messages, with positions: those of the client's part are then easily restored
 * (`hideInjectedFields`).
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
  if (typeof filter === "string") return [filter, condition];
  if (!Array.isArray(filter)) return filter;
  return [...(filter as readonly JsonValue[]), condition];
}

/** The condition that a document bears the code of one of these shards. Codes hold neither quotes nor backslashes. */
export function shardCondition(shards: readonly number[]): string {
  return `${SHARD_FIELD} IN [${shards.map((shard) => `"${shardCode(shard)}"`).join(", ")}]`;
}
