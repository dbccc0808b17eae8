import type { CappedLoad, Movable } from "./capped-load.js";
import { compareText, type NodeId } from "./rendezvous.js";

/** How much of its share a node holds; 1 for all of it. */
export function fill(load: CappedLoad, node: NodeId): number {
  return load.load(node) / Math.max(load.share(node), 1e-9);
}

/** Nodes by how much of their share they hold, the emptiest first. */
export function byFill(load: CappedLoad, nodes: readonly NodeId[]): NodeId[] {
  return nodes.toSorted((a, b) => fill(load, a) - fill(load, b) || compareText(a, b));
}

/**
 * Moves one replica to the emptiest of `takers` that is below its share, rounded down, from the fullest of `givers` that is above its
 * own. False where nothing can be moved so.
 */
export function feed(
  load: CappedLoad,
  takers: readonly NodeId[],
  givers: readonly NodeId[],
  movable?: Movable,
): boolean {
  const hungry = takers.filter((node) => load.load(node) < Math.floor(load.share(node)));
  if (hungry.length === 0) return false;
  // A node at its own share gives nothing: that would only move the hunger.
  const full = givers.filter(
    (node) =>
      load.load(node) > Math.floor(load.share(node)) &&
      (movable === undefined || [...load.shardsOn(node)].some((shard) => movable(node, shard))),
  );
  const fullestFirst = byFill(load, full).reverse();
  return byFill(load, hungry).some((to) => fullestFirst.some((from) => load.pass(from, to, movable)));
}

/** Moves one replica from a node above its cap to the emptiest of `takers` that is below its own. False where nothing can be moved so. */
export function relieve(load: CappedLoad, takers: readonly NodeId[]): boolean {
  const crowded = load.nodes.filter(({ node }) => load.load(node) > load.cap(node));
  if (crowded.length === 0) return false;
  const roomy = byFill(
    load,
    takers.filter((node) => load.load(node) < load.cap(node)),
  );
  return crowded.some(({ node }) => roomy.some((to) => load.pass(node, to)));
}
