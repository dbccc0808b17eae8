import {
  type Index,
  ReplicaState,
  type ShardCopy,
  ShardCopyStep,
  type ShardPlacement,
} from "../../gen/miroir/v1/topology_pb.js";
import { stepName, targetsOf } from "./copy-steps.js";
import { isMember, SHARD_ROLES } from "./shard-roles.js";

/** The steps that may follow each in one change; a copy that ends is at none. */
const NEXT: Readonly<Record<ShardCopyStep, readonly ShardCopyStep[]>> = {
  [ShardCopyStep.UNSPECIFIED]: [ShardCopyStep.PLANNED],
  [ShardCopyStep.PLANNED]: [ShardCopyStep.COPYING, ShardCopyStep.SWITCHED, ShardCopyStep.CLEANING],
  [ShardCopyStep.COPYING]: [ShardCopyStep.PLANNED, ShardCopyStep.SWITCHED, ShardCopyStep.CLEANING],
  [ShardCopyStep.SWITCHED]: [ShardCopyStep.DROPPING],
  [ShardCopyStep.DROPPING]: [ShardCopyStep.CLEANING],
  [ShardCopyStep.CLEANING]: [],
};

/**
 * What is wrong with the roles and the copy of an index, taken by itself: roles of a shard are disjoint and in order, each with a
 * replica, and what a copy's step says is what the roles show.
 */
export function copyFaults(index: Index): string[] {
  const faults: string[] = [];
  const replicas = new Map(index.replicas.map(({ nodeId, state }) => [nodeId, state]));
  for (const placement of index.placement) checkRoles(index, placement, replicas, faults);
  const { copy } = index;
  if (copy === undefined) {
    checkWithoutCopy(index, faults);
    return faults;
  }
  if (copy.id === "" || copy.step === ShardCopyStep.UNSPECIFIED) faults.push("the copy has no id or no step");
  checkMoves(index, copy, faults);
  checkStep(index, copy, replicas, faults);
  return faults;
}

/**
 * What is wrong with `next` as the successor of `former`, as far as roles, replicas' states and the copy go (invariants 5 and 9).
 *
 * The generation names the set of replicas that readers may use under it. It must grow where a reader with the former topology could
 * otherwise read something wrong: where a replica misses writes from now on, and where a member is about to hold documents of shards
 * that the reader would not filter out. A switch does neither: the new replicas bear the generation's name since they began to join,
 * and have all its writes; the old ones keep receiving them.
 */
export function copySuccessionFaults(former: Index, next: Index): string[] {
  const faults: string[] = [];
  const grown = next.generation > former.generation;
  checkCopySuccession(former, next, grown, faults);
  checkReplicaSuccession(former, next, grown, faults);
  checkShards(former, next, faults);
  for (const [position, placement] of next.placement.entries()) {
    const before = former.placement[position % former.shards];
    if (before !== undefined) checkRoleSuccession(former, next, before, placement, grown, faults);
  }
  return faults;
}

function checkRoles(
  index: Index,
  placement: ShardPlacement,
  replicas: ReadonlyMap<string, ReplicaState>,
  faults: string[],
): void {
  const name = `shard ${placement.shard}`;
  const seen = new Set<string>();
  for (const role of SHARD_ROLES) {
    let former: string | undefined;
    for (const id of placement[role]) {
      if (former !== undefined && id <= former) faults.push(`${name}: nodes are not in ascending order`);
      former = id;
      if (seen.has(id)) faults.push(`${name}: ${id} has two roles`);
      seen.add(id);
      const state = replicas.get(id);
      if (state === undefined) faults.push(`${name}: ${id} has no replica of the index`);
      if (role === "joiningNodeIds" && state === ReplicaState.STALE)
        faults.push(`${name}: ${id} joins with a stale replica`);
      if (role === "leftoverNodeIds" && !index.placement.some(({ nodeIds }) => nodeIds.includes(id)))
        faults.push(`${name}: ${id} has leftovers and serves nothing`);
    }
  }
}

function checkWithoutCopy(index: Index, faults: string[]): void {
  for (const { shard, joiningNodeIds, leavingNodeIds, leftoverNodeIds } of index.placement) {
    if (joiningNodeIds.length + leavingNodeIds.length + leftoverNodeIds.length > 0)
      faults.push(`shard ${shard}: nodes join, leave or have leftovers without a copy`);
  }
  for (const { nodeId, state } of index.replicas)
    if (state === ReplicaState.JOINING) faults.push(`replica ${nodeId} joins without a copy`);
}

function checkMoves(index: Index, { moves, repairNodeIds, splitShards }: ShardCopy, faults: string[]): void {
  const isIdle = moves.length === 0 && repairNodeIds.length === 0;
  if (isIdle === (splitShards === 0)) faults.push("the copy has nothing to do, or a split and more");
  const named = new Set<string>();
  for (const { shard, fromNodeId, toNodeId } of moves) {
    if (index.placement[shard] === undefined) faults.push(`the copy moves shard ${shard}, which is none`);
    if (fromNodeId === "" && toNodeId === "") faults.push(`the copy moves shard ${shard} nowhere`);
    for (const id of [fromNodeId, toNodeId]) {
      if (id === "") continue;
      if (named.has(`${shard} ${id}`)) faults.push(`the copy names ${id} twice for shard ${shard}`);
      named.add(`${shard} ${id}`);
    }
  }
  for (const [at, id] of repairNodeIds.entries()) {
    const former = repairNodeIds[at - 1];
    if (former !== undefined && id <= former) faults.push("the copy's repairs are not in ascending order");
  }
}

function checkStep(
  index: Index,
  copy: ShardCopy,
  replicas: ReadonlyMap<string, ReplicaState>,
  faults: string[],
): void {
  const at = stepName(copy.step);
  const copying = copy.step === ShardCopyStep.COPYING;
  const giving = copy.step === ShardCopyStep.SWITCHED || copy.step === ShardCopyStep.DROPPING;
  const targets = new Set(targetsOf(copy));
  const isNamed = (end: "fromNodeId" | "toNodeId", shard: number, id: string) =>
    copy.moves.some((move) => move.shard === shard && move[end] === id);
  for (const { shard, joiningNodeIds, leavingNodeIds, leftoverNodeIds } of index.placement) {
    for (const id of joiningNodeIds) {
      if (!copying || !isNamed("toNodeId", shard, id))
        faults.push(`shard ${shard}: ${id} joins, but the copy is ${at} and does not say so`);
    }
    for (const id of leavingNodeIds) {
      if (!giving || !isNamed("fromNodeId", shard, id))
        faults.push(`shard ${shard}: ${id} leaves, but the copy is ${at} and does not say so`);
    }
    if ((copying || giving) && leftoverNodeIds.length > 0)
      faults.push(`shard ${shard}: there are leftovers, but the copy is ${at}`);
  }
  for (const [id, state] of replicas) {
    if (state === ReplicaState.JOINING && !(copying && targets.has(id)))
      faults.push(`replica ${id} joins, but the copy is ${at} and does not say so`);
  }
  if (!copying) return;
  for (const { shard, toNodeId } of copy.moves) {
    if (toNodeId !== "" && index.placement[shard]?.joiningNodeIds.includes(toNodeId) !== true)
      faults.push(`shard ${shard}: ${toNodeId} is to be filled, but does not join`);
  }
  for (const id of copy.repairNodeIds) {
    const state = replicas.get(id);
    if (state === ReplicaState.STALE || state === undefined)
      faults.push(`replica ${id} is to be repaired, but does not join`);
  }
}

/** A number of shards stays, but where a split switches. That shard t is where t modulo the old number was, the check of roles tells. */
function checkShards(former: Index, next: Index, faults: string[]): void {
  if (next.shards === former.shards) return;
  const isSplit =
    former.copy?.step === ShardCopyStep.COPYING &&
    next.copy?.step === ShardCopyStep.SWITCHED &&
    next.copy.splitShards === next.shards &&
    next.shards % former.shards === 0;
  if (isSplit) return;
  faults.push(`instance ${next.instance} would go from ${former.shards} to ${next.shards} shards`);
}

function checkCopySuccession(former: Index, next: Index, grown: boolean, faults: string[]): void {
  const before = former.copy;
  const after = next.copy;
  if (after !== undefined && after.id !== before?.id) {
    if (after.step !== ShardCopyStep.PLANNED)
      faults.push(`copy ${after.id} would begin as ${stepName(after.step)}`);
    if (before !== undefined) faults.push(`copy ${after.id} would take the place of ${before.id}`);
    return;
  }
  if (before === undefined || after === undefined || before.step === after.step) return;
  if (!NEXT[before.step].includes(after.step))
    faults.push(`copy ${after.id} would go from ${stepName(before.step)} to ${stepName(after.step)}`);
  const renames = after.step === ShardCopyStep.COPYING || after.step === ShardCopyStep.DROPPING;
  if (renames && !grown)
    faults.push(`copy ${after.id} would be ${stepName(after.step)} without a new generation`);
}

function checkReplicaSuccession(former: Index, next: Index, grown: boolean, faults: string[]): void {
  if (grown) return;
  const states = new Map(next.replicas.map(({ nodeId, state }) => [nodeId, state]));
  const before = new Map(former.replicas.map(({ nodeId, state }) => [nodeId, state]));
  for (const [id, state] of before) {
    const left = states.get(id);
    // One that nobody is told to read any more goes quietly; that it was renamed before is what the step says.
    if (isMember(state) && !isMember(left) && !(left === undefined && servesNothing(former, id)))
      faults.push(`replica ${id} would leave the in-sync set without a new generation`);
  }
  for (const [id, state] of states) {
    const was = before.get(id);
    if (isMember(state) && !isMember(was) && was !== ReplicaState.JOINING)
      faults.push(`replica ${id} would enter the in-sync set without a new generation`);
    if (state === ReplicaState.JOINING && was !== ReplicaState.JOINING)
      faults.push(`replica ${id} would join without a new generation`);
  }
}

function checkRoleSuccession(
  former: Index,
  next: Index,
  before: ShardPlacement,
  after: ShardPlacement,
  grown: boolean,
  faults: string[],
): void {
  const name = `shard ${after.shard}`;
  const stateBefore = (id: string) => former.replicas.find(({ nodeId }) => nodeId === id)?.state;
  const stateAfter = (id: string) => next.replicas.find(({ nodeId }) => nodeId === id)?.state;
  for (const id of after.nodeIds) {
    if (before.nodeIds.includes(id) || before.joiningNodeIds.includes(id)) continue;
    // Who leaves has all writes, and the name of its generation as long as it is in sync.
    const isWhole = [stateBefore(id), stateAfter(id)].every((state) => state === ReplicaState.IN_SYNC);
    if (!(before.leavingNodeIds.includes(id) && (grown || isWhole)))
      faults.push(`${name}: ${id} would serve it without having joined`);
  }
  for (const id of before.nodeIds) {
    if (after.nodeIds.includes(id) || after.leavingNodeIds.includes(id)) continue;
    if (isMember(stateBefore(id))) faults.push(`${name}: ${id} would stop serving it without leaving it`);
  }
  for (const id of after.joiningNodeIds) {
    if (!grown && !before.joiningNodeIds.includes(id))
      faults.push(`${name}: ${id} would join it without a new generation`);
  }
  const dropped = former.copy?.step === ShardCopyStep.DROPPING && next.copy?.step === ShardCopyStep.CLEANING;
  const isSound = after.nodeIds.some((id) => stateAfter(id) === ReplicaState.IN_SYNC);
  for (const id of before.leavingNodeIds) {
    if (after.leavingNodeIds.includes(id) || after.nodeIds.includes(id)) continue;
    if (dropped && stateBefore(id) === ReplicaState.IN_SYNC && !isSound)
      faults.push(`${name}: ${id} would be given up, and no other copy is known to be in sync`);
    if (!dropped && isMember(stateAfter(id)))
      faults.push(`${name}: ${id} would be given up before its name has changed`);
  }
}

function servesNothing(index: Index, nodeId: string): boolean {
  return !index.placement.some(({ nodeIds }) => nodeIds.includes(nodeId));
}
