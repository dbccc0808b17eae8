import { type NodeShare, nodeShares, zoneOf } from "./node-shares.js";
import {
  compareText,
  type NodeId,
  type PlacementNode,
  type RendezvousScore,
  rankNodes,
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
export type Movable = (node: NodeId, shard: ShardId) => boolean;

const anyReplica: Movable = () => true;

/** The replicas of one group while they are being placed. Every operation keeps replicas on distinct nodes. */
export class CappedLoad {
  private readonly holders = new Map<ShardId, Set<NodeId>>();
  private readonly held = new Map<NodeId, Set<ShardId>>();
  private readonly shares: ReadonlyMap<NodeId, NodeShare>;
  private readonly zones: ReadonlyMap<NodeId, string>;
  private readonly byName: ReadonlyMap<NodeId, PlacementNode>;
  readonly shards: readonly ShardId[];
  /** The group's nodes by name. */
  readonly nodes: readonly PlacementNode[];

  constructor(
    readonly request: GroupRequest,
    readonly score: RendezvousScore,
  ) {
    checkRequest(request);
    this.shards = allShards(request.shards);
    const { byName, nodes, zones } = factsOf(request.nodes);
    this.nodes = nodes;
    this.byName = byName;
    this.zones = zones;
    this.shares = nodeShares(request);
    for (const shard of this.shards) this.holders.set(shard, new Set());
    for (const { node } of this.nodes) this.held.set(node, new Set());
  }

  load(node: NodeId): number {
    return this.shardsOn(node).size;
  }

  cap(node: NodeId): number {
    return this.shares.get(node)?.cap ?? 0;
  }

  share(node: NodeId): number {
    return this.shares.get(node)?.share ?? 0;
  }

  holds(node: NodeId, shard: ShardId): boolean {
    return this.nodesOf(shard).has(node);
  }

  shardsOn(node: NodeId): ReadonlySet<ShardId> {
    return this.held.get(node) ?? new Set();
  }

  nodesOf(shard: ShardId): ReadonlySet<NodeId> {
    return this.holders.get(shard) ?? new Set();
  }

  add(node: NodeId, shard: ShardId): void {
    this.holders.get(shard)?.add(node);
    this.held.get(node)?.add(shard);
  }

  remove(node: NodeId, shard: ShardId): void {
    this.holders.get(shard)?.delete(node);
    this.held.get(node)?.delete(shard);
  }

  /**
   * Replicas of the shard that a replica on `node` would have, or has, beside it in its zone and group. A replica on `instead` is not
   * counted.
   */
  crowding(shard: ShardId, node: NodeId, instead?: NodeId): number {
    const zone = this.zones.get(node);
    let count = 0;
    for (const other of this.nodesOf(shard)) {
      if (other !== node && other !== instead && this.zones.get(other) === zone) count++;
    }
    return count;
  }

  /** Replicas of the shard that other groups have in the node's zone. */
  crowdingElsewhere(shard: ShardId, node: NodeId): number {
    const zones = this.request.elsewhere?.get(shard) ?? [];
    const zone = this.zones.get(node);
    return zones.filter((other) => other === zone).length;
  }

  /** The least crowding that any node offers to a further replica of the shard, whatever its cap. */
  leastCrowding(shard: ShardId): number {
    let least = Number.POSITIVE_INFINITY;
    for (const { node } of this.nodes) {
      if (!this.holds(node, shard)) least = Math.min(least, this.crowding(shard, node));
      if (least === 0) break;
    }
    return least;
  }

  /**
   * Adds a replica of `shard` on one of `nodes`, where all of them are at their caps, by passing other replicas on along the shortest
   * chain of nodes that ends below its cap. Only replicas that `movable` allows are touched, and none comes to stand in a more
   * crowded zone. False, with nothing changed, where there is no such chain.
   */
  makeRoom(shard: ShardId, nodes: readonly NodeId[], movable: Movable): boolean {
    const cameFrom = new Map<NodeId, Passed | undefined>();
    const queue = nodes.filter((node) => !this.holds(node, shard));
    for (const node of queue) cameFrom.set(node, undefined);
    for (const node of queue) {
      if (this.load(node) < this.cap(node)) {
        this.passAlong(node, cameFrom, shard);
        return true;
      }
      const onTheWay = passedBefore(node, cameFrom).add(shard);
      for (const { node: next } of this.nodes) {
        if (cameFrom.has(next)) continue;
        const passed = this.bestToPass(
          node,
          next,
          (from, candidate) => !onTheWay.has(candidate) && movable(from, candidate),
        );
        if (passed === undefined) continue;
        cameFrom.set(next, { node, shard: passed });
        queue.push(next);
      }
    }
    return false;
  }

  /** The placement, each shard's nodes in its order of preference. */
  placement(): GroupPlacement {
    return new Map(
      this.shards.map((shard) => {
        const nodes = [...this.nodesOf(shard)].flatMap((node) => this.byName.get(node) ?? []);
        return [shard, rankNodes(this.score, shard, nodes).map(({ node }) => node)];
      }),
    );
  }

  /**
   * The shard on `from` that suits `to` best, among those that `to` lacks and that stand in no more crowded a zone there: the one in
   * the least crowded zone, then by preference.
   */
  bestToPass(from: NodeId, to: NodeId, movable: Movable): ShardId | undefined {
    const target = this.byName.get(to);
    if (target === undefined) return undefined;
    let best: { readonly shard: ShardId; readonly gain: number; readonly score: number } | undefined;
    for (const shard of this.shardsOn(from)) {
      if (this.holds(to, shard) || !movable(from, shard)) continue;
      const gain = this.crowding(shard, from) - this.crowding(shard, to, from);
      if (gain < 0) continue;
      const candidate = { shard, gain, score: this.score(shard, target) };
      if (best === undefined || byGain(candidate, best) < 0) best = candidate;
    }
    return best?.shard;
  }

  /** Moves the replica of `from` that suits `to` best there; see {@link bestToPass}. False where there is none. */
  pass(from: NodeId, to: NodeId, movable = anyReplica): boolean {
    const shard = this.bestToPass(from, to, movable);
    if (shard === undefined) return false;
    this.remove(from, shard);
    this.add(to, shard);
    return true;
  }

  private passAlong(last: NodeId, cameFrom: ReadonlyMap<NodeId, Passed | undefined>, shard: ShardId): void {
    let node = last;
    for (let step = cameFrom.get(node); step !== undefined; step = cameFrom.get(node)) {
      this.remove(step.node, step.shard);
      this.add(node, step.shard);
      node = step.node;
    }
    this.add(node, shard);
  }
}

/** What a group's nodes are, whatever is placed on them. */
type GroupFacts = {
  readonly nodes: readonly PlacementNode[];
  readonly byName: ReadonlyMap<NodeId, PlacementNode>;
  readonly zones: ReadonlyMap<NodeId, string>;
};

/** A fleet's indexes are planned one after the other over the same nodes. */
const known = new WeakMap<readonly PlacementNode[], GroupFacts>();

function factsOf(unordered: readonly PlacementNode[]): GroupFacts {
  const found = known.get(unordered);
  if (found !== undefined) return found;
  const nodes = [...unordered].sort((a, b) => compareText(a.node, b.node));
  const facts = {
    nodes,
    byName: new Map(nodes.map((node) => [node.node, node])),
    zones: new Map(nodes.map((node) => [node.node, zoneOf(node)])),
  };
  known.set(unordered, facts);
  return facts;
}

/** A replica that one node of a chain passes on to the next. */
type Passed = { readonly node: NodeId; readonly shard: ShardId };

function passedBefore(node: NodeId, cameFrom: ReadonlyMap<NodeId, Passed | undefined>): Set<ShardId> {
  const passed = new Set<ShardId>();
  for (let step = cameFrom.get(node); step !== undefined; step = cameFrom.get(step.node)) {
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

function checkRequest({ replicationFactor, nodes }: GroupRequest): void {
  if (!Number.isInteger(replicationFactor) || replicationFactor < 1) {
    throw new RangeError(`a replication factor is a whole number from 1, not ${replicationFactor}`);
  }
  const names = new Set(nodes.map(({ node }) => node));
  if (names.size !== nodes.length) throw new RangeError("a node is named twice in its group");
  if (nodes.length < replicationFactor) throw new TooFewNodesError(nodes.length, replicationFactor);
}
