import type { NodeTaskRow, NodeTaskUpdate, TaskRow, TaskStatus } from "./task-store.js";
import { isFinalStatus } from "./task-store.js";

/**
 * Merges two records of one client task under the rules of `TasksTable.upsert`. Node tasks are not looked
 * at: the result has the stored ones.
 */
export function mergeTask(stored: TaskRow, incoming: TaskRow): TaskRow {
  return {
    uid: stored.uid,
    type: stored.type,
    indexUid: stored.indexUid ?? incoming.indexUid,
    instance: stored.instance ?? incoming.instance,
    customMetadata: stored.customMetadata ?? incoming.customMetadata,
    documentsByShard: stored.documentsByShard.size > 0 ? stored.documentsByShard : incoming.documentsByShard,
    enqueuedAt: Math.min(stored.enqueuedAt, incoming.enqueuedAt),
    ...mergeProgress(stored, incoming),
    canceledBy: prefer(stored.status, incoming.status, stored.canceledBy, incoming.canceledBy),
    nodeTasks: stored.nodeTasks,
  };
}

/** Merges two records of one node task. */
export function mergeNodeTask(stored: NodeTaskRow, incoming: NodeTaskRow): NodeTaskRow {
  return {
    nodeId: stored.nodeId,
    nodeTaskUid: stored.nodeTaskUid,
    shards: stored.shards.length > 0 ? stored.shards : incoming.shards,
    ...mergeProgress(stored, incoming),
  };
}

/** `mergeTask`, with the node tasks merged too; the incoming task where none is stored. */
export function mergeWholeTask(stored: TaskRow | undefined, incoming: TaskRow): TaskRow {
  const merged = stored === undefined ? incoming : mergeTask(stored, incoming);
  const nodeTasks = new Map<string, NodeTaskRow>();
  for (const nodeTask of stored?.nodeTasks ?? []) nodeTasks.set(nameOf(nodeTask), nodeTask);
  for (const nodeTask of incoming.nodeTasks) {
    const known = nodeTasks.get(nameOf(nodeTask));
    nodeTasks.set(nameOf(nodeTask), known === undefined ? nodeTask : mergeNodeTask(known, nodeTask));
  }
  return { ...merged, nodeTasks: [...nodeTasks.values()].sort(compareNodeTasks) };
}

/** The task with a node task added to it, or merged into the one that it has. */
export function withNodeTask(task: TaskRow, incoming: NodeTaskRow): TaskRow {
  const isSame = (other: NodeTaskRow) => compareNodeTasks(other, incoming) === 0;
  const stored = task.nodeTasks.find(isSame);
  const nodeTasks =
    stored === undefined
      ? [...task.nodeTasks, incoming].sort(compareNodeTasks)
      : task.nodeTasks.map((other) => (other === stored ? mergeNodeTask(stored, incoming) : other));
  return { ...task, nodeTasks };
}

/** The node task that an update describes. */
export function nodeTaskOfUpdate(update: NodeTaskUpdate): NodeTaskRow {
  return {
    nodeId: update.nodeId,
    nodeTaskUid: update.nodeTaskUid,
    status: update.status,
    error: update.error,
    shards: update.shards ?? [],
    detailsJson: update.detailsJson,
    startedAt: update.startedAt,
    finishedAt: update.finishedAt,
  };
}

/** Orders node tasks by node id, then by the node's task uid. */
export function compareNodeTasks(a: NodeTaskRow, b: NodeTaskRow): number {
  if (a.nodeId !== b.nodeId) return a.nodeId < b.nodeId ? -1 : 1;
  return a.nodeTaskUid - b.nodeTaskUid;
}

type Progress = Pick<TaskRow, "status" | "detailsJson" | "error" | "startedAt" | "finishedAt">;

function mergeProgress(stored: Progress, incoming: Progress): Progress {
  const choose = <T>(a: T | null, b: T | null) => prefer(stored.status, incoming.status, a, b);
  return {
    status: isLater(incoming.status, stored.status) ? incoming.status : stored.status,
    detailsJson: choose(stored.detailsJson, incoming.detailsJson),
    error: choose(stored.error, incoming.error),
    startedAt: choose(stored.startedAt, incoming.startedAt),
    finishedAt: choose(stored.finishedAt, incoming.finishedAt),
  };
}

function prefer<T>(stored: TaskStatus, incoming: TaskStatus, a: T | null, b: T | null): T | null {
  if (isFinalStatus(stored)) return a;
  return isLater(stored, incoming) ? (a ?? b) : (b ?? a);
}

/** True where `status` comes strictly after `other`. */
function isLater(status: TaskStatus, other: TaskStatus): boolean {
  return rank(status) > rank(other);
}

function rank(status: TaskStatus): number {
  if (isFinalStatus(status)) return 2;
  return status === "processing" ? 1 : 0;
}

function nameOf({ nodeId, nodeTaskUid }: NodeTaskRow): string {
  return `${nodeTaskUid} ${nodeId}`;
}
