import type { GroupRequest } from "./capped-load.js";
import { type NodeShare, nodeShares, zoneOf } from "./node-shares.js";
import {
  checkedWeight,
  compareText,
  createNodeHash,
  type NodeId,
  type PlacementNode,
  type ScoreHash,
} from "./rendezvous.js";
import type { ShardId } from "./shard.js";

/**
 * A node of a group while replicas of one index are being placed on it: all that is asked of it for each replica, since a large fleet
 * has many members.
 */
export type Member = ScoreHash & {
  readonly node: NodeId;
  readonly weight: number;
  /** Its zone, as a number among the group's. */
  readonly zone: number;
  /** Replicas that it should have; `floor` and `ceil` are its whole neighbours. */
  readonly share: number;
  readonly floor: number;
  readonly ceil: number;
  /** The most that it may have. */
  readonly cap: number;
  /** What it holds, in the order in which it came. */
  readonly shards: ShardId[];
};

/** The nodes of one group with nothing on them yet. */
export type GroupMembers = {
  /** By name. */
  readonly members: readonly Member[];
  /** The member of that name; undefined for a node of another group, or one that leaves. */
  readonly named: (node: NodeId) => Member | undefined;
  /** The number of a zone; undefined for one in which no member stands. */
  readonly zoneNumber: (zone: string) => number | undefined;
};

/** The members of a group for the placement of one index. @throws RangeError for a weight that is not finite and above 0 */
export function groupMembers(request: GroupRequest): GroupMembers {
  const facts = factsOf(request.nodes);
  const shares = sharesOf(facts, request);
  const hashNode = createNodeHash(request.instance);
  const members = facts.nodes.map((placed): Member => {
    const { node } = placed;
    const { high, low } = hashNode(node);
    const { cap, share } = shares.get(node) ?? { share: 0, cap: 0 };
    return {
      node,
      high,
      low,
      weight: checkedWeight(placed),
      zone: facts.zones.get(zoneOf(placed)) ?? 0,
      share,
      floor: Math.floor(share),
      ceil: Math.ceil(share),
      cap,
      shards: [],
    };
  });
  return {
    members,
    named: (node) => members[facts.places.get(node) ?? -1],
    zoneNumber: (zone) => facts.zones.get(zone),
  };
}

/** What a group's nodes are, whatever is placed on them. */
type GroupFacts = {
  /** By name. */
  readonly nodes: readonly PlacementNode[];
  /** By name of a node: its place among `nodes`. */
  readonly places: ReadonlyMap<NodeId, number>;
  /** Numbers by names of zones. */
  readonly zones: ReadonlyMap<string, number>;
  /** What {@link nodeShares} has found so far, by counts of shards and replicas. */
  readonly shares: Map<string, ReadonlyMap<NodeId, NodeShare>>;
};

/** A fleet's indexes are planned one after the other over the same nodes, and many have as many shards. */
const known = new WeakMap<readonly PlacementNode[], GroupFacts>();

function factsOf(unordered: readonly PlacementNode[]): GroupFacts {
  const found = known.get(unordered);
  if (found !== undefined) return found;
  const nodes = [...unordered].sort((a, b) => compareText(a.node, b.node));
  const places = new Map(nodes.map(({ node }, place) => [node, place]));
  const zones = new Map([...new Set(nodes.map(zoneOf))].map((zone, number) => [zone, number]));
  const facts = { nodes, places, zones, shares: new Map() };
  known.set(unordered, facts);
  return facts;
}

function sharesOf({ shares }: GroupFacts, request: GroupRequest): ReadonlyMap<NodeId, NodeShare> {
  const counts = `${request.shards} ${request.replicationFactor}`;
  const found = shares.get(counts) ?? nodeShares(request);
  shares.set(counts, found);
  return found;
}
