import type { NodeId, NodeTaskUid, TaskUid } from "../ids.js";
import { checkBatch, checkInteger, checkTaskBatch, maxBatch } from "../limits.js";
import { compareNodeTasks, mergeNodeTask, mergeTask, nodeTaskOfUpdate } from "../merge-task.js";
import type { PruneRule } from "../prune-rule.js";
import { checkFilter, checkNodeTaskUpdates, checkPage, checkTasks } from "../task-checks.js";
import {
  decodeNodeTask,
  decodeStatus,
  encodeNodeTask,
  encodeTask,
  type NodeTaskRecord,
  type TaskRecord,
} from "../task-records.js";
import type {
  FencingToken,
  NodeTaskRef,
  NodeTaskRow,
  NodeTaskUpdate,
  NodeTaskUpdateResult,
  OpenNodeTask,
  TaskFilter,
  TaskPage,
  TaskPageRequest,
  TaskRow,
  TasksTable,
} from "../task-store.js";
import type { Connection } from "./connection.js";
import { FinishedRows } from "./finished-rows.js";
import { TaskListing } from "./task-listing.js";
import { TaskReader } from "./task-reader.js";

const open = "status IN ('enqueued', 'processing')";
const finished = "status IN ('succeeded', 'failed', 'canceled')";
const maxOpenPage = 100_000;

type OpenRecord = Pick<NodeTaskRecord, "task_uid" | "node_task_uid" | "status">;

/** Tasks on SQLite. Uids are reserved through `durable`, everything else is written through `fast`. */
export class SqliteTasksTable implements TasksTable {
  readonly #durable: Connection;
  readonly #fast: Connection;
  readonly #reader: TaskReader;
  readonly #listing: TaskListing;
  readonly #reserve;
  readonly #nextUid;
  readonly #insert;
  readonly #update;
  readonly #selectNodeTask;
  readonly #upsertNodeTask;
  readonly #find;
  readonly #exists;
  readonly #openNodeTasks;
  readonly #countOpenNodeTasks;
  readonly #countOpen;
  readonly #deleteSettled;
  readonly #history;

  constructor(durable: Connection, fast: Connection) {
    this.#durable = durable;
    this.#fast = fast;
    this.#reader = new TaskReader(fast);
    this.#listing = new TaskListing(fast);
    this.#reserve = durable.prepare<[number], { next_uid: number }>(
      `UPDATE task_uids
       SET next_uid = max(next_uid, (SELECT coalesce(max(uid) + 1, 0) FROM tasks)) + ?
       WHERE id = 1 RETURNING next_uid`,
    );
    this.#nextUid = durable.prepare<[], { next_uid: number }>(
      `SELECT max(next_uid, (SELECT coalesce(max(uid) + 1, 0) FROM tasks)) AS next_uid FROM task_uids WHERE id = 1`,
    );
    this.#insert = fast.prepare<[TaskRecord]>(
      `INSERT INTO tasks (uid, index_uid, instance, type, status, enqueued_at, started_at, finished_at,
         canceled_by, details_json, error_json, custom_metadata, documents_by_shard_json)
       VALUES (:uid, :index_uid, :instance, :type, :status, :enqueued_at, :started_at, :finished_at,
         :canceled_by, :details_json, :error_json, :custom_metadata, :documents_by_shard_json)`,
    );
    this.#update = fast.prepare<[TaskRecord]>(
      `UPDATE tasks SET index_uid = :index_uid, instance = :instance, type = :type, status = :status,
         enqueued_at = :enqueued_at, started_at = :started_at, finished_at = :finished_at,
         canceled_by = :canceled_by, details_json = :details_json, error_json = :error_json,
         custom_metadata = :custom_metadata, documents_by_shard_json = :documents_by_shard_json
       WHERE uid = :uid`,
    );
    this.#selectNodeTask = fast.prepare<[number, string, number], NodeTaskRecord>(
      "SELECT * FROM node_tasks WHERE task_uid = ? AND node_id = ? AND node_task_uid = ?",
    );
    this.#upsertNodeTask = fast.prepare<[NodeTaskRecord]>(
      `INSERT INTO node_tasks (task_uid, node_id, node_task_uid, status, shards_json, details_json,
         error_json, started_at, finished_at)
       VALUES (:task_uid, :node_id, :node_task_uid, :status, :shards_json, :details_json, :error_json,
         :started_at, :finished_at)
       ON CONFLICT (task_uid, node_id, node_task_uid) DO UPDATE SET status = excluded.status,
         shards_json = excluded.shards_json, details_json = excluded.details_json,
         error_json = excluded.error_json, started_at = excluded.started_at,
         finished_at = excluded.finished_at`,
    );
    this.#find = fast.prepare<[string, number], { task_uid: number }>(
      `SELECT task_uid FROM node_tasks WHERE node_id = ? AND node_task_uid = ?
       ORDER BY task_uid DESC LIMIT 1`,
    );
    this.#exists = fast.prepare<[number], { uid: number }>("SELECT uid FROM tasks WHERE uid = ?");
    this.#openNodeTasks = fast.prepare<[string, number, number], OpenRecord>(
      `SELECT task_uid, node_task_uid, status FROM node_tasks WHERE node_id = ? AND node_task_uid > ? AND ${open}
       ORDER BY node_task_uid, task_uid LIMIT ?`,
    );
    this.#countOpenNodeTasks = fast.prepare<[], { node_id: string; n: number }>(
      `SELECT node_id, count(*) AS n FROM node_tasks WHERE ${open} GROUP BY node_id`,
    );
    this.#countOpen = fast.prepare<[], { n: number }>(
      `SELECT coalesce(sum(n), 0) AS n FROM task_counts WHERE ${open}`,
    );
    this.#deleteSettled = fast.prepare<[number]>(
      `DELETE FROM tasks WHERE uid = ? AND NOT (${open}) AND NOT EXISTS
         (SELECT 1 FROM node_tasks WHERE node_tasks.task_uid = tasks.uid AND node_tasks.${open})`,
    );
    this.#history = new FinishedRows(fast, {
      table: "tasks",
      key: "uid",
      order: "finished_at, uid",
      // The plus sign keeps the planner on the index by finishing time, where it can stop at the limit.
      prunable: `+${finished} AND NOT EXISTS
        (SELECT 1 FROM node_tasks WHERE node_tasks.task_uid = tasks.uid AND node_tasks.${open})`,
      count: `SELECT coalesce(sum(n), 0) AS n FROM task_counts WHERE ${finished}`,
      operation: "prune tasks",
    });
  }

  async allocateUids(count: number, fence: FencingToken): Promise<TaskUid> {
    checkInteger(count, 1, maxBatch, "A number of task uids to reserve");
    return this.#durable.fencedWrite("reserve task uids", fence, () => {
      const next = this.#reserve.get(count)?.next_uid ?? Number.NaN;
      checkInteger(next, 0, Number.MAX_SAFE_INTEGER, "The next task uid");
      return (next - count) as TaskUid;
    });
  }

  async nextUid(): Promise<TaskUid> {
    return this.#durable.read(
      "read the next task uid",
      () => (this.#nextUid.get()?.next_uid ?? 0) as TaskUid,
    );
  }

  async upsert(tasks: readonly TaskRow[], fence: FencingToken): Promise<readonly TaskRow[]> {
    checkTasks(tasks);
    return this.#fast.fencedWrite("record tasks", fence, () => tasks.map((task) => this.#record(task)));
  }

  async get(uid: TaskUid): Promise<TaskRow | undefined> {
    return this.#fast.read("read a task", () => this.#reader.one(uid));
  }

  async getMany(uids: readonly TaskUid[]): Promise<readonly TaskRow[]> {
    checkBatch(uids, "task uids");
    const ascending = [...new Set(uids)].sort((a, b) => a - b);
    return this.#fast.read("read tasks", () => this.#reader.many(ascending));
  }

  async list(filter: TaskFilter, page: TaskPageRequest): Promise<TaskPage> {
    checkPage(page);
    checkFilter(filter);
    return this.#fast.read("list tasks", () => {
      const { uids, total } = this.#listing.find(filter, page);
      return { tasks: this.#reader.many(uids.slice(0, page.limit)), total, next: uids[page.limit] };
    });
  }

  async findByNodeTasks(refs: readonly NodeTaskRef[]): Promise<readonly (TaskUid | undefined)[]> {
    checkBatch(refs, "node tasks");
    return this.#fast.read("find tasks by node task", () => refs.map((ref) => this.#taskOf(ref)));
  }

  async findByNodeTask(nodeId: NodeId, nodeTaskUid: NodeTaskUid): Promise<TaskUid | undefined> {
    return this.#fast.read("find a task by node task", () => this.#taskOf({ nodeId, nodeTaskUid }));
  }

  async applyNodeTaskUpdates(
    updates: readonly NodeTaskUpdate[],
    fence: FencingToken,
  ): Promise<NodeTaskUpdateResult> {
    checkNodeTaskUpdates(updates);
    return this.#fast.fencedWrite("record what nodes' task logs say", fence, () => {
      const changed = new Set<TaskUid>();
      const unknown: NodeTaskUpdate[] = [];
      for (const update of updates) {
        const uid = update.taskUid ?? this.#taskOf(update);
        if (uid === undefined || (update.taskUid !== undefined && this.#exists.get(uid) === undefined)) {
          unknown.push(update);
        } else if (this.#recordNodeTask(uid, nodeTaskOfUpdate(update))) {
          changed.add(uid);
        }
      }
      return { changed: this.#reader.many([...changed].sort((a, b) => a - b)), unknown };
    });
  }

  async openNodeTasks(
    nodeId: NodeId,
    page: { after?: NodeTaskUid; limit?: number } = {},
  ): Promise<readonly OpenNodeTask[]> {
    const { after = -1, limit = maxBatch } = page;
    checkInteger(limit, 1, maxOpenPage, "A page's limit");
    const records = this.#fast.read("list open node tasks", () =>
      this.#openNodeTasks.all(nodeId, after, limit),
    );
    return records.map((record) => ({
      taskUid: record.task_uid as TaskUid,
      nodeId,
      nodeTaskUid: record.node_task_uid as NodeTaskUid,
      status: decodeStatus(record.status, `task ${record.node_task_uid} of ${nodeId}`),
    }));
  }

  async countOpenNodeTasks(): Promise<ReadonlyMap<NodeId, number>> {
    const rows = this.#fast.read("count open node tasks", () => this.#countOpenNodeTasks.all());
    return new Map(rows.map((row) => [row.node_id as NodeId, row.n]));
  }

  async countOpen(): Promise<number> {
    return this.#fast.read("count open tasks", () => this.#countOpen.get()?.n ?? 0);
  }

  async delete(uids: readonly TaskUid[], fence: FencingToken): Promise<readonly TaskUid[]> {
    checkTaskBatch(uids, "task uids to delete");
    const ascending = [...new Set(uids)].sort((a, b) => a - b);
    return this.#fast.fencedWrite("delete tasks", fence, () =>
      ascending.filter((uid) => this.#deleteSettled.run(uid).changes > 0),
    );
  }

  #taskOf(ref: NodeTaskRef): TaskUid | undefined {
    return this.#find.get(ref.nodeId, ref.nodeTaskUid)?.task_uid as TaskUid | undefined;
  }

  #record(incoming: TaskRow): TaskRow {
    const stored = this.#reader.one(incoming.uid);
    const before = stored === undefined ? undefined : encodeTask(stored);
    const merged = stored === undefined ? incoming : mergeTask(stored, incoming);
    const after = encodeTask(merged);
    if (before === undefined) this.#insert.run(after);
    else if (!sameColumns(before, after)) this.#update.run(after);
    const nodeTasks = new Map(stored?.nodeTasks.map((nodeTask) => [keyOf(nodeTask), nodeTask]));
    for (const nodeTask of incoming.nodeTasks) {
      const known = nodeTasks.get(keyOf(nodeTask));
      nodeTasks.set(keyOf(nodeTask), this.#storeNodeTask(incoming.uid, known, nodeTask).row);
    }
    return { ...merged, nodeTasks: [...nodeTasks.values()].sort(compareNodeTasks) };
  }

  /** `Retention.pruneTasks`. */
  prune(rule: PruneRule, fence: FencingToken): Promise<number> {
    return this.#history.prune(rule, fence);
  }

  #recordNodeTask(uid: TaskUid, incoming: NodeTaskRow): boolean {
    const record = this.#selectNodeTask.get(uid, incoming.nodeId, incoming.nodeTaskUid);
    const known = record === undefined ? undefined : decodeNodeTask(record);
    return this.#storeNodeTask(uid, known, incoming).changed;
  }

  #storeNodeTask(
    uid: TaskUid,
    known: NodeTaskRow | undefined,
    incoming: NodeTaskRow,
  ): { row: NodeTaskRow; changed: boolean } {
    const row = known === undefined ? incoming : mergeNodeTask(known, incoming);
    const after = encodeNodeTask(uid, row);
    const changed = known === undefined || !sameColumns(encodeNodeTask(uid, known), after);
    if (changed) this.#upsertNodeTask.run(after);
    return { row, changed };
  }
}

function keyOf(ref: NodeTaskRef): string {
  return `${ref.nodeTaskUid} ${ref.nodeId}`;
}

function sameColumns<T extends object>(a: T, b: T): boolean {
  return (Object.keys(a) as (keyof T)[]).every((column) => a[column] === b[column]);
}
