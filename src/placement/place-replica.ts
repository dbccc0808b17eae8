import { type CappedLoad, hasRoom, type Movable } from "./capped-load.js";
import { byFill } from "./feed.js";
import type { Member } from "./group-members.js";
import type { ShardId } from "./shard.js";

/** How a missing replica is placed. */
export type PlacingRules = {
  /** Smaller is better among members in equally crowded zones; then the shard's own preference counts. */
  readonly want: (member: Member) => number;
  /** Which replicas may be passed on to other members to make room. */
  readonly movable: Movable;
};

/**
 * Adds one replica of a shard: in the least crowded zone that has a member below its cap, making room there where the least crowded
 * of all is full. Where every cap stands against it, the emptiest member exceeds its cap. False where every member holds the shard.
 */
export function placeReplica(load: CappedLoad, shard: ShardId, rules: PlacingRules): boolean {
  const best = bestOf(load, shard, rules);
  const least = load.leastCrowding(shard);
  if (best !== undefined && load.crowding(shard, best) === least) {
    load.add(best, shard);
    return true;
  }
  const open = load.members.filter((member) => !load.holds(member, shard));
  const ideal = open.filter((member) => load.crowding(shard, member) === least);
  if (load.makeRoom(shard, ideal, rules.movable)) return true;
  if (best !== undefined) {
    load.add(best, shard);
    return true;
  }
  if (load.makeRoom(shard, open, rules.movable)) return true;
  const [emptiest] = open.sort(byFill);
  if (emptiest !== undefined) load.add(emptiest, shard);
  return emptiest !== undefined;
}

/**
 * Of the members with room for a replica of the shard those in the least crowded zones, of these the ones that want it most, of these
 * the ones with the fewest replicas of other groups beside them, and of these the one that the shard prefers. Undefined where
 * none has room.
 */
function bestOf(load: CappedLoad, shard: ShardId, { want }: PlacingRules): Member | undefined {
  let best: Candidate | undefined;
  for (const member of load.members) {
    if (!hasRoom(member) || load.holds(member, shard)) continue;
    const crowding = load.crowding(shard, member);
    if (best !== undefined && crowding > best.crowding) continue;
    const candidate: Candidate = {
      member,
      crowding,
      want: want(member),
      elsewhere: load.crowdingElsewhere(shard, member),
      score: load.score(shard, member),
    };
    if (best === undefined || byMerit(candidate, best) < 0) best = candidate;
  }
  return best?.member;
}

type Candidate = {
  readonly member: Member;
  readonly crowding: number;
  readonly want: number;
  readonly elsewhere: number;
  readonly score: number;
};

/** Members come by name, so that of equals, which no real fleet meets, the first stays. */
function byMerit(a: Candidate, b: Candidate): number {
  return a.crowding - b.crowding || a.want - b.want || a.elsewhere - b.elsewhere || b.score - a.score;
}
