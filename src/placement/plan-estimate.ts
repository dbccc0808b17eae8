import type { FleetPlan, IndexPlan } from "./fleet-plan.js";
import type { NodeId } from "./rendezvous.js";

/** What one shard of an index holds on average. */
export type ShardSize = { readonly documents: number; readonly bytes: number };

/** What is copied. Documents that are copied to two nodes count twice. */
export type CopyVolume = { readonly documents: number; readonly bytes: number };

/** What a plan costs. */
export type PlanEstimate = CopyVolume & {
  /** By instance. */
  readonly indexes: ReadonlyMap<string, CopyVolume>;
  /** Seconds that the node which takes in most needs for it, at the given rate; nodes take in side by side. */
  readonly seconds: number;
};

/**
 * Estimates what a plan copies and how long that takes. Repairs count as whole copies, which they are at the most.
 *
 * @param sizes by instance; an index without one counts as empty
 * @param documentsPerSecond how many documents one node takes in
 */
export function estimatePlan(
  plan: FleetPlan,
  sizes: ReadonlyMap<string, ShardSize>,
  documentsPerSecond: number,
): PlanEstimate {
  const indexes = new Map<string, CopyVolume>();
  const takenIn = new Map<NodeId, number>();
  for (const index of plan.indexes) {
    const size = sizes.get(index.instance) ?? { documents: 0, bytes: 0 };
    let shards = 0;
    for (const [node, count] of shardsCopiedTo(index)) {
      shards += count;
      takenIn.set(node, (takenIn.get(node) ?? 0) + count * size.documents);
    }
    indexes.set(index.instance, {
      documents: Math.round(shards * size.documents),
      bytes: Math.round(shards * size.bytes),
    });
  }
  const volumes = [...indexes.values()];
  return {
    indexes,
    documents: volumes.reduce((sum, { documents }) => sum + documents, 0),
    bytes: volumes.reduce((sum, { bytes }) => sum + bytes, 0),
    seconds: Math.max(0, ...takenIn.values()) / documentsPerSecond,
  };
}

function shardsCopiedTo({ moves, placement, repairs }: IndexPlan): ReadonlyMap<NodeId, number> {
  const shards = new Map<NodeId, number>();
  const add = (node: NodeId, count: number) => shards.set(node, (shards.get(node) ?? 0) + count);
  for (const { to } of moves) add(to, 1);
  for (const node of repairs) {
    const made = moves.filter(({ to }) => to === node).length;
    add(node, placement.filter((nodes) => nodes.includes(node)).length - made);
  }
  return shards;
}
