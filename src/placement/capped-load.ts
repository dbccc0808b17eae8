import { groupMembers, type Member } from "./group-members.js";
import {
  compareText,
  hashShard,
  type NodeId,
  type PlacementNode,
  type ScoreHash,
  scoreOf,
} from "./rendezvous.js";
import { allShards, type ShardId } from "./shard.js";

/** Which nodes of one group hold which shard, the shard's preferred node first. */
export type GroupPlacement = ReadonlyMap<ShardId, readonly NodeId[]>;

/** A group that has too few nodes to hold the asked number of replicas on nodes of their own. */
export class TooFewNodesError extends Error {
  override readonly name = "TooFewNodesError";

  constructor(
    readonly nodes: number,
    readonly replicationFactor: number,
  ) {
    super(
      `the group has ${nodes} nodes, and a replication factor of ${replicationFactor} needs ${replicationFactor}: ` +
        "add nodes or lower the replication factor",
    );
  }
}

/** What every placement of one group of nodes starts from. */
export type GroupRequest = {
  /** The index instance: another instance spreads its shards another way. */
  readonly instance: string;
  /** How many shards the index has. */
  readonly shards: number;
  /** Replicas of each shard inside the group, on distinct nodes. */
  readonly replicationFactor: number;
  /** The nodes of the group, in any order. */
  readonly nodes: readonly PlacementNode[];
  /** Zones in which other groups hold a shard, one entry a replica. Among equally good nodes of the group they are avoided. */
  readonly elsewhere?: ReadonlyMap<number, readonly string[]>;
};

/** Whether the replica of a shard on a node may be passed on. */
export type Movable = (member: Member, shard: ShardId) => boolean;

const anyReplica: Movable = () => true;

/** The replicas of one group while they are being placed. Every operation keeps replicas on distinct nodes. */
export class CappedLoad {
  readonly shards: readonly ShardId[];
  /** The group's nodes by name. */
  readonly members: readonly Member[];
  /** The member of that name; undefined for a node of another group, or one that leaves. */
  readonly named: (node: NodeId) => Member | undefined;
  /** By shard. The lists are never changed, only replaced: few members hold one shard. */
  private readonly holders: (readonly Member[])[];
  /** By shard. */
  private readonly hashes: readonly ScoreHash[];
  /** By shard: zones in which other groups hold it, one entry a replica; undefined for those without a member. */
  private readonly elsewhere: readonly (readonly (number | undefined)[])[];

  constructor(readonly request: GroupRequest) {
    checkRequest(request);
    this.shards = allShards(request.shards);
    this.holders = this.shards.map(() => []);
    this.hashes = this.shards.map(hashShard);
    const { members, named, zoneNumber } = groupMembers(request);
    this.members = members;
    this.named = named;
    this.elsewhere = this.shards.map((shard) => (request.elsewhere?.get(shard) ?? []).map(zoneNumber));
  }

  /** Who holds the shard now: a list that stays as it is when replicas come and go. */
  holdersOf(shard: ShardId): readonly Member[] {
    return this.holders[shard] ?? [];
  }

  holds(member: Member, shard: ShardId): boolean {
    return this.holdersOf(shard).includes(member);
  }

  /** How much the shard prefers a member: the highest scores win. */
  score(shard: ShardId, member: Member): number {
    return scoreOf(member, this.hashes[shard] ?? hashShard(shard), member.weight);
  }

  add(member: Member, shard: ShardId): void {
    const holders = this.holdersOf(shard);
    if (holders.includes(member)) return;
    this.holders[shard] = [...holders, member];
    member.shards.push(shard);
  }

  remove(member: Member, shard: ShardId): void {
    const place = member.shards.indexOf(shard);
    if (place === -1) return;
    member.shards.splice(place, 1);
    this.holders[shard] = this.holdersOf(shard).filter((holder) => holder !== member);
  }

  /**
   * Replicas of the shard that a replica on `member` would have, or has, beside it in its zone and group. A replica on `instead` is not
   * counted.
   */
  crowding(shard: ShardId, member: Member, instead?: Member): number {
    let count = 0;
    for (const holder of this.holdersOf(shard)) {
      if (holder.zone === member.zone && holder !== member && holder !== instead) count++;
    }
    return count;
  }

  /** Replicas of the shard that other groups have in the member's zone. */
  crowdingElsewhere(shard: ShardId, member: Member): number {
    let count = 0;
    for (const zone of this.elsewhere[shard] ?? []) if (zone === member.zone) count++;
    return count;
  }

  /** The least crowding that any member offers to a further replica of the shard, whatever its cap. */
  leastCrowding(shard: ShardId): number {
    let least = Number.POSITIVE_INFINITY;
    for (const member of this.members) {
      if (!this.holds(member, shard)) least = Math.min(least, this.crowding(shard, member));
      if (least === 0) break;
    }
    return least;
  }

  /**
   * Adds a replica of `shard` on one of `targets`, where all of them are at their caps, by passing other replicas on along the
   * shortest chain of members that ends below its cap. Only replicas that `movable` allows are touched, and none comes to stand in a
   * more crowded zone. False, with nothing changed, where there is no such chain.
   */
  makeRoom(shard: ShardId, targets: readonly Member[], movable: Movable): boolean {
    const cameFrom = new Map<Member, Passed | undefined>();
    const queue = targets.filter((member) => !this.holds(member, shard));
    for (const member of queue) cameFrom.set(member, undefined);
    for (const member of queue) {
      if (hasRoom(member)) {
        this.passAlong(member, cameFrom, shard);
        return true;
      }
      const onTheWay = passedBefore(member, cameFrom).add(shard);
      for (const next of this.members) {
        if (cameFrom.has(next)) continue;
        const passed = this.bestToPass(
          member,
          next,
          (from, candidate) => !onTheWay.has(candidate) && movable(from, candidate),
        );
        if (passed === undefined) continue;
        cameFrom.set(next, { member, shard: passed });
        queue.push(next);
      }
    }
    return false;
  }

  /** The placement, each shard's nodes in its order of preference. */
  placement(): GroupPlacement {
    return new Map(
      this.shards.map((shard) => {
        const ranked = this.holdersOf(shard).toSorted(
          // Equal scores, which no real fleet meets, go by name.
          (a, b) => this.score(shard, b) - this.score(shard, a) || compareText(a.node, b.node),
        );
        return [shard, ranked.map(({ node }) => node)];
      }),
    );
  }

  /** Moves the replica of `from` that suits `to` best there; see {@link bestToPass}. False where there is none. */
  pass(from: Member, to: Member, movable = anyReplica): boolean {
    const shard = this.bestToPass(from, to, movable);
    if (shard === undefined) return false;
    this.remove(from, shard);
    this.add(to, shard);
    return true;
  }

  /**
   * The shard on `from` that suits `to` best, among those that `to` lacks and that stand in no more crowded a zone there: the one in
   * the least crowded zone, then by preference.
   */
  private bestToPass(from: Member, to: Member, movable: Movable): ShardId | undefined {
    let best: { readonly shard: ShardId; readonly gain: number; readonly score: number } | undefined;
    for (const shard of from.shards) {
      if (this.holds(to, shard) || !movable(from, shard)) continue;
      const gain = this.crowding(shard, from) - this.crowding(shard, to, from);
      if (gain < 0) continue;
      const candidate = { shard, gain, score: this.score(shard, to) };
      if (best === undefined || byGain(candidate, best) < 0) best = candidate;
    }
    return best?.shard;
  }

  private passAlong(last: Member, cameFrom: ReadonlyMap<Member, Passed | undefined>, shard: ShardId): void {
    let member = last;
    for (let step = cameFrom.get(member); step !== undefined; step = cameFrom.get(member)) {
      this.remove(step.member, step.shard);
      this.add(member, step.shard);
      member = step.member;
    }
    this.add(member, shard);
  }
}

/** Whether a member is below its cap. */
export function hasRoom({ cap, shards }: Member): boolean {
  return shards.length < cap;
}

/** The members that are above their caps. */
export function crowdedOf(members: readonly Member[]): readonly Member[] {
  return members.filter(({ cap, shards }) => shards.length > cap);
}

/** A replica that one member of a chain passes on to the next. */
type Passed = { readonly member: Member; readonly shard: ShardId };

function passedBefore(member: Member, cameFrom: ReadonlyMap<Member, Passed | undefined>): Set<ShardId> {
  const passed = new Set<ShardId>();
  for (let step = cameFrom.get(member); step !== undefined; step = cameFrom.get(step.member)) {
    passed.add(step.shard);
  }
  return passed;
}

function byGain(
  a: { readonly shard: ShardId; readonly gain: number; readonly score: number },
  b: { readonly shard: ShardId; readonly gain: number; readonly score: number },
): number {
  return b.gain - a.gain || b.score - a.score || a.shard - b.shard;
}

function checkRequest({ nodes, replicationFactor }: GroupRequest): void {
  if (!Number.isInteger(replicationFactor) || replicationFactor < 1) {
    throw new RangeError(`a replication factor is a whole number from 1, not ${replicationFactor}`);
  }
  const names = new Set(nodes.map(({ node }) => node));
  if (names.size !== nodes.length) throw new RangeError("a node is named twice in its group");
  if (nodes.length < replicationFactor) throw new TooFewNodesError(nodes.length, replicationFactor);
}
