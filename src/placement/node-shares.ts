import type { GroupRequest } from "./capped-load.js";
import { compareText, type NodeId, type PlacementNode } from "./rendezvous.js";

/** How many replicas a node should have, and the most that it may have. */
export type NodeShare = { readonly share: number; readonly cap: number };

/** The zone of a node: its own, or one that it shares with nobody where nobody has said. */
export function zoneOf({ node, zone }: PlacementNode): string {
  return zone === undefined || zone === "" ? `node ${node}` : `zone ${zone}`;
}

/**
 * Replicas that every node should have by its weight, and the cap that no node should exceed:
 * `ceil(share) + 1`, where the share of a node among n equals is `shards × replicationFactor / n`. No node
 * can hold more than one replica of each shard, and every zone holds what it must for each shard to stand in as many zones as it can:
 * what a heavy node or a large zone cannot take falls to the others.
 */
export function nodeShares(request: GroupRequest): ReadonlyMap<NodeId, NodeShare> {
  const { shards, replicationFactor } = request;
  let open = zonesWithBounds(request);
  let left = shards * replicationFactor;
  const shares = new Map<NodeId, NodeShare>();
  for (;;) {
    const filled = fillByWeight(
      open.flatMap(({ nodes }) => nodes),
      left,
      shards,
    );
    const outside = open
      .map((zone) => ({ zone, bound: clamp(sum(zone.nodes, filled), zone), share: sum(zone.nodes, filled) }))
      .filter(({ bound, share }) => Math.abs(bound - share) > TOLERANCE);
    if (outside.length === 0) {
      note(shares, filled, shards);
      return shares;
    }
    // What is settled first must not be undone by the others: those that need more where they need more together than others have too much.
    const needed = outside.reduce((total, { bound, share }) => total + bound - share, 0);
    const settled = outside.filter(({ bound, share }) => (needed > 0 ? bound > share : bound < share));
    for (const { zone, bound } of settled) {
      note(shares, fillByWeight(zone.nodes, bound, shards), shards);
      left -= bound;
    }
    open = open.filter((zone) => !settled.some((entry) => entry.zone === zone));
  }
}

/** Sums of fractions are never quite exact. */
const TOLERANCE = 1e-6;

/** A zone, and the fewest and most replicas that it holds where each shard stands in as many zones as it can. */
type BoundedZone = {
  readonly nodes: readonly PlacementNode[];
  readonly least: number;
  readonly most: number;
};

function zonesWithBounds({ nodes, replicationFactor, shards }: GroupRequest): BoundedZone[] {
  const zones = zonesOf(nodes);
  const perZone = replicasPerZone(zones, replicationFactor);
  return zones.map((members) => ({
    nodes: members,
    least: shards * Math.min(members.length, perZone - 1),
    most: shards * Math.min(members.length, perZone),
  }));
}

function clamp(replicas: number, { least, most }: BoundedZone): number {
  return Math.min(most, Math.max(least, replicas));
}

function zonesOf(nodes: readonly PlacementNode[]): (readonly PlacementNode[])[] {
  const zones = new Map<string, PlacementNode[]>();
  for (const node of [...nodes].sort((a, b) => compareText(a.node, b.node))) {
    const zone = zones.get(zoneOf(node));
    if (zone === undefined) zones.set(zoneOf(node), [node]);
    else zone.push(node);
  }
  return [...zones.values()];
}

/** The fewest replicas of one shard that some zone must take, so that the zones can hold all of them. */
function replicasPerZone(zones: readonly (readonly PlacementNode[])[], replicationFactor: number): number {
  for (let most = 1; most < replicationFactor; most++) {
    const room = zones.reduce((total, nodes) => total + Math.min(nodes.length, most), 0);
    if (room >= replicationFactor) return most;
  }
  return replicationFactor;
}

/** Shares `replicas` out by weight, at most `most` to a node. */
function fillByWeight(nodes: readonly PlacementNode[], replicas: number, most: number): Map<NodeId, number> {
  const shares = new Map<NodeId, number>();
  let open = [...nodes];
  let left = replicas;
  for (;;) {
    const weight = open.reduce((total, node) => total + (node.weight ?? 1), 0);
    const share = (node: PlacementNode) => (left * (node.weight ?? 1)) / weight;
    const full = open.filter((node) => share(node) >= most);
    if (full.length === 0) {
      for (const node of open) shares.set(node.node, share(node));
      return shares;
    }
    for (const node of full) shares.set(node.node, most);
    open = open.filter((node) => !full.includes(node));
    left -= most * full.length;
  }
}

function sum(nodes: readonly PlacementNode[], shares: ReadonlyMap<NodeId, number>): number {
  return nodes.reduce((total, { node }) => total + (shares.get(node) ?? 0), 0);
}

function note(into: Map<NodeId, NodeShare>, shares: ReadonlyMap<NodeId, number>, shards: number): void {
  for (const [node, exact] of shares) {
    const nearest = Math.round(exact);
    const share = Math.abs(exact - nearest) < TOLERANCE ? nearest : exact;
    into.set(node, { share, cap: Math.min(shards, Math.ceil(share) + 1) });
  }
}
