import { create } from "@bufbuild/protobuf";
import {
  type Index,
  ReplicaState,
  type ShardCopy,
  ShardCopyStep,
  type ShardMove,
  ShardPlacementSchema,
} from "../../gen/miroir/v1/topology_pb.js";
import { CopyRefusedError } from "./copy-refusal.js";
import {
  canSpare,
  holdsAny,
  isMember,
  removeIdleReplicas,
  replicaOn,
  setReplica,
  setRole,
} from "./shard-roles.js";

const NONE: ReadonlySet<string> = new Set();

/**
 * From planned to copying: the targets receive writes from this topology on, and replicas under repair join. Only with a new generation,
 * whose name all members and targets bear: under the old one no member holds any of the shards that it is about to be filled with.
 */
export function beginCopy(index: Index, copyId: string): void {
  const copy = copyOf(index, copyId);
  if (copy.step === ShardCopyStep.COPYING) return;
  expectStep(index, copy, ShardCopyStep.PLANNED);
  if (isDropOnly(copy)) {
    throw new CopyRefusedError(
      "step",
      `copy ${copy.id} of index ${index.uid} has nothing to copy; switch it`,
    );
  }
  for (const id of copy.repairNodeIds) {
    if (replicaOn(index, id)?.state === ReplicaState.STALE) setReplica(index, id, ReplicaState.JOINING);
  }
  for (const { shard, toNodeId } of copy.moves) {
    const placement = index.placement[shard];
    if (toNodeId === "" || placement === undefined) continue;
    if (replicaOn(index, toNodeId) === undefined) setReplica(index, toNodeId, ReplicaState.JOINING);
    setRole(placement, toNodeId, "joiningNodeIds");
  }
  copy.step = ShardCopyStep.COPYING;
}

/**
 * The targets serve, and what they replace is left (invariant 9). No new generation: both sides have received every write before and
 * go on to, so that readers are right with either topology.
 *
 * A replica that is to be given up stays where the others of its shard were lost meanwhile, are suspect or away, and the copy goes on
 * without it, or is gone where nothing else was in it.
 *
 * @param away nodes that do not answer
 */
export function switchCopy(index: Index, copyId: string, away = NONE): void {
  const copy = copyOf(index, copyId);
  if (copy.step === ShardCopyStep.SWITCHED) return;
  expectStep(index, copy, isDropOnly(copy) ? ShardCopyStep.PLANNED : ShardCopyStep.COPYING);
  for (const replica of index.replicas) {
    if (replica.state === ReplicaState.JOINING) replica.state = ReplicaState.IN_SYNC;
  }
  if (copy.splitShards > 0) splitPlacement(index, copy.splitShards);
  for (const { shard, toNodeId } of copy.moves) {
    const placement = index.placement[shard];
    if (placement !== undefined && toNodeId !== "") setRole(placement, toNodeId, "nodeIds");
  }
  copy.moves = copy.moves.filter((move) => leaveSource(index, move, away));
  const isIdle = copy.moves.length + copy.repairNodeIds.length + copy.splitShards === 0;
  if (isIdle) delete index.copy;
  else copy.step = ShardCopyStep.SWITCHED;
}

/** What a move replaces is left; false where it was to be given up and the shard cannot spare it. */
function leaveSource(
  index: Index,
  { shard, fromNodeId, toNodeId }: ShardMove,
  away: ReadonlySet<string>,
): boolean {
  const placement = index.placement[shard];
  if (placement?.nodeIds.includes(fromNodeId) !== true) return true;
  const others = placement.nodeIds.filter((id) => id !== fromNodeId);
  // What was filled in its place is compared with it before it is given up.
  const isLeft =
    toNodeId === ""
      ? canSpare(index, others, [fromNodeId], away)
      : others.some((id) => isMember(replicaOn(index, id)?.state));
  if (isLeft) setRole(placement, fromNodeId, "leavingNodeIds");
  return isLeft;
}

/**
 * With a new generation: nobody finds what is left under the name that readers with an older topology use. A replica that its shard
 * cannot spare, because the others have become suspect or are away, serves again.
 *
 * @param away nodes that do not answer
 */
export function dropCopy(index: Index, copyId: string, away = NONE): void {
  const copy = copyOf(index, copyId);
  if (copy.step === ShardCopyStep.DROPPING) return;
  expectStep(index, copy, ShardCopyStep.SWITCHED);
  keepUnspared(index, away);
  copy.step = ShardCopyStep.DROPPING;
}

/**
 * What was left receives no writes any more. A node that serves other shards of the index keeps documents to be deleted there; another
 * one has no replica from now on. A stale replica is rid of them by its repair, which makes it equal to what it serves. One that its
 * shard cannot spare serves again: it has every write, and the name of the present generation.
 *
 * @param away nodes that do not answer
 */
export function cleanCopy(index: Index, copyId: string, away = NONE): void {
  const copy = copyOf(index, copyId);
  if (copy.step === ShardCopyStep.CLEANING) return;
  expectStep(index, copy, ShardCopyStep.DROPPING);
  keepUnspared(index, away);
  for (const placement of index.placement) {
    for (const id of placement.leavingNodeIds) {
      const stale = replicaOn(index, id)?.state === ReplicaState.STALE;
      setRole(placement, id, stale ? undefined : "leftoverNodeIds");
    }
  }
  removeIdleReplicas(index);
  copy.step = ShardCopyStep.CLEANING;
}

/** Leaving replicas serve again where their shard has no other that is known to be as good. */
function keepUnspared(index: Index, away: ReadonlySet<string>): void {
  for (const placement of index.placement) {
    for (const id of placement.leavingNodeIds) {
      if (!canSpare(index, placement.nodeIds, [id], away)) setRole(placement, id, "nodeIds");
    }
  }
}

/** Nothing is left of the copy. A copy that is gone already has ended. */
export function endCopy(index: Index, copyId: string): void {
  const { copy } = index;
  if (copy?.id !== copyId) return;
  if (copy.step === ShardCopyStep.SWITCHED) {
    const leaving = index.placement.find(({ leavingNodeIds }) => leavingNodeIds.length > 0);
    if (leaving !== undefined) {
      throw new CopyRefusedError(
        "step",
        `copy ${copy.id} of index ${index.uid} still has replicas to give up, of shard ${leaving.shard}`,
      );
    }
  } else expectStep(index, copy, ShardCopyStep.CLEANING);
  for (const placement of index.placement) placement.leftoverNodeIds = [];
  delete index.copy;
}

/**
 * Takes a copy back that has not switched: its targets leave as they came, and what a split has rewritten is written back. Nobody has read them, so that this needs no new generation.
 * Where a target serves other shards, documents are left to be deleted by the writer, and the copy ends with that. A copy that is
 * gone already is taken back.
 */
export function cancelCopy(index: Index, copyId: string): void {
  const { copy } = index;
  if (copy?.id !== copyId) return;
  if (copy.step !== ShardCopyStep.PLANNED && copy.step !== ShardCopyStep.COPYING) {
    throw new CopyRefusedError(
      "step",
      `copy ${copy.id} of index ${index.uid} has switched already and only goes forward (it is ${stepName(copy.step)})`,
    );
  }
  takeTargetsBack(index);
  const isSplit = copy.splitShards > 0 && copy.step === ShardCopyStep.COPYING;
  if (isSplit || index.placement.some(({ leftoverNodeIds }) => leftoverNodeIds.length > 0)) {
    copy.step = ShardCopyStep.CLEANING;
  } else delete index.copy;
}

/**
 * Marks replicas stale. Goes with a new generation, which they do not bear.
 *
 * A copy that loses a target before its switch starts over, with that target's replica repaired where it has other shards to serve.
 * After the switch it goes on; but a shard whose last serving copy in sync is lost goes back to one that is leaving, which has all
 * writes.
 */
export function markStale(index: Index, nodeIds: ReadonlySet<string>): void {
  const { copy } = index;
  const lost = targetsOf(copy).filter((id) => nodeIds.has(id));
  for (const replica of index.replicas) {
    if (nodeIds.has(replica.nodeId)) replica.state = ReplicaState.STALE;
  }
  for (const placement of index.placement) {
    placement.leftoverNodeIds = placement.leftoverNodeIds.filter((id) => !nodeIds.has(id));
    takeLeavingBack(index, placement.shard);
  }
  if (copy === undefined || lost.length === 0) return;
  if (copy.step === ShardCopyStep.COPYING) {
    takeTargetsBack(index);
    copy.step = ShardCopyStep.PLANNED;
  }
  if (copy.step !== ShardCopyStep.PLANNED) return;
  const broken = lost.filter((id) => replicaOn(index, id) !== undefined);
  copy.repairNodeIds = [...new Set([...copy.repairNodeIds, ...broken])].sort();
}

/** Every node that the copy fills or repairs; none where there is no copy. */
export function targetsOf(copy: ShardCopy | undefined): readonly string[] {
  if (copy === undefined) return [];
  const { moves, repairNodeIds } = copy;
  const filled = moves.map(({ toNodeId }) => toNodeId).filter((id) => id !== "");
  return [...new Set([...filled, ...repairNodeIds])].sort();
}

/** A step, as people read it. */
export function stepName(step: ShardCopyStep): string {
  return step === ShardCopyStep.UNSPECIFIED ? "ended" : ShardCopyStep[step].toLowerCase();
}

/** Whether the copy only gives replicas up. */
function isDropOnly(copy: ShardCopy): boolean {
  return copy.splitShards === 0 && targetsOf(copy).length === 0;
}

/** Every new shard is where the old one is that its documents are of. */
function splitPlacement(index: Index, shards: number): void {
  const old = index.placement;
  index.placement = Array.from({ length: shards }, (_, shard) =>
    create(ShardPlacementSchema, { shard, nodeIds: [...(old[shard % old.length]?.nodeIds ?? [])] }),
  );
  index.shards = shards;
}

function copyOf(index: Index, copyId: string): ShardCopy {
  if (index.copy?.id === copyId) return index.copy;
  throw new CopyRefusedError("not_found", `index ${index.uid} has no copy ${copyId} under way`);
}

function expectStep(index: Index, copy: ShardCopy, step: ShardCopyStep): void {
  if (copy.step === step) return;
  throw new CopyRefusedError(
    "step",
    `copy ${copy.id} of index ${index.uid} is ${stepName(copy.step)}, not ${stepName(step)}`,
  );
}

/** Joining shards become nothing, or documents to delete where the node serves others; joining replicas become stale again, or go. */
function takeTargetsBack(index: Index): void {
  for (const replica of index.replicas) {
    if (replica.state === ReplicaState.JOINING) replica.state = ReplicaState.STALE;
  }
  for (const placement of index.placement) {
    for (const id of placement.joiningNodeIds) {
      const keeps = replicaOn(index, id)?.state !== ReplicaState.STALE && holdsAny(index, id, ["nodeIds"]);
      setRole(placement, id, keeps ? "leftoverNodeIds" : undefined);
    }
  }
  removeIdleReplicas(index);
}

function takeLeavingBack(index: Index, shard: number): void {
  const placement = index.placement[shard];
  if (placement === undefined) return;
  const isWhole = (id: string) => replicaOn(index, id)?.state === ReplicaState.IN_SYNC;
  if (placement.nodeIds.some((id) => isMember(replicaOn(index, id)?.state))) return;
  const spare = placement.leavingNodeIds.find(isWhole);
  if (spare !== undefined) setRole(placement, spare, "nodeIds");
}
