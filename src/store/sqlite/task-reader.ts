import type { TaskUid } from "../ids.js";
import { decodeNodeTask, decodeTask, type NodeTaskRecord, type TaskRecord } from "../task-records.js";
import type { NodeTaskRow, TaskRow } from "../task-store.js";
import type { Connection } from "./connection.js";

/** Reads whole tasks, with their node tasks. Its methods run inside a transaction of the caller's. */
export class TaskReader {
  readonly #task;
  readonly #tasks;
  readonly #nodeTasks;
  readonly #nodeTasksOfMany;

  constructor(connection: Connection) {
    this.#task = connection.prepare<[number], TaskRecord>("SELECT * FROM tasks WHERE uid = ?");
    this.#tasks = connection.prepare<[string], TaskRecord>(
      `SELECT tasks.* FROM json_each(?) AS wanted CROSS JOIN tasks ON tasks.uid = wanted.value
       ORDER BY wanted.key`,
    );
    this.#nodeTasks = connection.prepare<[number], NodeTaskRecord>(
      "SELECT * FROM node_tasks WHERE task_uid = ? ORDER BY node_id, node_task_uid",
    );
    this.#nodeTasksOfMany = connection.prepare<[string], NodeTaskRecord>(
      `SELECT node_tasks.* FROM json_each(?) AS wanted
       CROSS JOIN node_tasks ON node_tasks.task_uid = wanted.value
       ORDER BY node_tasks.task_uid, node_id, node_task_uid`,
    );
  }

  /** The task; undefined where none is recorded. */
  one(uid: TaskUid): TaskRow | undefined {
    const record = this.#task.get(uid);
    return record === undefined ? undefined : decodeTask(record, this.nodeTasks(uid));
  }

  /** A task's node tasks, in ascending order of node id and node task uid. */
  nodeTasks(uid: TaskUid): NodeTaskRow[] {
    return this.#nodeTasks.all(uid).map(decodeNodeTask);
  }

  /** The recorded ones of `uids`, in their order. */
  many(uids: readonly TaskUid[]): TaskRow[] {
    if (uids.length === 0) return [];
    const wanted = JSON.stringify(uids);
    const nodeTasks = new Map<number, NodeTaskRow[]>();
    for (const record of this.#nodeTasksOfMany.all(wanted)) {
      const list = nodeTasks.get(record.task_uid);
      if (list === undefined) nodeTasks.set(record.task_uid, [decodeNodeTask(record)]);
      else list.push(decodeNodeTask(record));
    }
    return this.#tasks.all(wanted).map((record) => decodeTask(record, nodeTasks.get(record.uid) ?? []));
  }
}
