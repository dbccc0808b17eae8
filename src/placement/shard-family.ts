/**
 * The shards whose codes the documents of some shards bear while an index is cut into more: shard s of `count` becomes s, s + count,
 * s + 2 × count … below `codes`, since a hash modulo a multiple is the same modulo the number itself. The same shards where none is
 * being cut.
 *
 * @param count the shards of the index
 * @param codes the shards that documents' codes are of; a multiple of `count`
 */
export function familyShards(shards: readonly number[], count: number, codes: number): readonly number[] {
  if (codes === count) return shards;
  const family: number[] = [];
  for (let base = 0; base < codes; base += count) for (const shard of shards) family.push(base + shard);
  return family;
}
