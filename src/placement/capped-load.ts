import { compareText, type NodeId, type PlacementNode, type RendezvousScore } from "./rendezvous.js";
import { allShards, type ShardId } from "./shard.js";

/** Which nodes of one group hold which shard, the shard's preferred node first. */
export type GroupPlacement = ReadonlyMap<ShardId, readonly NodeId[]>;

/** A group that has too few nodes to hold the asked number of replicas on nodes of their own. */
export class TooFewNodesError extends Error {
  override readonly name = "TooFewNodesError";

  constructor(
    readonly nodes: number,
    readonly replicationFactor: number,
    readonly group?: number,
  ) {
    super(
      `${group === undefined ? "the group" : `group ${group}`} has ${nodes} nodes, and a replication factor of ` +
        `${replicationFactor} needs ${replicationFactor}: add nodes or lower the replication factor`,
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
};

/**
 * Replicas that every node should have by its weight, and the cap that no node may exceed:
 * `ceil(share) + 1`, where the share of a node among n equals is `shards × replicationFactor / n`. No node
 * can hold more than one replica of each shard, so what a heavy node cannot take falls to the others.
 */
export function nodeShares(request: GroupRequest): ReadonlyMap<NodeId, { share: number; cap: number }> {
  const { shards, replicationFactor } = request;
  const shares = new Map<NodeId, { share: number; cap: number }>();
  let open = [...request.nodes].sort((a, b) => compareText(a.node, b.node));
  let left = shards * replicationFactor;
  for (;;) {
    const weight = open.reduce((sum, node) => sum + (node.weight ?? 1), 0);
    const replicas = left;
    const full = open.filter((node) => (replicas * (node.weight ?? 1)) / weight >= shards);
    if (full.length === 0) {
      for (const node of open) {
        const share = (replicas * (node.weight ?? 1)) / weight;
        shares.set(node.node, { share, cap: Math.min(shards, Math.ceil(share) + 1) });
      }
      return shares;
    }
    for (const node of full) shares.set(node.node, { share: shards, cap: shards });
    left -= shards * full.length;
    open = open.filter((node) => !full.includes(node));
  }
}

/** The replicas of one group while they are being placed. Every operation keeps replicas on distinct nodes. */
export class CappedLoad {
  private readonly holders = new Map<ShardId, Set<NodeId>>();
  private readonly held = new Map<NodeId, Set<ShardId>>();
  private readonly shares: ReadonlyMap<NodeId, { share: number; cap: number }>;
  readonly shards: readonly ShardId[];
  /** The group's nodes by name. */
  readonly nodes: readonly PlacementNode[];

  constructor(
    readonly request: GroupRequest,
    readonly score: RendezvousScore,
  ) {
    checkRequest(request);
    this.shards = allShards(request.shards);
    this.nodes = [...request.nodes].sort((a, b) => compareText(a.node, b.node));
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
   * Adds a replica of `shard` where every node that could take it is at its cap, by passing other replicas
   * on along the shortest chain of nodes that ends below its cap. Only replicas that `movable` allows are
   * touched. False, with nothing changed, where there is no such chain.
   */
  makeRoom(shard: ShardId, movable: (node: NodeId, shard: ShardId) => boolean): boolean {
    const cameFrom = new Map<NodeId, { node: NodeId; shard: ShardId } | undefined>();
    const queue = this.nodes.map(({ node }) => node).filter((node) => !this.holds(node, shard));
    for (const node of queue) cameFrom.set(node, undefined);
    for (const node of queue) {
      if (this.load(node) < this.cap(node)) {
        this.passAlong(node, cameFrom, shard);
        return true;
      }
      for (const { node: next } of this.nodes) {
        if (cameFrom.has(next)) continue;
        const passed = this.bestToPass(node, next, shard, movable);
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
        const nodes = this.nodes.filter(({ node }) => this.holds(node, shard));
        const ranked = nodes
          .map(({ node, weight }) => ({ node, score: this.score(shard, { node, weight: weight ?? 1 }) }))
          .sort((a, b) => b.score - a.score || compareText(a.node, b.node));
        return [shard, ranked.map(({ node }) => node)];
      }),
    );
  }

  /** The shard on `from` that suits `to` best, among those that `to` lacks. */
  bestToPass(
    from: NodeId,
    to: NodeId,
    except: ShardId | undefined,
    movable: (node: NodeId, shard: ShardId) => boolean,
  ): ShardId | undefined {
    const target = this.nodes.find(({ node }) => node === to);
    if (target === undefined) return undefined;
    let best: ShardId | undefined;
    let bestScore = Number.NEGATIVE_INFINITY;
    for (const shard of this.shardsOn(from)) {
      if (shard === except || this.holds(to, shard) || !movable(from, shard)) continue;
      const score = this.score(shard, target);
      if (score > bestScore || (score === bestScore && best !== undefined && shard < best)) {
        best = shard;
        bestScore = score;
      }
    }
    return best;
  }

  private passAlong(
    last: NodeId,
    cameFrom: ReadonlyMap<NodeId, { node: NodeId; shard: ShardId } | undefined>,
    shard: ShardId,
  ): void {
    let node = last;
    for (let step = cameFrom.get(node); step !== undefined; step = cameFrom.get(node)) {
      this.remove(step.node, step.shard);
      this.add(node, step.shard);
      node = step.node;
    }
    this.add(node, shard);
  }
}

function checkRequest({ replicationFactor, nodes }: GroupRequest): void {
  if (!Number.isInteger(replicationFactor) || replicationFactor < 1) {
    throw new RangeError(`a replication factor is a whole number from 1, not ${replicationFactor}`);
  }
  const names = new Set(nodes.map(({ node }) => node));
  if (names.size !== nodes.length) throw new RangeError("a node is named twice in its group");
  if (nodes.length < replicationFactor) throw new TooFewNodesError(nodes.length, replicationFactor);
}
