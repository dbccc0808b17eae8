import { create } from "@bufbuild/protobuf";
import {
  type Index,
  type Node,
  NodeState,
  ReplicaState,
  ShardCopySchema,
  ShardCopyStep,
  type ShardMove,
  ShardMoveSchema,
  type Topology,
} from "../../gen/miroir/v1/topology_pb.js";
import { MAX_SHARDS } from "../../placement/injected-fields.js";
import { awayNodes } from "../nodes/away-nodes.js";
import { CopyRefusedError } from "./copy-refusal.js";
import { canSpare, isMember, replicaOn } from "./shard-roles.js";

/** A replica of a shard to make, to move or to give up. */
export interface PlannedMove {
  readonly shard: number;
  /** The replica to give up; undefined where one is only added. */
  readonly from?: string | undefined;
  /** The replica to make; undefined where one is only given up. */
  readonly to?: string | undefined;
}

/** One batch of work for an index's writer. */
export interface PlannedCopy {
  readonly id: string;
  readonly workflowId: string;
  readonly moves: readonly PlannedMove[];
  /** Nodes whose stale replica is to be made equal to its peers'. */
  readonly repairNodeIds: readonly string[];
  /** 0 for as fast as the nodes' queues allow. */
  readonly maxDocumentsPerSecond: number;
  /** How many shards the index is to have, in a copy that does nothing else; undefined for others. */
  readonly splitShards?: number;
}

/** Nodes on which a new replica may be made. */
const FILLABLE: ReadonlySet<NodeState> = new Set([NodeState.ACTIVE, NodeState.JOINING]);
/** Nodes on which a stale replica may be brought back: those that answer, whatever they are to become. */
const REPAIRABLE: ReadonlySet<NodeState> = new Set([
  NodeState.ACTIVE,
  NodeState.JOINING,
  NodeState.DRAINING,
  NodeState.SUSPECT,
]);

/**
 * Puts a copy into a draft at its first step; nothing else changes. Starting the same copy again does nothing.
 *
 * @throws CopyRefusedError where the index has another copy, a target cannot take one, or a shard would end without a copy in sync
 */
export function startCopy(draft: Topology, instance: string, copy: PlannedCopy): void {
  const index = draft.indexes.find((candidate) => candidate.instance === instance);
  if (index === undefined) throw new CopyRefusedError("not_found", `no index has the instance ${instance}`);
  if (index.copy?.id === copy.id) return;
  if (index.copy !== undefined) {
    throw new CopyRefusedError(
      "busy",
      `index ${index.uid} has copy ${index.copy.id} under way; wait for its end`,
    );
  }
  checkKind(index, copy);
  const nodes = new Map(draft.nodes.map((node) => [node.id, node]));
  checkRepairs(index, nodes, copy);
  checkMoves(index, nodes, copy);
  checkWhatRemains(index, copy, awayNodes(draft));
  index.copy = create(ShardCopySchema, {
    id: copy.id,
    workflowId: copy.workflowId,
    step: ShardCopyStep.PLANNED,
    moves: sorted(copy.moves),
    repairNodeIds: [...copy.repairNodeIds].sort(),
    maxDocumentsPerSecond: copy.maxDocumentsPerSecond,
    splitShards: copy.splitShards ?? 0,
  });
}

/**
 * What an index can be cut into, in place: a multiple of the shards that it has, so that no document changes its node.
 *
 * @throws CopyRefusedError
 */
export function checkSplit(index: Index, shards: number): void {
  if (index.primaryKey?.includes(".") === true) {
    throw new CopyRefusedError(
      "invalid",
      `index ${index.uid} has a nested primary key, ${index.primaryKey}; its documents cannot be given new codes one field at a time`,
    );
  }
  if (shards > index.shards && shards % index.shards === 0 && shards <= MAX_SHARDS) return;
  throw new CopyRefusedError(
    "invalid",
    `index ${index.uid} has ${index.shards} shards: it can be cut into a multiple of them, up to ${MAX_SHARDS}, not into ${shards}`,
  );
}

/** A copy moves and repairs, or it splits. */
function checkKind(index: Index, { id, moves, repairNodeIds, splitShards }: PlannedCopy): void {
  const isIdle = moves.length === 0 && repairNodeIds.length === 0;
  if (id === "" || isIdle === (splitShards === undefined)) {
    throw new CopyRefusedError(
      "invalid",
      `index ${index.uid}: a copy has an id, and moves or repairs or a split`,
    );
  }
  if (splitShards !== undefined) checkSplit(index, splitShards);
}

function sorted(moves: readonly PlannedMove[]): ShardMove[] {
  return moves
    .map(({ shard, from = "", to = "" }) =>
      create(ShardMoveSchema, { shard, fromNodeId: from, toNodeId: to }),
    )
    .sort(
      (a, b) => a.shard - b.shard || compare(a.toNodeId, b.toNodeId) || compare(a.fromNodeId, b.fromNodeId),
    );
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function checkRepairs(index: Index, nodes: ReadonlyMap<string, Node>, copy: PlannedCopy): void {
  if (new Set(copy.repairNodeIds).size !== copy.repairNodeIds.length) {
    throw new CopyRefusedError("invalid", `index ${index.uid}: a replica is to be repaired twice`);
  }
  for (const id of copy.repairNodeIds) {
    checkNode(index, nodes, id, REPAIRABLE);
    if (replicaOn(index, id)?.state !== ReplicaState.STALE) {
      throw new CopyRefusedError("invalid", `index ${index.uid}: the replica on ${id} is not stale`);
    }
  }
}

function checkMoves(index: Index, nodes: ReadonlyMap<string, Node>, copy: PlannedCopy): void {
  const seen = new Set<string>();
  for (const { shard, from, to } of copy.moves) {
    const what = `index ${index.uid}, shard ${shard}`;
    const holders = index.placement[shard]?.nodeIds;
    if (holders === undefined) throw new CopyRefusedError("invalid", `${what}: there is no such shard`);
    if (from === undefined && to === undefined) {
      throw new CopyRefusedError("invalid", `${what}: a move has a source or a target`);
    }
    for (const id of [from, to]) {
      if (id === undefined) continue;
      if (seen.has(`${shard} ${id}`)) {
        throw new CopyRefusedError("invalid", `${what}: ${id} is named in two moves`);
      }
      seen.add(`${shard} ${id}`);
    }
    if (from !== undefined && !holders.includes(from)) {
      throw new CopyRefusedError("invalid", `${what}: ${from} does not hold it`);
    }
    if (to === undefined) continue;
    if (holders.includes(to)) throw new CopyRefusedError("invalid", `${what}: ${to} holds it already`);
    checkNode(index, nodes, to, FILLABLE);
    const state = replicaOn(index, to)?.state;
    const fits =
      state === undefined ||
      state === ReplicaState.IN_SYNC ||
      (state === ReplicaState.STALE && copy.repairNodeIds.includes(to));
    if (!fits) {
      throw new CopyRefusedError(
        "target",
        `${what}: what ${to} holds of the index is not in sync; repair it first, or with the same copy`,
      );
    }
  }
}

function checkNode(
  index: Index,
  nodes: ReadonlyMap<string, Node>,
  id: string,
  states: ReadonlySet<NodeState>,
): void {
  const node = nodes.get(id);
  if (node === undefined) throw new CopyRefusedError("target", `index ${index.uid}: there is no node ${id}`);
  if (states.has(node.state)) return;
  throw new CopyRefusedError(
    "target",
    `index ${index.uid}: node ${id} is ${NodeState[node.state].toLowerCase()} and takes no copies`,
  );
}

/** Every shard needs a source now, and a copy that stays, as good as those that go, or is made. */
function checkWhatRemains(
  index: Index,
  { moves, repairNodeIds }: PlannedCopy,
  away: ReadonlySet<string>,
): void {
  const isWhole = (id: string) => isMember(replicaOn(index, id)?.state);
  for (const { shard, nodeIds } of index.placement) {
    const own = moves.filter((move) => move.shard === shard);
    const touched = own.length > 0 || repairNodeIds.some((id) => nodeIds.includes(id));
    if (!touched) continue;
    const given = own.flatMap(({ from }) => from ?? []);
    const isMade = own.some(({ to }) => to !== undefined);
    const others = nodeIds.filter((id) => !given.includes(id));
    const keepsOne = canSpare(index, others, given, away);
    if (!nodeIds.some(isWhole) || !(isMade || keepsOne)) {
      throw new CopyRefusedError(
        "last_copy",
        `index ${index.uid}: shard ${shard} would have no copy in sync left`,
      );
    }
  }
}
