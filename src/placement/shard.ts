import xxhash from "xxhash-wasm";

/** A shard's number, from 0 to the index's shard count less one. */
export type ShardId = number & { readonly __brand: "ShardId" };

/** Finds the shard of a document. */
export interface ShardHasher {
  /**
   * `xxh64(UTF-8 of primaryKey, seed 0) mod shards`. `primaryKey` is the key as text: a string's own characters, an
   * integer's decimal digits, so that `42` and `"42"` are one key, as they are to Meilisearch.
   */
  shardOf(primaryKey: string, shards: number): ShardId;
}

/** Loads the hash function; the hasher then works synchronously. */
export async function createShardHasher(): Promise<ShardHasher> {
  const { h64 } = await xxhash();
  return { shardOf: (primaryKey, shards) => Number(h64(primaryKey) % BigInt(shards)) as ShardId };
}

/**
 * The text of a primary key given as raw JSON: the characters of a string, the digits of an integer. Undefined
 * where the value is neither, as Meilisearch accepts no other. Integers keep all their digits.
 */
export function primaryKeyText(rawJson: Uint8Array): string | undefined {
  const text = Buffer.from(rawJson.buffer, rawJson.byteOffset, rawJson.byteLength).toString("utf8");
  if (text.startsWith('"')) {
    const value: unknown = JSON.parse(text);
    return typeof value === "string" ? value : undefined;
  }
  if (/^-?(0|[1-9]\d*)$/.test(text)) return text === "-0" ? "0" : text;
  return undefined;
}
