import { recipients, type Standing } from "./standing.js";

/**
 * Shards in rounds, in each of which no node's body is larger than `maxBytes`: a write whose part for a node is more than the node takes
 * at once goes out in several requests, one behind another. As few rounds as filling them in the shards' order gives.
 *
 * @param bytesOf what a shard's documents take in a node's body; of no shard more than `maxBytes`
 */
export function byteRounds(
  shards: readonly number[],
  standing: Pick<Standing, "placement" | "joining" | "leaving" | "members">,
  bytesOf: (shard: number) => number,
  maxBytes: number,
): readonly (readonly number[])[] {
  const rounds: number[][] = [];
  let round: number[] = [];
  let filled = new Map<string, number>();
  for (const shard of shards) {
    const bytes = bytesOf(shard);
    const nodes = recipients(standing, shard);
    if (round.length > 0 && nodes.some((node) => (filled.get(node) ?? 0) + bytes > maxBytes)) {
      rounds.push(round);
      round = [];
      filled = new Map();
    }
    round.push(shard);
    for (const node of nodes) filled.set(node, (filled.get(node) ?? 0) + bytes);
  }
  return round.length > 0 ? [...rounds, round] : rounds;
}
