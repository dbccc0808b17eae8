import type { TaskUid } from "../ids.js";
import { isFinalStatus, type NodeTaskRow, type TaskRow } from "../task-store.js";
import type { Commit } from "./commit.js";
import { encodeTaskFields, type StoredTask, type TaskFields } from "./task-fields.js";
import { openMember, orderedUid, type TaskKeys, type TaskTime, taskTimes } from "./task-keys.js";

type Argument = string | number;

/** How the time of a task is called in its row. */
const memberOf = {
  enqueued: "enqueuedAt",
  started: "startedAt",
  finished: "finishedAt",
} as const satisfies Record<TaskTime, keyof TaskRow>;

/** What a commit adds to a zone. */
interface ZoneChange {
  tasks: number;
  readonly bounds: Record<TaskTime, { lowest: number; highest: number } | undefined>;
}

/**
 * Changes of rows, and what follows from them for everything that finds tasks. Gathered first, so that each key is
 * written once a commit, however many tasks it concerns.
 */
export class TaskChanges {
  readonly #keys: TaskKeys;
  readonly #rows = new Map<string, TaskFields>();
  readonly #deleted: string[] = [];
  readonly #removals = new Map<string, { command: string; key: string; args: Argument[] }>();
  readonly #additions = new Map<string, { command: string; key: string; args: Argument[] }>();
  readonly #counts = new Map<string, Map<string, number>>();
  readonly #zones = new Map<string, { key: string; field: string; change: ZoneChange }>();

  constructor(keys: TaskKeys) {
    this.#keys = keys;
  }

  /** Stores a task that is not there yet, or what differs from how it was read. */
  put(before: StoredTask | undefined, after: TaskRow): void {
    const key = this.#keys.row(after.uid);
    const fields = encodeTaskFields(after);
    const old = before?.fields ?? {};
    const changed = Object.entries(fields).filter(([name, value]) => old[name] !== value);
    const gone = Object.keys(old).filter((name) => fields[name] === undefined);
    if (changed.length === 0 && gone.length === 0) return;
    this.#rows.set(key, Object.fromEntries(changed));
    if (gone.length > 0) this.#remove("HDEL", key, ...gone);
    this.#find(before?.row, after, after.uid);
  }

  /** Deletes a task. */
  delete(before: StoredTask): void {
    const { uid } = before.row;
    this.#deleted.push(this.#keys.row(uid));
    this.#find(before.row, undefined, uid);
  }

  /** Writes them into a commit of `tasks-commit`. */
  writeTo(commit: Commit): void {
    const keys = this.#keys;
    if (this.#rows.size > 0) commit.write("REV", keys.rev, [1]);
    for (const { command, key, args } of this.#removals.values()) commit.write(command, key, args);
    for (const key of this.#deleted) commit.del(key);
    for (const [key, fields] of this.#rows) commit.write("ROW", key, Object.entries(fields).flat());
    for (const { command, key, args } of this.#additions.values()) commit.write(command, key, args);
    for (const [key, counts] of this.#counts) {
      const args = [...counts].filter(([, by]) => by !== 0).flat();
      if (args.length > 0) commit.write("COUNT", key, args);
    }
    for (const { key, field, change } of this.#zones.values()) {
      const bounds = taskTimes.flatMap((time) => [
        change.bounds[time]?.lowest ?? "",
        change.bounds[time]?.highest ?? "",
      ]);
      commit.write("ZONE", key, [field, change.tasks, ...bounds]);
    }
  }

  #find(before: TaskRow | undefined, after: TaskRow | undefined, uid: TaskUid): void {
    const keys = this.#keys;
    if (before === undefined) this.#add("ZADD", keys.index, uid, uid);
    if (after === undefined) this.#remove("ZREM", keys.index, uid);
    this.#findByKind(before, after, uid);
    this.#findByTimes(before, after, uid);
    const [canceledBy, nowCanceledBy] = [before?.canceledBy ?? null, after?.canceledBy ?? null];
    if (canceledBy !== nowCanceledBy) {
      if (canceledBy !== null) this.#remove("ZREM", keys.canceledBy(canceledBy), uid);
      if (nowCanceledBy !== null) this.#add("ZADD", keys.canceledBy(nowCanceledBy), uid, uid);
    }
    const old = new Map(before?.nodeTasks.map((nodeTask) => [nameOf(nodeTask), nodeTask]));
    for (const nodeTask of after?.nodeTasks ?? []) {
      this.#findByNode(old.get(nameOf(nodeTask)), nodeTask, uid);
      old.delete(nameOf(nodeTask));
    }
    for (const nodeTask of old.values()) this.#findByNode(nodeTask, undefined, uid);
  }

  #findByKind(before: TaskRow | undefined, after: TaskRow | undefined, uid: TaskUid): void {
    const was = before === undefined ? undefined : this.#keys.kind(before);
    const is = after === undefined ? undefined : this.#keys.kind(after);
    if (was?.key === is?.key) return;
    for (const [kind, row, by] of [
      [was, before, -1],
      [is, after, 1],
    ] as const) {
      if (kind === undefined || row === undefined) continue;
      if (by > 0) this.#add("ZADD", kind.key, uid, uid);
      else this.#remove("ZREM", kind.key, uid);
      this.#count(this.#keys.counts, kind.field, by);
      this.#count(this.#keys.counts, row.status, by);
    }
  }

  #findByTimes(before: TaskRow | undefined, after: TaskRow | undefined, uid: TaskUid): void {
    const zone: ZoneChange = {
      tasks: Number(after !== undefined) - Number(before !== undefined),
      bounds: { enqueued: undefined, started: undefined, finished: undefined },
    };
    let changed = zone.tasks !== 0;
    for (const time of taskTimes) {
      const was = before?.[memberOf[time]] ?? null;
      const is = after?.[memberOf[time]] ?? null;
      if (was === is) continue;
      changed = true;
      if (is === null) {
        this.#remove("ZREM", this.#keys.time(time), orderedUid(uid));
      } else {
        this.#add("ZADD", this.#keys.time(time), is, orderedUid(uid));
        zone.bounds[time] = { lowest: is, highest: is };
      }
    }
    if (!changed) return;
    for (const { key, field } of this.#keys.zone(uid)) this.#widen(key, field, zone);
  }

  #findByNode(before: NodeTaskRow | undefined, after: NodeTaskRow | undefined, uid: TaskUid): void {
    const nodeTask = after ?? before;
    if (nodeTask === undefined) return;
    const keys = this.#keys;
    const { key, field } = keys.lookup(nodeTask.nodeId, nodeTask.nodeTaskUid);
    if (before === undefined) this.#add("OWN", key, field, uid);
    if (after === undefined) this.#remove("DISOWN", key, field, uid);
    const was = before !== undefined && !isFinalStatus(before.status) ? openMember(uid, before) : undefined;
    const is = after !== undefined && !isFinalStatus(after.status) ? openMember(uid, after) : undefined;
    if (was === is) return;
    const open = keys.open(nodeTask.nodeId);
    if (was !== undefined) this.#remove("ZREM", open, was);
    if (is !== undefined) this.#add("ZADD", open, nodeTask.nodeTaskUid, is);
    this.#count(keys.openCounts, nodeTask.nodeId, Number(is !== undefined) - Number(was !== undefined));
  }

  #add(command: string, key: string, ...args: Argument[]): void {
    gather(this.#additions, command, key, args);
  }

  #remove(command: string, key: string, ...args: Argument[]): void {
    gather(this.#removals, command, key, args);
  }

  #count(key: string, field: string, by: number): void {
    const counts = this.#counts.get(key) ?? new Map<string, number>();
    this.#counts.set(key, counts.set(field, (counts.get(field) ?? 0) + by));
  }

  #widen(key: string, field: string, zone: ZoneChange): void {
    const name = `${key} ${field}`;
    const known = this.#zones.get(name);
    if (known === undefined) {
      this.#zones.set(name, { key, field, change: { tasks: zone.tasks, bounds: { ...zone.bounds } } });
      return;
    }
    known.change.tasks += zone.tasks;
    for (const time of taskTimes) {
      const [a, b] = [known.change.bounds[time], zone.bounds[time]];
      known.change.bounds[time] =
        a === undefined || b === undefined
          ? (a ?? b)
          : { lowest: Math.min(a.lowest, b.lowest), highest: Math.max(a.highest, b.highest) };
    }
  }
}

function gather(
  writes: Map<string, { command: string; key: string; args: Argument[] }>,
  command: string,
  key: string,
  args: readonly Argument[],
): void {
  const known = writes.get(`${command} ${key}`);
  if (known === undefined) writes.set(`${command} ${key}`, { command, key, args: [...args] });
  else known.args.push(...args);
}

function nameOf({ nodeId, nodeTaskUid }: NodeTaskRow): string {
  return `${nodeTaskUid} ${nodeId}`;
}
