import { compareText, type NodeId } from "./rendezvous.js";

/**
 * All shards in rounds, so that within a round a node shares either all of its shards with another node or none. A write sent
 * in these rounds, one task a node and round, comes out the same on all replicas of a shard even where a task does or fails as a whole:
 * the nodes that run it for one shard run it for the same other shards.
 *
 * One round where nodes hold the same shards or different ones; otherwise about as many as there are other nodes that a
 * node shares shards with.
 *
 * @param holders by shard: the nodes that hold it, in any order
 */
export function holderRounds(holders: readonly (readonly NodeId[])[]): readonly (readonly number[])[] {
  const alike = new Map<string, { readonly nodes: readonly NodeId[]; readonly shards: number[] }>();
  holders.forEach((nodes, shard) => {
    const sorted = [...nodes].sort(compareText);
    const key = JSON.stringify(sorted);
    const known = alike.get(key);
    if (known === undefined) alike.set(key, { nodes: sorted, shards: [shard] });
    else known.shards.push(shard);
  });
  const rounds: { readonly nodes: Set<NodeId>; readonly shards: number[] }[] = [];
  for (const { nodes, shards } of alike.values()) {
    let round = rounds.find((candidate) => !nodes.some((node) => candidate.nodes.has(node)));
    if (round === undefined) {
      round = { nodes: new Set(), shards: [] };
      rounds.push(round);
    }
    for (const node of nodes) round.nodes.add(node);
    round.shards.push(...shards);
  }
  return rounds.map(({ shards }) => shards.sort((a, b) => a - b));
}
