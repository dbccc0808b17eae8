import type { JsonValue } from "../../merge/index.js";
import type { ShardHasher } from "../../placement/shard.js";
import type { IndexView } from "../topology/topology-view.js";

/** `key = value` or `key IN [values]`, and nothing else. */
const KEY_CONDITION =
  /^\s*(?:"([^"\\]*)"|'([^'\\]*)'|([A-Za-z_][\w-]*))(?:\s*=\s*([^\s,[\]]+)|\s+IN\s*\[([^[\]]*)\])\s*$/;

/**
 * A whole number as keys are written, bare or in quotes. Nothing but itself is equal to it: words are compared without their case,
 * and larger numbers as doubles, so that other keys might match.
 */
const NUMBER = /^\s*(["']?)(0|-?[1-9]\d{0,14})\1\s*$/;

/**
 * The keys that documents have to have under a filter, where it says so; undefined where it does not, or only might.
 *
 * @param filter as clients write it: an expression, or an array (AND) of expressions and arrays (OR) of them
 */
export function keysOfFilter(
  filter: JsonValue | undefined,
  primaryKey: string,
): readonly string[] | undefined {
  if (typeof filter === "string") return keysOfCondition(filter, primaryKey);
  if (!Array.isArray(filter)) return undefined;
  for (const condition of filter as readonly JsonValue[]) {
    const keys = Array.isArray(condition)
      ? keysOfAny(condition as readonly JsonValue[], primaryKey)
      : keysOfFilter(condition, primaryKey);
    if (keys !== undefined) return keys;
  }
  return undefined;
}

/**
 * The shards of an index that can hold documents which pass a filter; undefined for all of them.
 */
export function shardsOfFilter(
  filter: JsonValue | undefined,
  { primaryKey, shards }: IndexView,
  hasher: ShardHasher,
): readonly number[] | undefined {
  const keys = primaryKey === undefined ? undefined : keysOfFilter(filter, primaryKey);
  if (keys === undefined || keys.length === 0) return undefined;
  const holding = new Set(keys.map((key) => hasher.shardOf(key, shards)));
  return holding.size < shards ? [...holding].sort((a, b) => a - b) : undefined;
}

function keysOfAny(conditions: readonly JsonValue[], primaryKey: string): readonly string[] | undefined {
  const keys: string[] = [];
  for (const condition of conditions) {
    const some = typeof condition === "string" ? keysOfCondition(condition, primaryKey) : undefined;
    if (some === undefined) return undefined;
    keys.push(...some);
  }
  return keys;
}

function keysOfCondition(condition: string, primaryKey: string): readonly string[] | undefined {
  const [, doubleQuoted, singleQuoted, bare, one, many] = KEY_CONDITION.exec(condition) ?? [];
  if ((doubleQuoted ?? singleQuoted ?? bare) !== primaryKey) return undefined;
  const keys: string[] = [];
  for (const value of one === undefined ? (many ?? "").split(",") : [one]) {
    const key = NUMBER.exec(value)?.[2];
    if (key === undefined) return undefined;
    keys.push(key);
  }
  return keys;
}
