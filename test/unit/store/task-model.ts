import { isDeepStrictEqual } from "node:util";
import {
  isFinalStatus,
  type NodeTaskRow,
  type NodeTaskUpdate,
  type TaskFilter,
  type TaskPageRequest,
  type TaskRow,
} from "../../../src/store/task-store.js";

const stage = { enqueued: 0, processing: 1, succeeded: 2, failed: 2, canceled: 2 } as const;

/** Tasks in memory, written to be obvious: every question is answered by looking at everything. */
export class TaskModel {
  readonly #tasks = new Map<number, TaskRow>();
  #nextUid = 0;

  allocate(count: number): number {
    const first = Math.max(this.#nextUid, ...[...this.#tasks.keys()].map((uid) => uid + 1));
    this.#nextUid = first + count;
    return first;
  }

  upsert(row: TaskRow): TaskRow {
    const old = this.#tasks.get(row.uid);
    let next: TaskRow = { ...row, nodeTasks: [] };
    if (old !== undefined) {
      next = {
        ...progress(old, row, ["detailsJson", "error", "startedAt", "finishedAt", "canceledBy"]),
        uid: old.uid,
        type: old.type,
        enqueuedAt: Math.min(old.enqueuedAt, row.enqueuedAt),
        indexUid: old.indexUid ?? row.indexUid,
        instance: old.instance ?? row.instance,
        customMetadata: old.customMetadata ?? row.customMetadata,
        documentsByShard: old.documentsByShard.size === 0 ? row.documentsByShard : old.documentsByShard,
        nodeTasks: old.nodeTasks,
      };
    }
    for (const nodeTask of row.nodeTasks) next = withNodeTask(next, nodeTask);
    this.#tasks.set(row.uid, next);
    return next;
  }

  apply(updates: readonly NodeTaskUpdate[]): { changed: TaskRow[]; unknown: NodeTaskUpdate[] } {
    const unknown: NodeTaskUpdate[] = [];
    const changed = new Set<number>();
    for (const { taskUid, shards, ...update } of updates) {
      const uid = taskUid ?? this.find(update.nodeId, update.nodeTaskUid);
      const task = uid === undefined ? undefined : this.#tasks.get(uid);
      if (task === undefined) {
        unknown.push({
          ...update,
          ...(taskUid === undefined ? {} : { taskUid }),
          ...(shards === undefined ? {} : { shards }),
        });
        continue;
      }
      const after = withNodeTask(task, { ...update, shards: shards ?? [] });
      if (!isDeepStrictEqual(after, task)) changed.add(task.uid);
      this.#tasks.set(task.uid, after);
    }
    return { changed: this.#ascending().filter((task) => changed.has(task.uid)), unknown };
  }

  get(uid: number): TaskRow | undefined {
    return this.#tasks.get(uid);
  }

  find(nodeId: string, nodeTaskUid: number): number | undefined {
    return this.#ascending()
      .filter((task) => task.nodeTasks.some((n) => n.nodeId === nodeId && n.nodeTaskUid === nodeTaskUid))
      .at(-1)?.uid;
  }

  openNodeTasks(nodeId: string): object[] {
    return this.#ascending()
      .flatMap((task) => task.nodeTasks.map((nodeTask) => ({ task, nodeTask })))
      .filter(({ nodeTask }) => nodeTask.nodeId === nodeId && !isFinalStatus(nodeTask.status))
      .sort((a, b) => a.nodeTask.nodeTaskUid - b.nodeTask.nodeTaskUid || a.task.uid - b.task.uid)
      .map(({ task, nodeTask }) => ({
        taskUid: task.uid,
        nodeId,
        nodeTaskUid: nodeTask.nodeTaskUid,
        status: nodeTask.status,
      }));
  }

  countOpen(): number {
    return this.#ascending().filter((task) => !isFinalStatus(task.status)).length;
  }

  list(filter: TaskFilter, page: TaskPageRequest): { tasks: TaskRow[]; total: number; next: unknown } {
    const matching = this.#ascending().filter((task) => matches(task, filter));
    if (page.reverse !== true) matching.reverse();
    const { from } = page;
    const rest = matching.filter(
      (task) => from === undefined || (page.reverse ? task.uid >= from : task.uid <= from),
    );
    return { tasks: rest.slice(0, page.limit), total: matching.length, next: rest[page.limit]?.uid };
  }

  prune(rule: { finishedBefore?: number; keepFinished?: number; limit?: number }): number {
    const { finishedBefore = -Infinity, keepFinished = Infinity, limit = 1_000 } = rule;
    const finished = this.#ascending()
      .filter((task) => isFinalStatus(task.status))
      .sort((a, b) => (a.finishedAt ?? 0) - (b.finishedAt ?? 0));
    const settled = finished.filter((task) => task.nodeTasks.every((n) => isFinalStatus(n.status)));
    const byAge = settled.filter((task) => (task.finishedAt ?? 0) < finishedBefore).slice(0, limit);
    const left = Math.max(0, finished.length - byAge.length - keepFinished);
    const byNumber = settled.filter((task) => !byAge.includes(task)).slice(0, left);
    const doomed = [...byAge, ...byNumber].slice(0, limit);
    for (const task of doomed) this.#tasks.delete(task.uid);
    return doomed.length;
  }

  #ascending(): TaskRow[] {
    return [...this.#tasks.values()].sort((a, b) => a.uid - b.uid);
  }
}

/** The later of two states with the gaps filled from the other; the old one alone where it is final. */
function progress<T extends { status: TaskRow["status"] }, K extends keyof T>(
  old: T,
  row: T,
  members: readonly K[],
): T {
  if (stage[old.status] === 2) return { ...old };
  const [first, second] = stage[row.status] >= stage[old.status] ? [row, old] : [old, row];
  const result = { ...first };
  for (const member of members) result[member] = first[member] ?? second[member];
  return result;
}

function withNodeTask(task: TaskRow, nodeTask: NodeTaskRow): TaskRow {
  const isSame = (n: NodeTaskRow) => n.nodeId === nodeTask.nodeId && n.nodeTaskUid === nodeTask.nodeTaskUid;
  const old = task.nodeTasks.find(isSame);
  let next = nodeTask;
  if (old !== undefined) {
    const merged = progress(old, nodeTask, ["detailsJson", "error", "startedAt", "finishedAt"]);
    next = { ...merged, shards: old.shards.length === 0 ? nodeTask.shards : old.shards };
  }
  const nodeTasks = [...task.nodeTasks.filter((n) => !isSame(n)), next].sort((a, b) =>
    a.nodeId === b.nodeId ? a.nodeTaskUid - b.nodeTaskUid : a.nodeId < b.nodeId ? -1 : 1,
  );
  return { ...task, nodeTasks };
}

function matches(task: TaskRow, filter: TaskFilter): boolean {
  const among = <T>(value: T | null, values: readonly T[] | undefined) =>
    values === undefined || (value !== null && values.includes(value));
  const between = (value: number | null, after: number | undefined, before: number | undefined) =>
    (after === undefined || (value !== null && value > after)) &&
    (before === undefined || (value !== null && value < before));
  return (
    among(task.uid, filter.uids) &&
    among(task.indexUid, filter.indexUids) &&
    among(task.status, filter.statuses) &&
    among(task.type, filter.types) &&
    among(task.canceledBy, filter.canceledBy) &&
    between(task.enqueuedAt, filter.afterEnqueuedAt, filter.beforeEnqueuedAt) &&
    between(task.startedAt, filter.afterStartedAt, filter.beforeStartedAt) &&
    between(task.finishedAt, filter.afterFinishedAt, filter.beforeFinishedAt)
  );
}
