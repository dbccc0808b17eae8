import type { CanaryId, TaskUid } from "../ids.js";
import type { JobRecord } from "../job-record.js";
import { decodeNodeTask, decodeTask, type NodeTaskRecord, type TaskRecord } from "../task-records.js";
import type { CanaryRunStatus } from "../task-store.js";
import type { TransferRecord, TransferTable } from "../transfer.js";
import { nodeTasksOf, type TransferValue, transferColumns } from "../transfer-schema.js";
import { encodeCanaryRun } from "./canary-runs-table.js";
import type { Commit } from "./commit.js";
import { jobIndexEntries } from "./jobs-table.js";
import type { Keyspace, RedisTable } from "./keyspace.js";
import { presentFields } from "./row-fields.js";
import { TaskChanges } from "./task-changes.js";
import { TaskKeys } from "./task-keys.js";
import { timeMember } from "./time-order.js";

type Row = Readonly<Record<string, TransferValue>>;

/** Tables whose rows are hashes with an index of their ids, and the columns of those ids. */
const named = {
  lease: ["leader_lease", "scope"],
  node_cursors: ["node_cursors", "node_id"],
  aliases: ["aliases", "name"],
  canaries: ["canaries", "id"],
  tenant_map: ["tenant_map", "api_key_hash"],
  rollover_policies: ["rollover_policies", "name"],
  search_ui_config: ["search_ui_config", "index_uid"],
  scoped_keys: ["scoped_keys", "index_uid"],
} as const satisfies Partial<Record<TransferTable, readonly [RedisTable, string]>>;

/** Puts checked records into commits of `tasks-commit`, each with everything that finds its row. */
export class RedisTransferWriters {
  readonly #keys: Keyspace;
  readonly #taskKeys: TaskKeys;
  readonly #now: number;
  readonly #canaries = new Set<string>();
  readonly #offsets = new Map<string, number>();

  /** `now`: what has ended by then is left out. */
  constructor(keys: Keyspace, now: number) {
    this.#keys = keys;
    this.#taskKeys = new TaskKeys(keys);
    this.#now = now;
  }

  /** Adds records to a commit. */
  write(commit: Commit, records: readonly TransferRecord[]): void {
    // Tasks that go together write each index once.
    const tasks = new TaskChanges(this.#taskKeys);
    for (const record of records) {
      if (record.table === "tasks") this.#task(tasks, record);
      else this.#row(commit, record.table, record.row as Row);
    }
    tasks.writeTo(commit);
  }

  #row(commit: Commit, table: Exclude<TransferTable, "tasks">, row: Row): void {
    const keys = this.#keys;
    switch (table) {
      case "topology":
        this.#hash(commit, keys.row("topology", 1), table, row);
        return;
      case "task_uids":
        commit.write("SET", this.#taskKeys.nextUid, [number(row.next_uid)]);
        return;
      case "node_settings_version": {
        const key = keys.row("node_settings_version", text(row.instance), text(row.node_id));
        this.#hash(commit, key, table, row);
        const member = key.slice(keys.table("node_settings_version").length + 1);
        commit.zadd(keys.index("node_settings_version", "index"), 0, member);
        return;
      }
      case "workflows":
        this.#workflow(commit, row);
        return;
      case "jobs":
        this.#hash(commit, keys.row("jobs", text(row.id)), table, row);
        for (const { key, score, member } of jobIndexEntries(keys, row as unknown as JobRecord)) {
          commit.zadd(key, score, member);
        }
        return;
      case "sessions":
        this.#recentlyUsed(commit, "sessions", text(row.session_id), row);
        return;
      case "idempotency_cache":
        this.#recentlyUsed(commit, "idempotency_cache", text(row.key), row);
        return;
      case "admin_sessions":
        this.#adminSession(commit, row);
        return;
      case "canary_runs":
        this.#canaryRun(commit, row);
        return;
      case "cdc_cursors":
        commit.hset(keys.row("cdc_cursors", text(row.sink)), {
          [text(row.index_uid)]: `${row.last_event_seq}:${row.updated_at}`,
        });
        commit.zadd(keys.index("cdc_cursors", "sinks"), 0, text(row.sink));
        return;
      case "cdc_sinks":
        this.#hash(commit, keys.row("cdc_overflow", text(row.sink)), table, row);
        commit.zadd(keys.index("cdc_overflow", "sinks"), 0, text(row.sink));
        return;
      case "cdc_overflow":
        this.#event(commit, row);
        return;
      default: {
        const [redisTable, id] = named[table];
        const name = text(row[id]);
        this.#hash(commit, keys.row(redisTable, name), table, row);
        commit.zadd(keys.index(redisTable, "index"), 0, name);
      }
    }
  }

  #hash(commit: Commit, key: string, table: TransferTable, row: Row): void {
    const columns = transferColumns[table];
    const fields = Object.entries(row).map(([name, value]) => {
      const isBytes = columns[name] === "bytes" && typeof value === "string";
      return [name, isBytes ? Buffer.from(value, "base64") : value] as const;
    });
    commit.hset(key, presentFields(Object.fromEntries(fields)));
  }

  #task(tasks: TaskChanges, record: TransferRecord): void {
    const { node_tasks: _, ...row } = record.row;
    const uid = number((row as Row).uid) as TaskUid;
    const nodeTasks = nodeTasksOf(record).map((nodeTask) =>
      decodeNodeTask({ task_uid: uid, ...nodeTask } as unknown as NodeTaskRecord),
    );
    tasks.put(undefined, decodeTask(row as unknown as TaskRecord, nodeTasks));
  }

  #workflow(commit: Commit, row: Row): void {
    const keys = this.#keys;
    const id = text(row.id);
    const created = timeMember(number(row.created_at), id);
    this.#hash(commit, keys.row("workflows", id), "workflows", row);
    commit.zadd(keys.index("workflows", "index"), 0, created);
    if (row.finished_at === null) commit.zadd(keys.index("workflows", "open"), 0, created);
    else commit.zadd(keys.index("workflows", "finished"), 0, timeMember(number(row.finished_at), id));
  }

  #recentlyUsed(commit: Commit, table: "sessions" | "idempotency_cache", id: string, row: Row): void {
    const [key, ends] = [this.#keys.row(table, id), number(row.expires_at)];
    if (ends <= this.#now) return;
    this.#hash(commit, key, table, row);
    commit.pexpire(key, ends - this.#now);
    commit.zadd(this.#keys.index(table, "by_expiry"), ends, id);
    commit.zadd(this.#keys.index(table, "by_use"), number(row.last_used_at), id);
  }

  #adminSession(commit: Commit, row: Row): void {
    const id = text(row.session_id);
    const [key, ends] = [this.#keys.row("admin_sessions", id), number(row.expires_at)];
    if (ends <= this.#now) return;
    const index = this.#keys.index("admin_sessions", "expiry");
    this.#hash(commit, key, "admin_sessions", row);
    commit.pexpire(key, ends - this.#now).zadd(index, ends, id);
    // They come in the order in which they end, so that the index stays as long as the last of them.
    commit.pexpire(index, ends - this.#now);
  }

  #canaryRun(commit: Commit, row: Row): void {
    const keys = this.#keys;
    const canaryId = text(row.canary_id) as CanaryId;
    const ranAt = number(row.ran_at);
    const entry = encodeCanaryRun({
      canaryId,
      ranAt,
      status: text(row.status) as CanaryRunStatus,
      latencyMs: number(row.latency_ms),
      failedAssertionsJson: row.failed_assertions_json as string | null,
    });
    commit.write("RPUSH", keys.row("canary_runs", canaryId), [entry]);
    if (this.#canaries.has(canaryId)) return;
    this.#canaries.add(canaryId);
    commit.zadd(keys.index("canary_runs", "oldest"), ranAt, canaryId);
  }

  #event(commit: Commit, row: Row): void {
    const sink = text(row.sink);
    const payload = Buffer.from(text(row.payload), "base64");
    const offset = this.#offsets.get(sink) ?? 0;
    this.#offsets.set(sink, offset + payload.length);
    commit.write("RPUSH", this.#keys.index("cdc_overflow", "events", sink), [payload]);
    commit.write("RPUSH", this.#keys.index("cdc_overflow", "offsets", sink), [offset]);
  }
}

function text(value: TransferValue | undefined): string {
  return String(value ?? "");
}

function number(value: TransferValue | undefined): number {
  return Number(value ?? 0);
}
