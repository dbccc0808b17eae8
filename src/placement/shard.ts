import xxhash from "xxhash-wasm";

/** A shard's number, from 0 to the index's shard count less one. */
export type ShardId = number & { readonly __brand: "ShardId" };

/** Finds the shard of a document. */
export interface ShardHasher {
  /**
   * `xxh64(UTF-8 of primaryKey, seed 0) mod shards`. `primaryKey` is the key as text: a string's own characters, an
   * integer's decimal digits, so that `42` and `"42"` are one key, as they are to Meilisearch.
   *
   * @throws RangeError where `shards` is no whole number of at least 1
   */
  shardOf(primaryKey: string, shards: number): ShardId;
}

let loading: ReturnType<typeof xxhash> | undefined;

/** Loads the hash function, once a process; the hasher then works synchronously. */
export async function createShardHasher(): Promise<ShardHasher> {
  loading ??= xxhash();
  const { h64 } = await loading;
  return {
    shardOf: (primaryKey, shards) => Number(h64(primaryKey) % BigInt(checkedCount(shards))) as ShardId,
  };
}

/**
 * Every shard of an index that is cut into `count`, ascending.
 *
 * @throws RangeError where `count` is no whole number of at least 1
 */
export function allShards(count: number): ShardId[] {
  return Array.from({ length: checkedCount(count) }, (_, shard) => shard as ShardId);
}

const SMALLEST_INTEGER = -(2n ** 63n);
const GREATEST_INTEGER = 2n ** 64n - 1n;
/** Any integer of so many digits fits. */
const SAFE_DIGITS = 18;

/**
 * The text of a primary key given as raw JSON: the characters of a string, the digits of an integer, all of
 * them. Undefined where the value is neither. Meilisearch takes an integer from -2^63 to 2^64 - 1; anything
 * else, `-0` too, is a fraction to it and no key.
 *
 * @throws SyntaxError where the value is a string with a wrong escape; validated documents hold none
 */
export function primaryKeyText(rawJson: Uint8Array): string | undefined {
  const text = Buffer.from(rawJson.buffer, rawJson.byteOffset, rawJson.byteLength).toString("utf8").trim();
  if (text.startsWith('"')) {
    const value: unknown = text.includes("\\") ? JSON.parse(text) : text.slice(1, -1);
    return typeof value === "string" ? value : undefined;
  }
  if (!/^-?(0|[1-9]\d*)$/.test(text) || text === "-0") return undefined;
  if (text.length <= SAFE_DIGITS) return text;
  const integer = text.length > 20 ? undefined : BigInt(text);
  const taken = integer !== undefined && integer >= SMALLEST_INTEGER && integer <= GREATEST_INTEGER;
  return taken ? text : undefined;
}

function checkedCount(shards: number): number {
  if (Number.isInteger(shards) && shards >= 1) return shards;
  throw new RangeError(`an index has a whole number of shards from 1, not ${shards}`);
}
