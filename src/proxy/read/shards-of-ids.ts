import { primaryKeyText, type ShardHasher } from "../../placement/shard.js";
import type { IndexView } from "../topology/topology-view.js";

/** The shards of an index that something is about. */
export type ShardsOfIndex = (index: IndexView) => readonly number[];

/** The shards that documents with given ids, as raw JSON, live in; all where an id is none, so that a node can say so. */
export function shardsOfIds(ids: readonly Buffer[], hasher: ShardHasher): ShardsOfIndex {
  const keys = ids.map(primaryKeyText);
  return (index) => {
    const shards = new Set<number>();
    for (const key of keys) {
      if (key === undefined) return index.placement.map((_, shard) => shard);
      shards.add(hasher.shardOf(key, index.shards));
    }
    return shards.size === 0 ? [0] : [...shards];
  };
}

/** Those of the ids whose documents live in some shards of an index. */
export function idsInShards(
  ids: readonly Buffer[],
  shards: readonly number[],
  index: IndexView,
  hasher: ShardHasher,
): readonly Buffer[] {
  const wanted = new Set(shards);
  return ids.filter((id) => {
    const key = primaryKeyText(id);
    return key !== undefined && wanted.has(hasher.shardOf(key, index.shards));
  });
}
