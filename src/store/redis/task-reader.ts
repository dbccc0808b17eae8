import type { TaskUid } from "../ids.js";
import type { NodeTaskRef, TaskRow } from "../task-store.js";
import type { RedisBackend } from "./commit.js";
import { readRows } from "./row-reader.js";
import { decodeTaskFields, type StoredTask } from "./task-fields.js";
import { TaskKeys } from "./task-keys.js";

/** Lookups that one script makes at most. */
const maxLookups = 1_000;

/** Reads whole tasks. Each task is read in one step, each thousand of them too. */
export class TaskReader {
  readonly #backend: RedisBackend;
  readonly #keys: TaskKeys;

  constructor(backend: RedisBackend) {
    this.#backend = backend;
    this.#keys = new TaskKeys(backend.keys);
  }

  /** The recorded ones of `uids`, in their order, with what a commit checks. */
  async stored(operation: string, uids: readonly TaskUid[]): Promise<StoredTask[]> {
    const rows = await readRows(
      this.#backend,
      operation,
      uids.map((uid) => this.#keys.row(uid)),
    );
    return rows.flatMap((row, index) => {
      const uid = uids[index];
      return row === undefined || uid === undefined ? [] : [decodeTaskFields(uid, row)];
    });
  }

  /** The recorded ones of `uids`, in their order. */
  async many(operation: string, uids: readonly TaskUid[]): Promise<TaskRow[]> {
    return (await this.stored(operation, uids)).map(({ row }) => row);
  }

  /** The client tasks behind each node task in ascending order, as the text that a commit checks; '' for none. */
  async owners(operation: string, refs: readonly NodeTaskRef[]): Promise<string[]> {
    const owners: string[] = [];
    for (let at = 0; at < refs.length; at += maxLookups) {
      const lookups = refs
        .slice(at, at + maxLookups)
        .map(({ nodeId, nodeTaskUid }) => this.#keys.lookup(nodeId, nodeTaskUid));
      const found = await this.#backend.connection.run(
        "tasks-find",
        lookups.map(({ key }) => key),
        lookups.map(({ field }) => field),
        "read",
        operation,
      );
      owners.push(...(found as string[]));
    }
    return owners;
  }
}

/** The uids in a text of {@link TaskReader.owners}. */
export function parseOwners(text: string): TaskUid[] {
  return text === "" ? [] : text.split(",").map((uid) => Number(uid) as TaskUid);
}
