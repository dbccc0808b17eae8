import type { IndexView, NodeView, TopologyView } from "../topology/topology-view.js";
import type { NodeHealth } from "./node-health.js";

/** One node's share of a read. */
export interface NodeAsk {
  readonly node: NodeView;
  /** The shards that the node is to serve, ascending. */
  readonly shards: readonly number[];
  /** The shards to filter by; null where the node holds nothing else of the index (invariant 5). */
  readonly filter: readonly number[] | null;
}

/** Which nodes serve which shards of a read. */
export interface Coverage {
  readonly asks: readonly NodeAsk[];
  /** Shards without a readable replica, ascending. */
  readonly missing: readonly number[];
}

/** Chooses replicas. */
export interface ReplicaSelection {
  /** Nodes for every shard of the index: few of them, from one group where one group can serve everything. */
  cover(view: TopologyView, index: IndexView): Coverage;
  /** Nodes for some shards, none of them in `excluded`. */
  coverSome(
    view: TopologyView,
    index: IndexView,
    shards: readonly number[],
    excluded: ReadonlySet<string>,
  ): Coverage;
}

/**
 * How readable a replica is: 0 for one in sync on a node that is known to work, 1 for one in sync whose node
 * is said or seen to be away, 2 for one that is suspect, which only serves where there is no other (invariant 13).
 */
type Tier = 0 | 1 | 2;

interface CachedCovers {
  readonly version: number;
  readonly covers: readonly Coverage[];
  turn: number;
}

/**
 * Chooses by what the topology says and `health` has seen. What does not depend on the request is worked
 * out once for every topology and every change of some node's circuit.
 */
export function createReplicaSelection(health: NodeHealth): ReplicaSelection {
  const cache = new WeakMap<TopologyView, Map<IndexView, CachedCovers>>();

  const coversOf = (view: TopologyView, index: IndexView): CachedCovers => {
    let byIndex = cache.get(view);
    if (byIndex === undefined) {
      byIndex = new Map();
      cache.set(view, byIndex);
    }
    const known = byIndex.get(index);
    if (known !== undefined && known.version === health.version) return known;
    const fresh = { version: health.version, covers: allCovers(view, index, health), turn: known?.turn ?? 0 };
    byIndex.set(index, fresh);
    return fresh;
  };

  return {
    cover(view, index) {
      const cached = coversOf(view, index);
      const { covers } = cached;
      const first = covers[cached.turn % covers.length];
      cached.turn = (cached.turn + 1) % covers.length;
      const second = covers[cached.turn];
      if (first === undefined || second === undefined) return NOTHING;
      return load(second, health) < load(first, health) ? second : first;
    },
    coverSome: (view, index, shards, excluded) => {
      const candidates = candidatesOf(view, index, health, (node) => !excluded.has(node.id));
      return coverage(index, shards, candidates, 0);
    },
  };
}

const NOTHING: Coverage = { asks: [], missing: [] };

function load(coverage: Coverage, health: NodeHealth): number {
  return coverage.asks.reduce((most, ask) => Math.max(most, health.inFlight(ask.node.id)), 0);
}

/**
 * The coverages to take turns with: those of single groups that can serve everything from replicas of the
 * best tier, or one over all groups. Of a group's coverages only the smallest are kept.
 */
function allCovers(view: TopologyView, index: IndexView, health: NodeHealth): readonly Coverage[] {
  const shards = index.placement.map((_, shard) => shard);
  const covers: Coverage[] = [];
  for (const [group, nodeIds] of view.groups) {
    const candidates = candidatesOf(view, index, health, (node) => node.group === group).filter(
      (candidate) => candidate.tier === 0,
    );
    const rotations = nodeIds.map((_, rotation) => coverage(index, shards, candidates, rotation));
    const fewest = Math.min(...rotations.map((cover) => cover.asks.length));
    covers.push(...rotations.filter((cover) => cover.missing.length === 0 && cover.asks.length === fewest));
  }
  if (covers.length > 0) return covers;
  return [
    coverage(
      index,
      shards,
      candidatesOf(view, index, health, () => true),
      0,
    ),
  ];
}

interface Candidate {
  readonly node: NodeView;
  readonly tier: Tier;
  readonly shards: readonly number[];
}

function candidatesOf(
  view: TopologyView,
  index: IndexView,
  health: NodeHealth,
  accept: (node: NodeView) => boolean,
): Candidate[] {
  const candidates: Candidate[] = [];
  for (const [nodeId, shards] of index.shardsByNode) {
    const node = view.nodes.get(nodeId);
    if (node === undefined || !accept(node)) continue;
    const tier = tierOf(node, index, health);
    if (tier !== undefined) candidates.push({ node, tier, shards });
  }
  return candidates.sort((a, b) => (a.node.id < b.node.id ? -1 : 1));
}

function tierOf(node: NodeView, index: IndexView, health: NodeHealth): Tier | undefined {
  const state = index.replicas.get(node.id);
  if (state === "suspect" || (state === "in_sync" && node.state === "suspect")) return 2;
  if (state !== "in_sync") return undefined;
  return node.state === "unreachable" || health.isAvoided(node.id) ? 1 : 0;
}

/** Better tiers first; within a tier the node that serves most of what is still open, so that few are asked. */
function coverage(
  index: IndexView,
  wanted: readonly number[],
  candidates: readonly Candidate[],
  rotation: number,
): Coverage {
  const open = new Set(wanted);
  const asks: NodeAsk[] = [];
  for (const tier of [0, 1, 2] as const) {
    const left = rotate(
      candidates.filter((candidate) => candidate.tier === tier),
      rotation,
    );
    while (open.size > 0) {
      let best: Candidate | undefined;
      let bestCount = 0;
      for (const candidate of left) {
        const count = candidate.shards.reduce((sum, shard) => sum + (open.has(shard) ? 1 : 0), 0);
        if (count > bestCount) {
          best = candidate;
          bestCount = count;
        }
      }
      if (best === undefined) break;
      asks.push(askOf(index, best.node, best.shards, open));
      for (const shard of best.shards) open.delete(shard);
    }
  }
  asks.sort((a, b) => (a.node.id < b.node.id ? -1 : 1));
  return { asks, missing: [...open].sort((a, b) => a - b) };
}

function askOf(
  index: IndexView,
  node: NodeView,
  held: readonly number[],
  open: ReadonlySet<number>,
): NodeAsk {
  const shards = held.filter((shard) => open.has(shard)).sort((a, b) => a - b);
  const holdsMore = shards.length < (index.shardsByNode.get(node.id)?.length ?? 0);
  return { node, shards, filter: holdsMore ? shards : null };
}

function rotate<T>(list: readonly T[], by: number): T[] {
  const at = list.length === 0 ? 0 : by % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}
