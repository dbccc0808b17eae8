import { StoreCorruptError } from "../errors.js";
import type { CheckProgress, FindingList, StoreFinding } from "../inspect.js";

import { isFinalStatus, jobStates, type TaskRow, type TaskUid } from "../task-store.js";
import type { RedisBackend } from "./commit.js";
import type { RedisTable } from "./keyspace.js";
import { openMember, orderedUid, TaskKeys, type TaskTime, taskTimes } from "./task-keys.js";
import { TaskReader } from "./task-reader.js";
import { timeMember, timePrefixLength } from "./time-order.js";

/** Entries of an index, and rows, that are looked at together. */
const pageRows = 500;

/** An index whose every entry names a row. Indexes of rows that end are left out: entries outlive such rows. */
interface NamedIndex {
  readonly table: RedisTable;
  readonly name: string;
  readonly parts?: readonly string[];
  /** Bytes of an entry before the row's id. */
  readonly prefix?: number;
  /** Entries are escaped as they stand in the row's key. */
  readonly escaped?: boolean;
}

const byName = (table: RedisTable, name = "index"): NamedIndex => ({ table, name });
const byTime = (table: RedisTable, name: string, ...parts: string[]): NamedIndex => ({
  table,
  name,
  parts,
  prefix: timePrefixLength,
});

const namedIndexes: readonly NamedIndex[] = [
  byName("leader_lease"),
  byName("tasks"),
  byName("node_cursors"),
  { table: "node_settings_version", name: "index", escaped: true },
  byTime("workflows", "index"),
  byTime("workflows", "open"),
  byTime("workflows", "finished"),
  ...jobStates.map((state) => byTime("jobs", "by_state", state)),
  byTime("jobs", "queued"),
  byTime("jobs", "claimed"),
  byTime("jobs", "finished"),
  byName("aliases"),
  byName("canaries"),
  byName("cdc_cursors", "sinks"),
  byName("cdc_overflow", "sinks"),
  byName("tenant_map"),
  byName("rollover_policies"),
  byName("search_ui_config"),
  byName("scoped_keys"),
];

const columnOf = {
  enqueued: "enqueuedAt",
  started: "startedAt",
  finished: "finishedAt",
} as const satisfies Record<TaskTime, keyof TaskRow>;

/** A place in an index that a row must have. */
interface Place {
  readonly index: string;
  readonly member: string;
  readonly id: string;
}

type Command = [name: string, ...args: (string | number)[]];

/** Compares the indexes of a keyspace with its rows, in steps of a few hundred; only reads. */
export class KeyspaceCheck {
  readonly #backend: RedisBackend;
  readonly #findings: FindingList;
  readonly #onProgress: (progress: CheckProgress) => void;
  readonly #taskKeys: TaskKeys;

  constructor(backend: RedisBackend, findings: FindingList, onProgress: (progress: CheckProgress) => void) {
    this.#backend = backend;
    this.#findings = findings;
    this.#onProgress = onProgress;
    this.#taskKeys = new TaskKeys(backend.keys);
  }

  async run(): Promise<void> {
    for (const index of namedIndexes) await this.#entriesNameRows(index);
    await this.#workflows();
    await this.#jobs();
    await this.#tasks();
  }

  async #entriesNameRows({ escaped, name, parts = [], prefix = 0, table }: NamedIndex): Promise<void> {
    const { keys } = this.#backend;
    const index = keys.index(table, name, ...parts);
    for await (const members of this.#members(index)) {
      const ids = members.map((member) => member.slice(prefix));
      const exists = await this.#ask(
        ids.map((id) => ["exists", escaped === true ? `${keys.table(table)}:${id}` : keys.row(table, id)]),
      );
      for (const [at, id] of ids.entries()) {
        if (exists[at] !== 1) this.#findings.add({ kind: "stray-index-entry", index, id });
      }
    }
  }

  async #workflows(): Promise<void> {
    const { keys } = this.#backend;
    const index = keys.index("workflows", "index");
    const [open, finished] = [keys.index("workflows", "open"), keys.index("workflows", "finished")];
    let rows = 0;
    for await (const members of this.#members(index)) {
      const ids = members.map((member) => member.slice(timePrefixLength));
      const ends = await this.#ask(ids.map((id) => ["hget", keys.row("workflows", id), "finished_at"]));
      rows += ids.length;
      await this.#expect(
        members.map((member, at) => {
          const id = ids[at] ?? "";
          const end = ends[at];
          return typeof end === "string"
            ? { index: finished, member: timeMember(Number(end), id), id }
            : { index: open, member, id };
        }),
      );
    }
    await this.#expectSize("workflows", "open and finished workflows", [open, finished], rows);
  }

  async #jobs(): Promise<void> {
    const { keys } = this.#backend;
    const ended: string[] = [];
    let endedRows = 0;
    for (const state of jobStates) {
      const index = keys.index("jobs", "by_state", state);
      const isOpen = state === "queued" || state === "in_progress";
      if (!isOpen) ended.push(index);
      for await (const members of this.#members(index)) {
        const ids = members.map((member) => member.slice(timePrefixLength));
        const states = await this.#ask(ids.map((id) => ["hget", keys.row("jobs", id), "state"]));
        for (const [at, id] of ids.entries()) {
          const stored = states[at];
          // A row that is missing was reported already.
          if (typeof stored === "string" && stored !== state) {
            this.#findings.add({ kind: "stray-index-entry", index, id });
          }
        }
        if (state === "in_progress") continue;
        if (!isOpen) endedRows += members.length;
        const place = keys.index("jobs", isOpen ? "queued" : "finished");
        await this.#expect(members.map((member, at) => ({ index: place, member, id: ids[at] ?? "" })));
      }
    }
    await this.#expectSize("jobs", "finished jobs", [keys.index("jobs", "finished")], endedRows);
  }

  async #tasks(): Promise<void> {
    const keys = this.#taskKeys;
    const reader = new TaskReader(this.#backend);
    const counts = new Map<string, number>();
    const times: Record<TaskTime, number> = { enqueued: 0, started: 0, finished: 0 };
    const open = new Map<string, number>();
    const count = (of: Map<string, number>, field: string): void => {
      of.set(field, (of.get(field) ?? 0) + 1);
    };
    let highest = -1;
    for await (const members of this.#members(keys.index)) {
      const places: Place[] = [];
      for (const task of await this.#readTasks(reader, members)) {
        const uid = String(task.uid);
        const kind = keys.kind(task);
        places.push({ index: kind.key, member: uid, id: uid });
        count(counts, kind.field);
        count(counts, task.status);
        highest = Math.max(highest, task.uid);
        for (const time of taskTimes) {
          if (task[columnOf[time]] === null) continue;
          times[time] += 1;
          places.push({ index: keys.time(time), member: orderedUid(task.uid), id: uid });
        }
        if (task.canceledBy !== null) {
          places.push({ index: keys.canceledBy(task.canceledBy), member: uid, id: uid });
        }
        for (const nodeTask of task.nodeTasks) {
          if (isFinalStatus(nodeTask.status)) continue;
          count(open, nodeTask.nodeId);
          places.push({ index: keys.open(nodeTask.nodeId), member: openMember(task.uid, nodeTask), id: uid });
        }
      }
      await this.#expect(places);
    }
    await this.#expectCounts("tasks", keys.counts, counts);
    await this.#expectCounts("open node tasks", keys.openCounts, open);
    for (const time of taskTimes) {
      await this.#expectSize("tasks", `tasks that were ${time}`, [keys.time(time)], times[time]);
    }
    for (const [node, rows] of open) {
      await this.#expectSize("tasks", `open node tasks of ${node}`, [keys.open(node)], rows);
    }
    const [next] = await this.#ask([["get", keys.nextUid]]);
    if (Number(next ?? 0) <= highest) {
      this.#wrong("task_uids", "task uids given out", Number(next ?? 0), highest + 1);
    }
  }

  /** The tasks of a page; where one of them cannot be read, they are read one by one to find which. */
  async #readTasks(reader: TaskReader, members: readonly string[]): Promise<readonly TaskRow[]> {
    const uids = members.map((member) => Number(member) as TaskUid);
    try {
      return await reader.many("check tasks", uids);
    } catch (error) {
      if (!(error instanceof StoreCorruptError)) throw error;
    }
    const tasks: TaskRow[] = [];
    for (const uid of uids) {
      try {
        tasks.push(...(await reader.many("check tasks", [uid])));
      } catch (error) {
        if (!(error instanceof StoreCorruptError)) throw error;
        this.#findings.add({
          kind: "unreadable-row",
          table: "tasks",
          id: String(uid),
          detail: error.message,
        });
      }
    }
    return tasks;
  }

  async #expect(places: readonly Place[]): Promise<void> {
    const scores = await this.#ask(places.map(({ index, member }) => ["zscore", index, member]));
    for (const [at, { index, id }] of places.entries()) {
      if (scores[at] === null) this.#findings.add({ kind: "missing-index-entry", index, id });
    }
  }

  /** Every row has its place already, so that a size above the rows' number means strays. */
  async #expectSize(table: string, of: string, indexes: readonly string[], rows: number): Promise<void> {
    const sizes = await this.#ask(indexes.map((index) => ["zcard", index]));
    const recorded = sizes.reduce<number>((sum, size) => sum + Number(size), 0);
    if (recorded !== rows) this.#wrong(table, of, recorded, rows);
  }

  async #expectCounts(what: string, key: string, counted: ReadonlyMap<string, number>): Promise<void> {
    const recorded = await this.#backend.connection.read("check counts", (client) => client.hgetall(key));
    for (const field of new Set([...Object.keys(recorded), ...counted.keys()])) {
      const [kept, rows] = [Number(recorded[field] ?? 0), counted.get(field) ?? 0];
      if (kept !== rows) this.#wrong("tasks", `${what} of ${field}`, kept, rows);
    }
  }

  #wrong(table: string, of: string, recorded: number, counted: number): void {
    const finding: StoreFinding = { kind: "wrong-count", table, of, recorded, counted };
    this.#findings.add(finding);
  }

  /** The members of a sorted set in its order, page by page. */
  async *#members(index: string): AsyncIterable<readonly string[]> {
    const [size] = await this.#ask([["zcard", index]]);
    for (let at = 0; ; at += pageRows) {
      const members = await this.#backend.connection.read("check an index", (client) =>
        client.zrange(index, at, at + pageRows - 1),
      );
      this.#findings.examined(members.length);
      this.#onProgress({ part: index, done: at + members.length, total: Number(size) });
      if (members.length > 0) yield members;
      if (members.length < pageRows) return;
    }
  }

  /** Sends commands together; their replies in their order. */
  async #ask(commands: readonly Command[]): Promise<unknown[]> {
    if (commands.length === 0) return [];
    return this.#backend.connection.read("check the store", async (client) => {
      const replies = await client.pipeline(commands.map((command) => [...command])).exec();
      return (replies ?? []).map(([error, reply]) => {
        if (error !== null) throw error;
        return reply;
      });
    });
  }
}
