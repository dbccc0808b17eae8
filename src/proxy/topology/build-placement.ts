import { type Index, ShardCopyStep } from "../../gen/miroir/v1/topology_pb.js";
import type { CopyStep, CopyView, IndexView } from "./topology-view.js";

type Placed = Pick<
  IndexView,
  "placement" | "joining" | "leaving" | "leftover" | "shardsByNode" | "heldByNode"
>;

/** What nodes are to the shards of an index. Throws where a shard is not placed, or placed twice. */
export function placementOf(index: Index): Placed {
  const shardsByNode = new Map<string, number[]>();
  const heldByNode = new Map<string, Set<number>>();
  index.placement.forEach((placed, position) => {
    const { shard, nodeIds, joiningNodeIds, leavingNodeIds, leftoverNodeIds } = placed;
    if (shard !== position) throw new Error(`index ${index.uid}: shard ${position} is not placed`);
    for (const id of nodeIds) {
      const shards = shardsByNode.get(id);
      if (shards === undefined) shardsByNode.set(id, [shard]);
      else shards.push(shard);
    }
    for (const id of [...nodeIds, ...joiningNodeIds, ...leavingNodeIds, ...leftoverNodeIds]) {
      const held = heldByNode.get(id);
      if (held === undefined) heldByNode.set(id, new Set([shard]));
      else held.add(shard);
    }
  });
  if (index.placement.length !== index.shards) {
    throw new Error(`index ${index.uid}: ${index.placement.length} of ${index.shards} shards are placed`);
  }
  return {
    // Received messages never change, so that their lists need no copies.
    placement: index.placement.map(({ nodeIds }) => nodeIds),
    joining: index.placement.map(({ joiningNodeIds }) => joiningNodeIds),
    leaving: index.placement.map(({ leavingNodeIds }) => leavingNodeIds),
    leftover: index.placement.map(({ leftoverNodeIds }) => leftoverNodeIds),
    shardsByNode,
    heldByNode,
  };
}

/** The copy that an index has under way. Throws for a step that this version does not know. */
export function buildCopy({ uid, copy }: Index): CopyView | undefined {
  if (copy === undefined) return undefined;
  return {
    id: copy.id,
    step: stepOf(uid, copy.step),
    moves: copy.moves.map(({ shard, fromNodeId, toNodeId }) => ({
      shard,
      from: fromNodeId === "" ? undefined : fromNodeId,
      to: toNodeId === "" ? undefined : toNodeId,
    })),
    repairs: [...copy.repairNodeIds],
    maxDocumentsPerSecond: copy.maxDocumentsPerSecond,
    splitShards: copy.splitShards,
  };
}

function stepOf(uid: string, step: ShardCopyStep): CopyStep {
  switch (step) {
    case ShardCopyStep.PLANNED:
      return "planned";
    case ShardCopyStep.COPYING:
      return "copying";
    case ShardCopyStep.SWITCHED:
      return "switched";
    case ShardCopyStep.DROPPING:
      return "dropping";
    case ShardCopyStep.CLEANING:
      return "cleaning";
    case ShardCopyStep.UNSPECIFIED:
      throw new Error(`index ${uid}: its copy has no step`);
    default:
      throw new Error(
        `index ${uid}: its copy has the step ${String(step)}, which this version does not know`,
      );
  }
}
