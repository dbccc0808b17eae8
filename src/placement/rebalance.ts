import type { CappedLoad } from "./capped-load.js";
import { byFill, feed, relieve } from "./feed.js";
import { compareText, type NodeId } from "./rendezvous.js";
import type { ShardId } from "./shard.js";

/**
 * Lets nodes that stay exchange replicas until none is above its cap, replicas of a shard stand in as many zones as they can,
 * and no node is below its share, rounded down, that another one could fill.
 *
 * Every exchange lowers the replicas above caps, or else the crowding of zones, or else the hunger of nodes, and raises none of those
 * before it; so it ends, and has nothing to do where it ended.
 */
export function rebalance(load: CappedLoad): void {
  const names = load.nodes.map(({ node }) => node);
  const crowded = () => names.filter((node) => load.load(node) > load.cap(node));
  while (
    relieve(load, names) ||
    crowded().some((node) => passThrough(load, node)) ||
    spreadZones(load) ||
    feed(load, names, names)
  );
}

/** Takes a replica off `node` where no node below its cap can take one directly. */
function passThrough(load: CappedLoad, node: NodeId): boolean {
  const others = load.nodes.map((other) => other.node).filter((other) => other !== node);
  return [...load.shardsOn(node)].some((shard) => {
    const crowding = load.crowding(shard, node);
    load.remove(node, shard);
    const targets = others.filter((other) => load.crowding(shard, other) <= crowding);
    // `node` itself is still at or above its cap, so the chain ends elsewhere.
    if (load.makeRoom(shard, targets, (holder) => holder !== node)) return true;
    load.add(node, shard);
    return false;
  });
}

/** Takes one replica of a shard to a less crowded zone. */
function spreadZones(load: CappedLoad): boolean {
  return load.shards.some((shard) =>
    [...load.nodesOf(shard)].sort(compareText).some((node) => spreadReplica(load, shard, node)),
  );
}

function spreadReplica(load: CappedLoad, shard: ShardId, node: NodeId): boolean {
  const crowding = load.crowding(shard, node);
  if (crowding === 0) return false;
  load.remove(node, shard);
  const targets = byFill(
    load,
    load.nodes
      .map((other) => other.node)
      .filter((other) => !load.holds(other, shard) && load.crowding(shard, other) < crowding),
  );
  const roomy = targets.find((other) => load.load(other) < load.cap(other));
  if (roomy !== undefined) load.add(roomy, shard);
  else if (!load.makeRoom(shard, targets, () => true)) {
    load.add(node, shard);
    return false;
  }
  return true;
}
