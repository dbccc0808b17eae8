import { type CappedLoad, crowdedOf, hasRoom } from "./capped-load.js";
import { byFill, feed, relieve } from "./feed.js";
import type { Member } from "./group-members.js";
import { compareText } from "./rendezvous.js";
import type { ShardId } from "./shard.js";

/**
 * Lets nodes that stay exchange replicas until none is above its cap, replicas of a shard stand in as many zones as they can,
 * and no node is below its share, rounded down, that another one could fill.
 *
 * Every exchange lowers the replicas above caps, or else the crowding of zones, or else the hunger of nodes, and raises none of those
 * before it; so it ends, and has nothing to do where it ended.
 */
export function rebalance(load: CappedLoad): void {
  const { members } = load;
  while (
    relieve(load, members) ||
    crowdedOf(members).some((member) => passThrough(load, member)) ||
    spreadZones(load) ||
    feed(load, members, members)
  );
}

/** Takes a replica off `member` where no other one below its cap can take one directly. */
function passThrough(load: CappedLoad, member: Member): boolean {
  return [...member.shards].some((shard) => {
    const crowding = load.crowding(shard, member);
    load.remove(member, shard);
    const targets = load.members.filter(
      (other) => other !== member && load.crowding(shard, other) <= crowding,
    );
    // `member` itself is still at or above its cap, so the chain ends elsewhere.
    if (load.makeRoom(shard, targets, (holder) => holder !== member)) return true;
    load.add(member, shard);
    return false;
  });
}

/** Takes one replica of a shard to a less crowded zone. */
function spreadZones(load: CappedLoad): boolean {
  return load.shards.some((shard) =>
    load
      .holdersOf(shard)
      .toSorted((a, b) => compareText(a.node, b.node))
      .some((member) => spreadReplica(load, shard, member)),
  );
}

function spreadReplica(load: CappedLoad, shard: ShardId, member: Member): boolean {
  const crowding = load.crowding(shard, member);
  if (crowding === 0) return false;
  load.remove(member, shard);
  const targets = load.members
    .filter((other) => !load.holds(other, shard) && load.crowding(shard, other) < crowding)
    .sort(byFill);
  const roomy = targets.find(hasRoom);
  if (roomy !== undefined) load.add(roomy, shard);
  else if (!load.makeRoom(shard, targets, () => true)) {
    load.add(member, shard);
    return false;
  }
  return true;
}
