import { compareText, type NodeId } from "./rendezvous.js";

/** One node's part of a read. */
export type CoveragePick<Shard extends number = number> = {
  readonly node: NodeId;
  /** The shards it serves, ascending; never empty. */
  readonly shards: readonly Shard[];
  /**
   * Whether these are all the shards for which the node is a candidate. Only then may the filter by shard be
   * left out, and only if the node holds no shard that is no candidate either (invariant 5).
   */
  readonly coversAllItHolds: boolean;
};

/** Which nodes serve which shards. */
export type Coverage<Shard extends number = number> = {
  /** In the order in which they were chosen: the first one serves all that it holds. */
  readonly picks: readonly CoveragePick<Shard>[];
  /** Shards that no node holds, ascending. */
  readonly uncovered: readonly Shard[];
};

/** Up to so many nodes every combination is looked at; above it the cover is greedy. */
const EXACT_NODES = 8;

/**
 * Chooses few nodes so that every shard is served exactly once. The number of nodes is the least possible
 * where up to eight nodes compete; above that, a greedy choice without nodes that turn out needless. Among
 * equally few nodes the preferred ones win, so a fixed preference always gives the same answer. It takes time
 * in proportion to the replicas (0.2 ms for 64 shards on six nodes, several for thousands): work it out once a
 * topology, not once a search.
 *
 * @param candidates the usable replicas of every wanted shard, a node at most once for each
 * @param preference larger is better; equal nodes go by name. NaN is not allowed
 */
export function planCoverage<Shard extends number>(
  candidates: ReadonlyMap<Shard, readonly NodeId[]>,
  preference: (node: NodeId) => number = () => 0,
): Coverage<Shard> {
  const uncovered: Shard[] = [];
  const held = new Map<NodeId, Shard[]>();
  const wanted = [...candidates.keys()].sort((a, b) => a - b);
  for (const shard of wanted) {
    const nodes = candidates.get(shard) ?? [];
    if (nodes.length === 0) uncovered.push(shard);
    for (const node of nodes) {
      const shards = held.get(node);
      if (shards === undefined) held.set(node, [shard]);
      else shards.push(shard);
    }
  }
  const preferences = new Map([...held.keys()].map((node) => [node, preference(node)]));
  const ranked = [...held.keys()].sort(
    (a, b) => (preferences.get(b) ?? 0) - (preferences.get(a) ?? 0) || compareText(a, b),
  );
  const chosen = new Set(chooseNodes(candidates, ranked, held));
  const picks = distribute(
    ranked.filter((node) => chosen.has(node)),
    held,
  );
  return { picks, uncovered };
}

/**
 * Spreads shards over all nodes that hold any, as evenly as one look at each shard makes it: where searches are heavy, many nodes with
 * a share each answer sooner than one that does it all.
 *
 * @param candidates the usable replicas of every wanted shard, a node at most once for each
 * @param preference larger is better among nodes that have as much to serve; equal nodes go by name
 */
export function spreadCoverage<Shard extends number>(
  candidates: ReadonlyMap<Shard, readonly NodeId[]>,
  preference: (node: NodeId) => number = () => 0,
): Coverage<Shard> {
  const uncovered: Shard[] = [];
  const shares = new Map<NodeId, Shard[]>();
  const held = new Map<NodeId, number>();
  // Shards with little choice first, so that the others can even out.
  const wanted = [...candidates].sort(([a, left], [b, right]) => left.length - right.length || a - b);
  for (const [shard, nodes] of wanted) {
    for (const node of nodes) held.set(node, (held.get(node) ?? 0) + 1);
    const share = (node: NodeId): number => shares.get(node)?.length ?? 0;
    const [least] = nodes.toSorted(
      (a, b) => share(a) - share(b) || preference(b) - preference(a) || compareText(a, b),
    );
    if (least === undefined) uncovered.push(shard);
    else shares.set(least, [...(shares.get(least) ?? []), shard]);
  }
  const picks = [...shares].map(([node, shards]) => ({
    node,
    shards: shards.sort((a, b) => a - b),
    coversAllItHolds: shards.length === held.get(node),
  }));
  return { picks, uncovered: uncovered.sort((a, b) => a - b) };
}

/** The nodes to ask, `ranked` being the candidates, best first. */
function chooseNodes<Shard extends number>(
  candidates: ReadonlyMap<Shard, readonly NodeId[]>,
  ranked: readonly NodeId[],
  held: ReadonlyMap<NodeId, readonly Shard[]>,
): NodeId[] {
  const chosen = new Set<NodeId>();
  for (const nodes of candidates.values()) {
    const [only] = nodes;
    if (nodes.length === 1 && only !== undefined) chosen.add(only);
  }
  // What is left to cover, as the sets of nodes that could do it. Shards of one placement share few such sets.
  const open = new Map<string, readonly NodeId[]>();
  for (const nodes of candidates.values()) {
    if (nodes.length > 0 && !nodes.some((node) => chosen.has(node)))
      open.set(nodes.toSorted().join("\n"), nodes);
  }
  if (open.size === 0) return [...chosen];
  const choices = [...open.values()];
  const competing = ranked.filter((node) => choices.some((nodes) => nodes.includes(node)));
  const more =
    competing.length <= EXACT_NODES ? fewest(choices, competing) : greedy(choices, competing, held);
  return [...chosen, ...more];
}

/** The smallest set of `competing` nodes with one of every choice; of equals the one that is best by rank. */
function fewest(choices: readonly (readonly NodeId[])[], competing: readonly NodeId[]): NodeId[] {
  // The best node is the highest bit: of two sets of one size the larger number has the better nodes.
  const bit = new Map(competing.map((node, rank) => [node, 1 << (competing.length - 1 - rank)]));
  const masks = choices.map((nodes) => nodes.reduce((mask, node) => mask | (bit.get(node) ?? 0), 0));
  let best = (1 << competing.length) - 1;
  let bestSize = competing.length;
  for (let set = best; set > 0; set--) {
    const size = bitCount(set);
    if (size < bestSize && masks.every((mask) => (mask & set) !== 0)) {
      best = set;
      bestSize = size;
    }
  }
  return competing.filter((node) => (best & (bit.get(node) ?? 0)) !== 0);
}

function greedy<Shard extends number>(
  choices: readonly (readonly NodeId[])[],
  competing: readonly NodeId[],
  held: ReadonlyMap<NodeId, readonly Shard[]>,
): NodeId[] {
  let open = choices;
  const chosen: NodeId[] = [];
  while (open.length > 0) {
    let best: NodeId | undefined;
    let bestGain = 0;
    for (const node of competing) {
      const gain = open.reduce((sum, nodes) => sum + (nodes.includes(node) ? 1 : 0), 0);
      if (
        gain > bestGain ||
        (gain === bestGain && best !== undefined && size(held, node) > size(held, best))
      ) {
        best = node;
        bestGain = gain;
      }
    }
    if (best === undefined) break;
    const taken = best;
    chosen.push(taken);
    open = open.filter((nodes) => !nodes.includes(taken));
  }
  // Later choices can make an earlier one needless; the last in rank goes first.
  return competing
    .filter((node) => chosen.includes(node))
    .reduceRight<NodeId[]>((kept, node) => {
      const without = kept.filter((other) => other !== node);
      return choices.every((nodes) => nodes.some((other) => without.includes(other))) ? without : kept;
    }, chosen);
}

/** Gives every shard to one of the chosen nodes, best first: the node with most left to serve takes it all. */
function distribute<Shard extends number>(
  chosen: readonly NodeId[],
  held: ReadonlyMap<NodeId, readonly Shard[]>,
): CoveragePick<Shard>[] {
  const served = new Set<Shard>();
  const picks: CoveragePick<Shard>[] = [];
  let left = [...chosen];
  while (left.length > 0) {
    let best: NodeId | undefined;
    let bestShards: Shard[] = [];
    for (const node of left) {
      const shards = (held.get(node) ?? []).filter((shard) => !served.has(shard));
      if (best === undefined || shards.length > bestShards.length) {
        best = node;
        bestShards = shards;
      }
    }
    const taken = best;
    left = left.filter((node) => node !== taken);
    if (taken === undefined || bestShards.length === 0) continue;
    for (const shard of bestShards) served.add(shard);
    picks.push({
      node: taken,
      shards: bestShards,
      coversAllItHolds: bestShards.length === size(held, taken),
    });
  }
  return picks;
}

function size<Shard extends number>(held: ReadonlyMap<NodeId, readonly Shard[]>, node: NodeId): number {
  return held.get(node)?.length ?? 0;
}

function bitCount(value: number): number {
  let count = 0;
  for (let rest = value; rest !== 0; rest &= rest - 1) count++;
  return count;
}
