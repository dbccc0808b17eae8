import { type Index, type ShardCopy, ShardCopyStep, type Topology } from "../../gen/miroir/v1/topology_pb.js";
import { type CopyBatch, nextBatches } from "../../placement/copy-batches.js";
import type { FleetPlan } from "../../placement/fleet-plan.js";
import type { ShardId } from "../../placement/shard.js";
import { CopyRefusedError } from "../copy/copy-refusal.js";
import { startCopy } from "../copy/start-copy.js";
import { awayNodes } from "../nodes/away-nodes.js";

/** How much is copied at once. */
export interface CopyLimits {
  /** Shards that are copied to one node, or away from it, at a time. */
  readonly shardsPerNode: number;
  /** Copies under way at a time, over all indexes. */
  readonly copies: number;
}

/** An index with its copy. */
export interface OpenCopy {
  readonly index: Index;
  readonly copy: ShardCopy;
}

/** What {@link startCopies} began, and what it could not begin. */
export interface StartedCopies {
  readonly started: readonly OpenCopy[];
  /** Why indexes have to wait, in words. */
  readonly refused: readonly string[];
}

/** Every copy under way. */
export function openCopies({ indexes }: Topology): readonly OpenCopy[] {
  return indexes.flatMap((index) => (index.copy === undefined ? [] : [{ index, copy: index.copy }]));
}

/** What of a plan may begin now, beside the copies under way. */
export function dueBatches(topology: Topology, plan: FleetPlan, limits: CopyLimits): readonly CopyBatch[] {
  const open = openCopies(topology);
  const room = limits.copies - open.length;
  if (room <= 0) return [];
  const underWay = open.map(({ index, copy }) => batchOf(index, copy));
  return nextBatches(plan, underWay, {
    shardsPerNode: limits.shardsPerNode,
    unreachable: awayNodes(topology),
  }).slice(0, room);
}

/** Puts copies for these batches into a draft. `newId` names each of them. */
export function startCopies(
  draft: Topology,
  batches: readonly CopyBatch[],
  workflow: { readonly id: string; readonly maxDocumentsPerSecond: number },
  newId: () => string,
): StartedCopies {
  const started: OpenCopy[] = [];
  const refused: string[] = [];
  for (const { drops, instance, moves, repairs } of batches) {
    try {
      startCopy(draft, instance, {
        id: newId(),
        workflowId: workflow.id,
        moves: [...moves.map(({ from, shard, to }) => ({ shard, to, from: from ?? undefined })), ...drops],
        repairNodeIds: repairs,
        maxDocumentsPerSecond: workflow.maxDocumentsPerSecond,
      });
    } catch (error) {
      if (!(error instanceof CopyRefusedError)) throw error;
      refused.push(error.message);
      continue;
    }
    const index = draft.indexes.find((candidate) => candidate.instance === instance);
    if (index?.copy !== undefined) started.push({ index, copy: index.copy });
  }
  return { started, refused };
}

/** Replicas of shards that a copy makes, brings back, gives up or cuts. */
export function shardsOf({ index, copy }: OpenCopy): number {
  if (copy.splitShards > 0) return index.placement.reduce((sum, { nodeIds }) => sum + nodeIds.length, 0);
  const repaired = index.placement.flatMap(({ nodeIds }) =>
    nodeIds.filter((id) => copy.repairNodeIds.includes(id)),
  );
  return copy.moves.length + repaired.length;
}

/** Replicas of shards that a plan makes, brings back or gives up. */
export function shardsLeft(topology: Topology, plan: FleetPlan): number {
  return plan.indexes.reduce((sum, { drops, instance, moves, repairs }) => {
    const placement = topology.indexes.find((index) => index.instance === instance)?.placement ?? [];
    const repaired = placement.flatMap(({ nodeIds }) => nodeIds.filter((id) => repairs.includes(id)));
    return sum + moves.length + drops.length + repaired.length;
  }, 0);
}

/** A copy as the planner counts it: one that has switched loads nobody any more, but keeps its index busy. */
function batchOf({ instance, uid }: Index, { moves, repairNodeIds, step }: ShardCopy): CopyBatch {
  const copying = step === ShardCopyStep.PLANNED || step === ShardCopyStep.COPYING;
  return {
    uid,
    instance,
    moves: copying
      ? moves
          .filter(({ toNodeId }) => toNodeId !== "")
          .map(({ fromNodeId, shard, toNodeId }) => ({
            shard: shard as ShardId,
            from: fromNodeId === "" ? null : fromNodeId,
            to: toNodeId,
          }))
      : [],
    drops: [],
    repairs: copying ? repairNodeIds : [],
  };
}
