import { create } from "@bufbuild/protobuf";
import {
  type Index,
  type Replica,
  ReplicaSchema,
  ReplicaState,
  type ShardPlacement,
} from "../../gen/miroir/v1/topology_pb.js";

/** What a node is to a shard: it serves it, is being filled with it, still receives its writes, or is being rid of it. */
export type ShardRole = "nodeIds" | "joiningNodeIds" | "leavingNodeIds" | "leftoverNodeIds";

/** Every role. */
export const SHARD_ROLES: readonly ShardRole[] = [
  "nodeIds",
  "joiningNodeIds",
  "leavingNodeIds",
  "leftoverNodeIds",
];

/** Gives a node one role for a shard and takes any other one from it; none takes all. */
export function setRole(placement: ShardPlacement, nodeId: string, role: ShardRole | undefined): void {
  for (const other of SHARD_ROLES) {
    if (placement[other].includes(nodeId)) placement[other] = placement[other].filter((id) => id !== nodeId);
  }
  if (role !== undefined) placement[role] = [...placement[role], nodeId].sort();
}

/** The node's role for a shard; undefined where it has nothing to do with it. */
export function roleOf(placement: ShardPlacement, nodeId: string): ShardRole | undefined {
  return SHARD_ROLES.find((role) => placement[role].includes(nodeId));
}

/** Whether the node has one of these roles for any shard of the index. */
export function holdsAny(index: Index, nodeId: string, roles: readonly ShardRole[]): boolean {
  return index.placement.some((placement) => roles.some((role) => placement[role].includes(nodeId)));
}

/** The replica of the index on a node. */
export function replicaOn(index: Index, nodeId: string): Replica | undefined {
  return index.replicas.find((replica) => replica.nodeId === nodeId);
}

/** Gives the node's replica a state; one that does not exist is made, in its place. */
export function setReplica(index: Index, nodeId: string, state: ReplicaState): void {
  const held = replicaOn(index, nodeId);
  if (held !== undefined) {
    held.state = state;
    return;
  }
  const at = index.replicas.findIndex((replica) => replica.nodeId > nodeId);
  const made = create(ReplicaSchema, { nodeId, state });
  index.replicas.splice(at === -1 ? index.replicas.length : at, 0, made);
}

/**
 * Takes away the replicas that nothing is placed on any more. What such a node still has to be rid of goes with its whole physical
 * index.
 */
export function removeIdleReplicas(index: Index): void {
  const idle = new Set(
    index.replicas
      .map(({ nodeId }) => nodeId)
      .filter((id) => !holdsAny(index, id, ["nodeIds", "joiningNodeIds", "leavingNodeIds"])),
  );
  if (idle.size === 0) return;
  for (const placement of index.placement) for (const id of idle) setRole(placement, id, undefined);
  index.replicas = index.replicas.filter(({ nodeId }) => !idle.has(nodeId));
}

/** Ids of the nodes whose replica is in sync. */
export function inSyncNodes(index: Index): ReadonlySet<string> {
  return new Set(
    index.replicas.filter(({ state }) => state === ReplicaState.IN_SYNC).map(({ nodeId }) => nodeId),
  );
}

/** Whether the replica takes part in every write and may be read: suspicion is a hint for readers only. */
export function isMember(state: ReplicaState | undefined): boolean {
  return state === ReplicaState.IN_SYNC || state === ReplicaState.SUSPECT;
}

/**
 * Whether a shard can do without `given` because of `remaining`. A replica in sync is only given up for another one in sync, on a node
 * that answers: what a suspect one holds is not certain, and a node that is away may come back with another disk. One on such a node is
 * only given up for one in sync, and a suspect one for any that serves.
 */
export function canSpare(
  index: Index,
  remaining: readonly string[],
  given: readonly string[],
  away: ReadonlySet<string>,
): boolean {
  const worth = (id: string): number => {
    const state = replicaOn(index, id)?.state;
    if (state === ReplicaState.IN_SYNC) return away.has(id) ? 2 : 3;
    return isMember(state) ? 1 : 0;
  };
  const best = (ids: readonly string[]) => Math.max(0, ...ids.map(worth));
  return best(remaining) > 0 && best(remaining) >= best(given);
}
