import { planCoverage, spreadCoverage } from "../../placement/coverage.js";
import { familyShards } from "../../placement/shard-family.js";
import type { IndexView, NodeView, TopologyView } from "../topology/topology-view.js";

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

/** Whether a read goes to as few nodes of a group as can serve it, or to all of them, each with a share of the shards. */
export type ReadSpread = "few" | "many";

/**
 * How readable a replica is: 0 for one in sync on a node that is known to work, 1 for one that is slow beside its peers, 2 for one
 * whose node is said or seen to be away, or whose settings have drifted, 3 for one that is suspect, which only serves where there is no
 * other (invariant 13).
 */
type Tier = (typeof TIERS)[number];

/** Best first. */
const TIERS = [0, 1, 2, 3] as const;

/** What a proxy has seen of its nodes, as far as it makes some less readable than others. */
export interface Sightings {
  /** Whether the node's circuit is open. */
  isAvoided(nodeId: string): boolean;
  /** Whether the node takes much longer than its peers, or is to be spared for another reason. */
  isSpared(nodeId: string): boolean;
}

/** Coverages of a group that are looked at: what a choice among more would gain is less than it takes to make them. */
const MAX_ROTATIONS = 16;

/**
 * The coverages to choose from: those of single groups that can serve everything from replicas of the
 * best tier, or one over all groups. Of a group's coverages only the smallest are kept, each once.
 */
export function coversOf(
  view: TopologyView,
  index: IndexView,
  seen: Sightings,
  spread: ReadSpread,
): readonly Coverage[] {
  const shards = index.placement.map((_, shard) => shard);
  const covers = new Map<string, Coverage>();
  for (const [group, nodeIds] of view.groups) {
    const candidates = candidatesOf(view, index, seen, (node) => node.group === group).filter(
      (candidate) => candidate.tier === 0,
    );
    const rotations = nodeIds
      .slice(0, MAX_ROTATIONS)
      .map((_, rotation) => coverage(index, shards, candidates, rotation, spread));
    const sizes = rotations.map((cover) => cover.asks.length);
    const wanted = spread === "few" ? Math.min(...sizes) : Math.max(...sizes);
    for (const cover of rotations) {
      if (cover.missing.length > 0 || cover.asks.length !== wanted) continue;
      covers.set(cover.asks.map((ask) => `${ask.node.id} ${ask.shards.join()}`).join("\n"), cover);
    }
  }
  return covers.size > 0 ? [...covers.values()] : [coverSome(view, index, seen, shards)];
}

/** The coverage of some shards by the best replicas that there are, of any group, among the nodes that are accepted. */
export function coverSome(
  view: TopologyView,
  index: IndexView,
  seen: Sightings,
  shards: readonly number[],
  accept: (node: NodeView) => boolean = () => true,
): Coverage {
  return coverage(index, shards, candidatesOf(view, index, seen, accept), 0);
}

/** What a node can be asked of all that it serves of an index; undefined where it is not to be read. */
export function askOfAll(
  view: TopologyView,
  index: IndexView,
  seen: Sightings,
  nodeId: string,
): NodeAsk | undefined {
  const [candidate] = candidatesOf(view, index, seen, (node) => node.id === nodeId);
  return candidate === undefined || candidate.tier > 1
    ? undefined
    : askOf(index, candidate, candidate.shards);
}

interface Candidate {
  readonly node: NodeView;
  readonly tier: Tier;
  readonly shards: readonly number[];
}

function candidatesOf(
  view: TopologyView,
  index: IndexView,
  seen: Sightings,
  accept: (node: NodeView) => boolean,
): Candidate[] {
  const candidates: Candidate[] = [];
  for (const [nodeId, shards] of index.shardsByNode) {
    const node = view.nodes.get(nodeId);
    if (node === undefined || !accept(node)) continue;
    const tier = tierOf(node, index, seen);
    if (tier !== undefined) candidates.push({ node, tier, shards });
  }
  return candidates.sort((a, b) => (a.node.id < b.node.id ? -1 : 1));
}

function tierOf(node: NodeView, index: IndexView, seen: Sightings): Tier | undefined {
  const state = index.replicas.get(node.id);
  if (state === "suspect" || (state === "in_sync" && node.state === "suspect")) return 3;
  if (state !== "in_sync") return undefined;
  const isAway = node.state === "unreachable" || seen.isAvoided(node.id);
  if (isAway || index.drifted.has(node.id)) return 2;
  return seen.isSpared(node.id) ? 1 : 0;
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
  for (const tier of TIERS) {
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
  return { node, shards, filter: holdsMore ? codesOf(index, shards) : null, isSuspect: tier === 3 };
}

/** The shards to filter by, for a node that may hold documents of others. */
export function codesOf(index: IndexView, shards: readonly number[]): readonly number[] {
  return familyShards(shards, index.shards, index.familyShards);
}
