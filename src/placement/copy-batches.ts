import type { FleetPlan, IndexPlan } from "./fleet-plan.js";
import type { ShardDrop, ShardMove } from "./plan.js";
import type { NodeId } from "./rendezvous.js";

/** Work on one index that is done as one copy. */
export type CopyBatch = {
  readonly uid: string;
  readonly instance: string;
  readonly moves: readonly ShardMove[];
  readonly drops: readonly ShardDrop[];
  /** Nodes whose whole replica of the index is made equal to its peers again. */
  readonly repairs: readonly NodeId[];
};

/** How much may be under way at once. */
export type BatchLimits = {
  /** The most shards that are being copied to a node, or away from it, at a time. One that repairs a replica counts as full. */
  readonly shardsPerNode: number;
  /** Nodes that nothing can be copied to just now; what needs them waits. */
  readonly unreachable: ReadonlySet<NodeId>;
};

/**
 * What of a plan may begin now, beside what is under way: at most one batch for an index, none for one that is under way, and no node
 * above its limit. An index's repairs go before its moves, since they give its copies back; its drops come last, when
 * nothing else is left to do. Empty where all must wait.
 */
export function nextBatches(
  plan: FleetPlan,
  underWay: readonly CopyBatch[],
  limits: BatchLimits,
): readonly CopyBatch[] {
  const load = new NodeLoad(limits);
  for (const batch of underWay) load.note(batch);
  const busy = new Set(underWay.map(({ instance }) => instance));
  const batches: CopyBatch[] = [];
  for (const index of plan.indexes) {
    if (busy.has(index.instance)) continue;
    const batch = batchOf(index, load);
    if (batch !== undefined) batches.push(batch);
  }
  return batches;
}

/** A whole plan as the batches that it would take, were nothing else under way and every node there. */
export function allBatches(plan: FleetPlan, shardsPerNode: number): readonly CopyBatch[] {
  const batches: CopyBatch[] = [];
  let left = plan;
  for (;;) {
    const next = nextBatches(left, [], { shardsPerNode, unreachable: new Set() });
    if (next.length === 0) return batches;
    batches.push(...next);
    const begun = new Map(next.map((batch) => [batch.instance, batch]));
    left = { ...left, indexes: left.indexes.map((index) => without(index, begun.get(index.instance))) };
  }
}

function batchOf(index: IndexPlan, load: NodeLoad): CopyBatch | undefined {
  const { drops, instance, moves, repairs, uid } = index;
  const nothing = { uid, instance, moves: [], drops: [], repairs: [] };
  const repaired = repairs.filter((node) => load.takeAll(node));
  if (repaired.length > 0) return { ...nothing, repairs: repaired };
  const moved = moves.filter((move) => load.take(move));
  if (moved.length > 0) return { ...nothing, moves: moved };
  if (drops.length === 0 || moves.length > 0 || repairs.length > 0) return undefined;
  return { ...nothing, drops };
}

function without(index: IndexPlan, batch: CopyBatch | undefined): IndexPlan {
  if (batch === undefined) return index;
  const [moves, drops] = [new Set(batch.moves), new Set(batch.drops)];
  return {
    ...index,
    moves: index.moves.filter((move) => !moves.has(move)),
    drops: index.drops.filter((drop) => !drops.has(drop)),
    repairs: index.repairs.filter((node) => !batch.repairs.includes(node)),
  };
}

/** Shards that are under way to and from every node. */
class NodeLoad {
  readonly #shards = new Map<NodeId, number>();

  constructor(private readonly limits: BatchLimits) {}

  note({ moves, repairs }: CopyBatch): void {
    for (const { from, to } of moves) {
      this.#add(to, 1);
      if (from !== null) this.#add(from, 1);
    }
    for (const node of repairs) this.#add(node, this.limits.shardsPerNode);
  }

  /** Counts a move where neither of its nodes is at its limit. A source that does not answer costs nothing: the copy comes from another. */
  take({ from, to }: ShardMove): boolean {
    if (!this.#hasRoom(to) || this.limits.unreachable.has(to)) return false;
    if (from !== null && !this.limits.unreachable.has(from)) {
      if (!this.#hasRoom(from)) return false;
      this.#add(from, 1);
    }
    this.#add(to, 1);
    return true;
  }

  /** Takes an idle node as a whole. */
  takeAll(node: NodeId): boolean {
    if (this.limits.unreachable.has(node) || this.#of(node) > 0) return false;
    this.#add(node, this.limits.shardsPerNode);
    return true;
  }

  #hasRoom(node: NodeId): boolean {
    return this.#of(node) < this.limits.shardsPerNode;
  }

  #of(node: NodeId): number {
    return this.#shards.get(node) ?? 0;
  }

  #add(node: NodeId, shards: number): void {
    this.#shards.set(node, this.#of(node) + shards);
  }
}
