import { isDeepStrictEqual } from "node:util";
import type { TaskUid } from "../ids.js";
import { withNodeTask } from "../merge-task.js";
import type { NodeTaskRef, NodeTaskRow, TaskRow } from "../task-store.js";
import type { Commit } from "./commit.js";
import { TaskChanges } from "./task-changes.js";
import type { StoredTask } from "./task-fields.js";
import type { TaskKeys } from "./task-keys.js";
import { parseOwners } from "./task-reader.js";

/** The tasks that one change works on: as they were read, and as they become. */
export class TaskUpdates {
  readonly #keys: TaskKeys;
  /** Undefined for tasks that are not recorded. */
  readonly #before = new Map<TaskUid, StoredTask | undefined>();
  readonly #after = new Map<TaskUid, TaskRow>();
  /** The lookups that were read, by node task. */
  readonly #owners = new Map<string, { readonly ref: NodeTaskRef; readonly text: string; uids: TaskUid[] }>();

  constructor(keys: TaskKeys) {
    this.#keys = keys;
  }

  /** Takes over what was read of `uids`: `stored` has those that are recorded. */
  read(uids: readonly TaskUid[], stored: readonly StoredTask[]): void {
    for (const uid of uids) this.#before.set(uid, undefined);
    for (const task of stored) {
      this.#before.set(task.row.uid, task);
      this.#after.set(task.row.uid, task.row);
    }
  }

  /** Takes over what was read of the client tasks of a node task. */
  readOwners(ref: NodeTaskRef, text: string): void {
    this.#owners.set(nameOf(ref), { ref, text, uids: parseOwners(text) });
  }

  /** The task as it is now; undefined where none is recorded. */
  get(uid: TaskUid): TaskRow | undefined {
    return this.#after.get(uid);
  }

  /** The newest client task of a node task, what was put so far included. */
  ownerOf(ref: NodeTaskRef): TaskUid | undefined {
    return this.#owners.get(nameOf(ref))?.uids.at(-1);
  }

  /** Records a task as it is from now on. */
  put(row: TaskRow): void {
    this.#after.set(row.uid, row);
  }

  /** Merges a node task into a task; false where that changes nothing. */
  putNodeTask(row: TaskRow, nodeTask: NodeTaskRow): boolean {
    const after = withNodeTask(row, nodeTask);
    if (isDeepStrictEqual(after.nodeTasks, row.nodeTasks)) return false;
    this.put(after);
    const owners = this.#owners.get(nameOf(nodeTask));
    if (owners !== undefined && !owners.uids.includes(row.uid)) {
      owners.uids = [...owners.uids, row.uid].sort((a, b) => a - b);
    }
    return true;
  }

  /** Writes what became of the tasks, checked against all that was read. */
  writeTo(commit: Commit): void {
    const changes = new TaskChanges(this.#keys);
    for (const [uid, before] of this.#before) {
      commit.expectField(this.#keys.row(uid), "rev", before?.rev);
      const after = this.#after.get(uid);
      if (after !== undefined && after !== before?.row) changes.put(before, after);
    }
    for (const { ref, text } of this.#owners.values()) {
      const { key, field } = this.#keys.lookup(ref.nodeId, ref.nodeTaskUid);
      commit.expectField(key, field, text === "" ? undefined : text);
    }
    changes.writeTo(commit);
  }
}

function nameOf({ nodeId, nodeTaskUid }: NodeTaskRef): string {
  return `${nodeTaskUid} ${nodeId}`;
}
