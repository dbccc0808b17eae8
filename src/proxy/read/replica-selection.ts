import type { Random } from "../../runtime/world.js";
import type { IndexView, TopologyView } from "../topology/topology-view.js";
import type { NodeHealth } from "./node-health.js";
import {
  askOfAll,
  type Coverage,
  coverSome,
  coversOf,
  type NodeAsk,
  type ReadSpread,
  type Sightings,
} from "./read-covers.js";
import type { IndexLatency, ReplicaLatencies } from "./replica-latency.js";

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
  /** A slow node to ask beside the others, so that it is seen when it is slow no more; rarely one. */
  sample(view: TopologyView, index: IndexView): NodeAsk | undefined;
}

/** What a selection goes by. */
export interface SelectionDependencies {
  readonly health: NodeHealth;
  readonly latencies: ReplicaLatencies;
  readonly random: Random;
}

/** One of two coverages is taken for the other's load only where that is less by this ratio: means are never quite equal. */
const CLEARLY_LESS = 1.5;

interface CachedCovers {
  readonly healthVersion: number;
  readonly latencyVersion: number;
  /** Those that all nodes take part in but slow ones. */
  readonly covers: readonly Coverage[];
  /** Nodes that come back to their share by degrees, and the covers without them. */
  warming: { readonly nodes: readonly string[]; readonly covers: readonly Coverage[] } | undefined;
  turn: number;
}

/**
 * Chooses by what the topology says and by what was seen of the nodes. What does not depend on the request is worked
 * out once for every topology, every change of some node's circuit and every replica that becomes slow or is so no more.
 */
export function createReplicaSelection(
  { health, latencies, random }: SelectionDependencies,
  spread: ReadSpread = "few",
): ReplicaSelection {
  const cache = new WeakMap<TopologyView, Map<IndexView, CachedCovers>>();
  const replacements = new WeakMap<
    NodeAsk,
    {
      readonly healthVersion: number;
      readonly latencyVersion: number;
      readonly coverage: Coverage | undefined;
    }
  >();

  const sightings = (latency: IndexLatency): Sightings => ({
    isAvoided: (nodeId) => health.isAvoided(nodeId),
    isSpared: (nodeId) => latency.isSlow(nodeId),
  });

  const warmth = (latency: IndexLatency, nodeId: string): number =>
    Math.min(latency.warmth(nodeId), health.warmth(nodeId));

  const workOut = (view: TopologyView, index: IndexView, latency: IndexLatency): CachedCovers => {
    latency.keepOnly(index.shardsByNode);
    const seen = sightings(latency);
    const nodes = [...index.shardsByNode.keys()].filter(
      (nodeId) => !health.isAvoided(nodeId) && !latency.isSlow(nodeId) && warmth(latency, nodeId) < 1,
    );
    const withoutThem = {
      ...seen,
      isSpared: (nodeId: string) => seen.isSpared(nodeId) || nodes.includes(nodeId),
    };
    return {
      healthVersion: health.version,
      latencyVersion: latency.version,
      covers: coversOf(view, index, seen, spread),
      warming: nodes.length === 0 ? undefined : { nodes, covers: coversOf(view, index, withoutThem, spread) },
      turn: 0,
    };
  };

  const cached = (view: TopologyView, index: IndexView, latency: IndexLatency): CachedCovers => {
    let byIndex = cache.get(view);
    if (byIndex === undefined) {
      byIndex = new Map();
      cache.set(view, byIndex);
    }
    const known = byIndex.get(index);
    if (known?.healthVersion === health.version && known.latencyVersion === latency.version) return known;
    const fresh = { ...workOut(view, index, latency), turn: known?.turn ?? 0 };
    byIndex.set(index, fresh);
    return fresh;
  };

  /** All covers for as large a share of the reads as nodes that come back have regained, those without them for the rest. */
  const choices = (known: CachedCovers, latency: IndexLatency): readonly Coverage[] => {
    if (known.warming === undefined) return known.covers;
    const share = Math.min(...known.warming.nodes.map((nodeId) => warmth(latency, nodeId)));
    if (share >= 1) known.warming = undefined;
    return known.warming === undefined || random.next() < share ? known.covers : known.warming.covers;
  };

  /** How long the slowest of the nodes may be expected to take, with what it has to do already. */
  const load = ({ asks }: Coverage, latency: IndexLatency): number =>
    asks.reduce((most, { node }) => {
      const expected = latency.expectedMs(node.id) * (1 + health.inFlight(node.id));
      return Math.max(most, expected);
    }, 0);

  return {
    cover(view, index) {
      const latency = latencies.of(index.instance);
      const known = cached(view, index, latency);
      const covers = choices(known, latency);
      const turn = known.turn % covers.length;
      known.turn = (turn + 1) % covers.length;
      const first = covers[turn] ?? NOTHING;
      if (covers.length < 2) return first;
      // The next one in turn and, of the others, any: two choices keep proxies from all taking the same one.
      const other = turn + 1 + Math.floor(random.next() * (covers.length - 1));
      const second = covers[other % covers.length] ?? first;
      return load(first, latency) > CLEARLY_LESS * load(second, latency) ? second : first;
    },
    coverSome: (view, index, shards) =>
      coverSome(view, index, sightings(latencies.of(index.instance)), shards),
    replace(view, index, ask, excluded) {
      // Asks of cached covers live on, and so do the replacements for the first node that fails.
      const latency = latencies.of(index.instance);
      const versions = { healthVersion: health.version, latencyVersion: latency.version };
      const known = replacements.get(ask);
      if (
        known?.healthVersion === versions.healthVersion &&
        known.latencyVersion === versions.latencyVersion &&
        excluded.size === 1
      ) {
        return known.coverage;
      }
      const accept = ({ id }: { readonly id: string }): boolean => !excluded.has(id);
      const found = coverSome(view, index, sightings(latency), ask.shards, accept);
      const replacement = found.asks.length === 0 ? undefined : found;
      if (excluded.size === 1) replacements.set(ask, { ...versions, coverage: replacement });
      return replacement;
    },
    sample(view, index) {
      const latency = latencies.of(index.instance);
      const nodeId = latency.takeSample();
      return nodeId === undefined ? undefined : askOfAll(view, index, sightings(latency), nodeId);
    },
  };
}

const NOTHING: Coverage = { asks: [], missing: [] };
