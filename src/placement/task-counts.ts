import { compareText, type NodeId } from "./rendezvous.js";

/** How the counts that nodes report for their part of one task make up the count of the whole. */
export type CountPlan = {
  /**
   * - `cover`: the counts of some nodes that hold every shard exactly once, added up;
   * - `weights`: counts of more nodes, each times a weight, so that every shard counts exactly once;
   * - `estimate`: no weights do that; the result is right only as far as documents spread evenly over shards.
   */
  readonly kind: "cover" | "weights" | "estimate";
  /** Nodes that count, and how much. Nodes that are absent count nothing. */
  readonly weights: ReadonlyMap<NodeId, number>;
};

/** Steps after which the search for a cover is given up; fleets of this size find one in a few. */
const MAX_SEARCH_STEPS = 20_000;
const TOLERANCE = 1e-9;

/**
 * Decides which nodes' counts make up the count of a task that several nodes ran, each on its own shards: a
 * node reports one number for all of them, and with more than one replica the numbers overlap.
 *
 * @param shardsByNode the shards on which each node ran the task successfully
 */
export function planCounts(shardsByNode: ReadonlyMap<NodeId, ReadonlySet<number>>): CountPlan {
  const nodes = [...shardsByNode]
    .filter(([, shards]) => shards.size > 0)
    .sort(([a, aShards], [b, bShards]) => bShards.size - aShards.size || compareText(a, b));
  const cover = exactCover(nodes);
  if (cover !== undefined) return { kind: "cover", weights: new Map(cover.map((node) => [node, 1])) };
  const solved = solveWeights(nodes);
  if (solved !== undefined) return { kind: "weights", weights: solved };
  return { kind: "estimate", weights: estimateWeights(nodes) };
}

/**
 * The count of the whole task, rounded to a whole number and not below 0.
 *
 * @param counts what each node reported; an absent node counts 0
 */
export function combineCounts(plan: CountPlan, counts: ReadonlyMap<NodeId, number>): number {
  let sum = 0;
  for (const [node, weight] of plan.weights) sum += weight * (counts.get(node) ?? 0);
  return Math.max(0, Math.round(sum));
}

type Held = readonly (readonly [NodeId, ReadonlySet<number>])[];

/** Nodes that together hold every shard once, found by trying the nodes of the scarcest shard in turn. */
function exactCover(nodes: Held): NodeId[] | undefined {
  let steps = 0;
  const search = (open: ReadonlySet<number>, usable: Held): NodeId[] | undefined => {
    if (open.size === 0) return [];
    if (++steps > MAX_SEARCH_STEPS) return undefined;
    for (const [node, shards] of usableHolders(open, usable)) {
      const rest = new Set([...open].filter((shard) => !shards.has(shard)));
      const disjoint = usable.filter(([, other]) => ![...other].some((shard) => shards.has(shard)));
      const found = search(rest, disjoint);
      if (found !== undefined) return [node, ...found];
    }
    return undefined;
  };
  return search(new Set(nodes.flatMap(([, shards]) => [...shards])), nodes);
}

/** The usable nodes that hold the open shard with the fewest of them. */
function usableHolders(open: ReadonlySet<number>, usable: Held): Held {
  let fewest: Held | undefined;
  for (const shard of open) {
    const holders = usable.filter(([, shards]) => shards.has(shard));
    if (fewest === undefined || holders.length < fewest.length) fewest = holders;
    if (fewest.length === 0) break;
  }
  return fewest ?? [];
}

/** Weights with which the holders of every shard add up to 1, by Gaussian elimination; undefined if there are none. */
function solveWeights(nodes: Held): Map<NodeId, number> | undefined {
  const even = evenWeights(nodes);
  if (even !== undefined) return even;
  const rows = distinctRows(nodes);
  const pivots: number[] = [];
  for (let column = 0; column < nodes.length; column++) {
    const top = pivots.length;
    const pivot = largestRow(rows, top, column);
    if (pivot === undefined) continue;
    swap(rows, top, pivot);
    eliminate(rows, top, column);
    pivots.push(column);
  }
  const constant = nodes.length;
  if (rows.slice(pivots.length).some((row) => Math.abs(at(row, constant)) > TOLERANCE)) return undefined;
  // Columns without a pivot stay at 0.
  const weights = pivots.map((column, i) => [nodes[column]?.[0], at(rows[i] ?? [], constant)] as const);
  return new Map(
    weights.flatMap(([node, weight]) =>
      node === undefined || Math.abs(weight) <= TOLERANCE ? [] : [[node, weight]],
    ),
  );
}

/** Where every shard has the same number of copies, as when all replicas succeeded, each copy counts its part. */
function evenWeights(nodes: Held): Map<NodeId, number> | undefined {
  const copies = new Set(copyCounts(nodes).values());
  const [count] = copies;
  if (copies.size !== 1 || count === undefined) return undefined;
  return new Map(nodes.map(([node]) => [node, 1 / count]));
}

/** One equation a distinct set of holders: the sum of the holders' weights is 1 (the last column). */
function distinctRows(nodes: Held): number[][] {
  const rows = new Map<string, number[]>();
  for (const shard of new Set(nodes.flatMap(([, shards]) => [...shards]))) {
    const row = nodes.map(([, shards]) => (shards.has(shard) ? 1 : 0));
    rows.set(row.join(""), [...row, 1]);
  }
  return [...rows.values()];
}

function largestRow(rows: readonly number[][], from: number, column: number): number | undefined {
  let best: number | undefined;
  let bestSize = TOLERANCE;
  for (let i = from; i < rows.length; i++) {
    const size = Math.abs(at(rows[i] ?? [], column));
    if (size > bestSize) {
      best = i;
      bestSize = size;
    }
  }
  return best;
}

function swap(rows: number[][], a: number, b: number): void {
  const [first, second] = [rows[a], rows[b]];
  if (first === undefined || second === undefined) return;
  rows[a] = second;
  rows[b] = first;
}

function eliminate(rows: number[][], top: number, column: number): void {
  const lead = at(rows[top] ?? [], column);
  const pivot = (rows[top] ?? []).map((value) => value / lead);
  rows.forEach((row, i) => {
    const factor = at(row, column);
    rows[i] = i === top ? pivot : row.map((value, k) => value - factor * at(pivot, k));
  });
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? 0;
}

/** Every shard's documents taken as equally many, and counted once over its copies. */
function estimateWeights(nodes: Held): Map<NodeId, number> {
  const copies = copyCounts(nodes);
  return new Map(
    nodes.map(([node, shards]) => {
      let whole = 0;
      for (const shard of shards) whole += 1 / (copies.get(shard) ?? 1);
      return [node, whole / shards.size];
    }),
  );
}

function copyCounts(nodes: Held): Map<number, number> {
  const copies = new Map<number, number>();
  for (const [, shards] of nodes) for (const shard of shards) copies.set(shard, (copies.get(shard) ?? 0) + 1);
  return copies;
}
