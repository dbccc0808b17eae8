import { planCoverage, spreadCoverage } from "../../placement/coverage.js";
import { familyShards } from "../../placement/shard-family.js";
import type { IndexView, NodeView, TopologyView } from "../topology/topology-view.js";
import type { NodeHealth } from "./node-health.js";

/** One node's share of a read. */
export interface NodeAsk {
  readonly node: NodeView;
  /** The shards that the node is to serve, ascending. */
  readonly shards: readonly number[];
  /** The shards whose codes to filter by; null where the node holds nothing else of the index (invariant 5). */
  readonly filter: readonly number[] | null;
  /** Whether the replica is suspect: only to be asked once every other copy has failed (invariant 13). */
  readonly isSuspect: boolean;
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
  /** Nodes for some shards. */
  coverSome(view: TopologyView, index: IndexView, shards: readonly number[]): Coverage;
  /** Nodes for what `ask` was to serve, none of them in `excluded`; undefined where there is none for any of it. */
  replace(
    view: TopologyView,
    index: IndexView,
    ask: NodeAsk,
    excluded: ReadonlySet<string>,
  ): Coverage | undefined;
}

/**
 * How readable a replica is: 0 for one in sync on a node that is known to work, 1 for one in sync whose node
 * is said or seen to be away, or whose settings have drifted, 2 for one that is suspect, which only serves where there is no other (invariant 13).
 */
type Tier = 0 | 1 | 2;

interface CachedCovers {
  readonly version: number;
  readonly covers: readonly Coverage[];
  turn: number;
}

/** Whether a read goes to as few nodes of a group as can serve it, or to all of them, each with a share of the shards. */
export type ReadSpread = "few" | "many";

/**
 * Chooses by what the topology says and `health` has seen. What does not depend on the request is worked
 * out once for every topology and every change of some node's circuit.
 */
export function createReplicaSelection(health: NodeHealth, spread: ReadSpread = "few"): ReplicaSelection {
  const cache = new WeakMap<TopologyView, Map<IndexView, CachedCovers>>();
  const replacements = new WeakMap<
    NodeAsk,
    { readonly version: number; readonly coverage: Coverage | undefined }
  >();

  const coversOf = (view: TopologyView, index: IndexView): CachedCovers => {
    let byIndex = cache.get(view);
    if (byIndex === undefined) {
      byIndex = new Map();
      cache.set(view, byIndex);
    }
    const known = byIndex.get(index);
    if (known !== undefined && known.version === health.version) return known;
    const fresh = {
      version: health.version,
      covers: allCovers(view, index, health, spread),
      turn: known?.turn ?? 0,
    };
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
    coverSome: (view, index, shards) =>
      coverage(
        index,
        shards,
        candidatesOf(view, index, health, () => true),
        0,
      ),
    replace(view, index, ask, excluded) {
      // Asks of cached covers live on, and so do the replacements for the first node that fails.
      const known = replacements.get(ask);
      if (known !== undefined && known.version === health.version && excluded.size === 1) {
        return known.coverage;
      }
      const candidates = candidatesOf(view, index, health, (node) => !excluded.has(node.id));
      const found = coverage(index, ask.shards, candidates, 0);
      const replacement = found.asks.length === 0 ? undefined : found;
      if (excluded.size === 1) {
        replacements.set(ask, { version: health.version, coverage: replacement });
      }
      return replacement;
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
function allCovers(
  view: TopologyView,
  index: IndexView,
  health: NodeHealth,
  spread: ReadSpread,
): readonly Coverage[] {
  const shards = index.placement.map((_, shard) => shard);
  const covers: Coverage[] = [];
  for (const [group, nodeIds] of view.groups) {
    const candidates = candidatesOf(view, index, health, (node) => node.group === group).filter(
      (candidate) => candidate.tier === 0,
    );
    const rotations = nodeIds.map((_, rotation) => coverage(index, shards, candidates, rotation, spread));
    const sizes = rotations.map((cover) => cover.asks.length);
    const wanted = spread === "few" ? Math.min(...sizes) : Math.max(...sizes);
    covers.push(...rotations.filter((cover) => cover.missing.length === 0 && cover.asks.length === wanted));
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
  const isAway = node.state === "unreachable" || health.isAvoided(node.id);
  return isAway || index.drifted.has(node.id) ? 1 : 0;
}

/** Serves each shard by a replica of the best tier that there is, from as few nodes as can be unless told otherwise. */
function coverage(
  index: IndexView,
  wanted: readonly number[],
  candidates: readonly Candidate[],
  rotation: number,
  spread: ReadSpread = "few",
): Coverage {
  const byShard = new Map<number, string[]>(wanted.map((shard) => [shard, []]));
  for (const tier of [0, 1, 2] as const) {
    const open = new Set(wanted.filter((shard) => byShard.get(shard)?.length === 0));
    for (const candidate of candidates) {
      if (candidate.tier !== tier) continue;
      for (const shard of candidate.shards) {
        if (open.has(shard)) byShard.get(shard)?.push(candidate.node.id);
      }
    }
  }
  const byId = new Map(candidates.map((candidate) => [candidate.node.id, candidate]));
  const turns = new Map([...byId.keys()].map((id, at) => [id, (at + rotation) % Math.max(1, byId.size)]));
  const plan = spread === "few" ? planCoverage : spreadCoverage;
  const { picks, uncovered } = plan(byShard, (id) => turns.get(id) ?? 0);
  const asks = picks.flatMap(({ node: id, shards }) => {
    const candidate = byId.get(id);
    return candidate === undefined ? [] : [askOf(index, candidate, shards)];
  });
  asks.sort((a, b) => (a.node.id < b.node.id ? -1 : 1));
  return { asks, missing: uncovered };
}

function askOf(index: IndexView, { node, tier }: Candidate, shards: readonly number[]): NodeAsk {
  const holdsMore = shards.length < (index.heldByNode.get(node.id)?.size ?? 0);
  return { node, shards, filter: holdsMore ? codesOf(index, shards) : null, isSuspect: tier === 2 };
}

/** The shards to filter by, for a node that may hold documents of others. */
export function codesOf(index: IndexView, shards: readonly number[]): readonly number[] {
  return familyShards(shards, index.shards, index.familyShards);
}
