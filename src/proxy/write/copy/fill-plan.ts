import type { CopyState } from "./copy-run.js";
import type { CopyUnit } from "./copy-unit.js";

/** What a copy that is under way fills, and from where; `sourceless` shards have no copy in sync to fill them from at present. */
export interface FillPlan {
  readonly units: readonly CopyUnit[];
  readonly sourceless: readonly number[];
}

/** What is to be filled before the switch: shards that join, and all shards of replicas that join as a whole. */
export function unitsToFill({ view, index, copy }: CopyState): FillPlan {
  const sources = sourcesOf({ view, index, copy });
  const units: CopyUnit[] = [];
  const sourceless: number[] = [];
  index.placement.forEach((serving, shard) => {
    const repaired = serving.filter((id) => index.replicas.get(id) === "joining");
    for (const to of [...(index.joining[shard] ?? []), ...repaired]) {
      const from = sources(shard, to)[0];
      if (from === undefined) sourceless.push(shard);
      else units.push({ shard, from, to });
    }
  });
  return { units, sourceless };
}

/** What is to be compared after the switch: new replicas with the ones that they take the place of, or with others. */
export function unitsToVerify({ view, index, copy }: CopyState): readonly CopyUnit[] {
  const sources = sourcesOf({ view, index, copy });
  const wanted = new Map<string, { readonly shard: number; readonly to: string }>();
  const want = (shard: number, to: string) => wanted.set(JSON.stringify([shard, to]), { shard, to });
  for (const { shard, to } of copy.moves) if (to !== undefined) want(shard, to);
  for (const to of copy.repairs) for (const shard of index.shardsByNode.get(to) ?? []) want(shard, to);
  return [...wanted.values()].flatMap(({ shard, to }) => {
    const isServing = index.replicas.get(to) === "in_sync" && index.placement[shard]?.includes(to);
    const from = isServing ? sources(shard, to)[0] : undefined;
    return from === undefined ? [] : [{ shard, from, to }];
  });
}

/** Whether a replica may still be filled from another one: one in sync, or a suspect one where no other is left. */
export function isSource({ view, index, copy }: CopyState, { shard, from, to }: CopyUnit): boolean {
  const sources = sourcesOf({ view, index, copy })(shard, to);
  const isSuspect = index.replicas.get(from) === "suspect";
  return sources.includes(from) && (!isSuspect || index.replicas.get(sources[0] ?? from) === "suspect");
}

/**
 * The copies in sync of a shard besides the one that is filled, best first: what the move takes away, and nodes that answer. Suspect ones
 * come last: where no other is left, as after an election, they are the shard.
 */
function sourcesOf({ view, index, copy }: CopyState): (shard: number, to: string) => readonly string[] {
  return (shard, to) => {
    const from = copy.moves.find((move) => move.shard === shard && move.to === to)?.from;
    const worth = (id: string): number =>
      (index.replicas.get(id) === "in_sync" ? 4 : 0) +
      (view.nodes.get(id)?.state === "unreachable" ? 0 : 2) +
      (id === from ? 1 : 0);
    const isWhole = (id: string): boolean => ["in_sync", "suspect"].includes(index.replicas.get(id) ?? "");
    return [...(index.placement[shard] ?? []), ...(index.leaving[shard] ?? [])]
      .filter((id) => id !== to && isWhole(id) && view.nodes.has(id))
      .sort((a, b) => worth(b) - worth(a));
  };
}
