import { StoreCorruptError } from "../errors.js";
import type { CanaryId, SinkName } from "../ids.js";
import { encodeJob } from "../job-record.js";
import { encodeNodeTask, encodeTask } from "../task-records.js";
import type { CanaryRunRow, JobRow, TaskRow, TaskUid } from "../task-store.js";
import type { StoreRowCounts, TransferRecord, TransferTable } from "../transfer.js";
import { type Columns, nodeTaskColumns, type TransferValue, transferColumns } from "../transfer-schema.js";
import { RedisCanaryRunsTable } from "./canary-runs-table.js";
import { RedisCdcCursorsTable } from "./cdc-cursors-table.js";
import type { RedisBackend } from "./commit.js";
import { RedisJobsTable } from "./jobs-table.js";
import type { RedisTable } from "./keyspace.js";
import { type FlatRow, RowFields } from "./row-fields.js";
import { TaskKeys } from "./task-keys.js";
import { TaskReader } from "./task-reader.js";
import { timePrefixLength } from "./time-order.js";

/** A row as it travels. */
export type TransferRow = TransferRecord["row"];

/** Rows that are read at once. */
const pageRows = 500;
/** Bytes of events that are read at once, at least. */
const pageEvents = 16;

/** How the rows of a table, which are hashes, are found. */
interface HashSource {
  readonly table: RedisTable;
  /** The sorted set that names them, in the order in which they travel. */
  readonly index: string;
  /** Bytes of a member before the id of its row. */
  readonly prefix?: number;
  /** Rows with `expires_at` that have ended stay behind. */
  readonly ends?: boolean;
}

const hashSources = {
  lease: { table: "leader_lease", index: "index" },
  node_cursors: { table: "node_cursors", index: "index" },
  workflows: { table: "workflows", index: "index", prefix: timePrefixLength },
  aliases: { table: "aliases", index: "index" },
  sessions: { table: "sessions", index: "by_use", ends: true },
  idempotency_cache: { table: "idempotency_cache", index: "by_use", ends: true },
  canaries: { table: "canaries", index: "index" },
  cdc_sinks: { table: "cdc_overflow", index: "sinks" },
  tenant_map: { table: "tenant_map", index: "index" },
  rollover_policies: { table: "rollover_policies", index: "index" },
  search_ui_config: { table: "search_ui_config", index: "index" },
  scoped_keys: { table: "scoped_keys", index: "index" },
  admin_sessions: { table: "admin_sessions", index: "expiry", ends: true },
} as const satisfies Partial<Record<TransferTable, HashSource>>;

/** Reads every table of a store on Redis as it travels. */
export class RedisTransferSources {
  readonly #backend: RedisBackend;
  readonly #taskKeys: TaskKeys;
  readonly #tasks: TaskReader;
  readonly #jobs: RedisJobsTable;
  readonly #runs: RedisCanaryRunsTable;
  readonly #cursors: RedisCdcCursorsTable;

  constructor(backend: RedisBackend) {
    this.#backend = backend;
    this.#taskKeys = new TaskKeys(backend.keys);
    this.#tasks = new TaskReader(backend);
    this.#jobs = new RedisJobsTable(backend);
    this.#runs = new RedisCanaryRunsTable(backend, 0);
    this.#cursors = new RedisCdcCursorsTable(backend);
  }

  /** The rows of a table, in the order in which they travel. */
  rows(table: TransferTable): AsyncIterable<TransferRow> {
    switch (table) {
      case "topology":
        return this.#topology();
      case "task_uids":
        return this.#taskUids();
      case "tasks":
        return this.#allTasks();
      case "node_settings_version":
        return this.#settingsVersions();
      case "jobs":
        return this.#allJobs();
      case "canary_runs":
        return this.#canaryRuns();
      case "cdc_cursors":
        return this.#cdcCursors();
      case "cdc_overflow":
        return this.#cdcEvents();
      default:
        return this.#hashes(hashSources[table], transferColumns[table]);
    }
  }

  /** How many rows each table has, of those that have not ended. */
  async count(): Promise<StoreRowCounts> {
    const { connection, keys } = this.#backend;
    const now = await this.now();
    const counts: Partial<Record<TransferTable, number>> = {};
    const members = (source: HashSource): Promise<number> =>
      connection.read("count rows", (client) => {
        const index = keys.index(source.table, source.index);
        if (source.ends !== true) return client.zcard(index);
        return client.zcount(
          keys.index(source.table, source.table === "admin_sessions" ? "expiry" : "by_expiry"),
          `(${now}`,
          "+inf",
        );
      });
    for (const [table, source] of Object.entries(hashSources)) {
      counts[table as keyof typeof hashSources] = await members(source);
    }
    const jobs = await this.#jobs.countByState();
    counts.jobs = Object.values(jobs).reduce((sum, count) => sum + count, 0);
    counts.tasks = await connection.read("count tasks", (client) => client.zcard(this.#taskKeys.index));
    counts.node_settings_version = await connection.read("count settings versions", (client) =>
      client.zcard(keys.index("node_settings_version", "index")),
    );
    // Few, or kept few: these are counted by reading them.
    for (const table of ["topology", "task_uids", "canary_runs", "cdc_cursors"] as const) {
      counts[table] = await length(this.rows(table));
    }
    let events = 0;
    for await (const sink of this.rows("cdc_sinks")) events += Number(sink.events);
    counts.cdc_overflow = events;
    return counts as StoreRowCounts;
  }

  /** The time that decides which rows have ended. */
  async now(): Promise<number> {
    const given = this.#backend.now();
    if (given !== "") return Number(given);
    const [seconds, microseconds] = await this.#backend.connection.read("ask for the time", (client) =>
      client.time(),
    );
    return Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000);
  }

  async *#hashes(source: HashSource, columns: Columns): AsyncIterable<TransferRow> {
    const { keys } = this.#backend;
    const now = source.ends === true ? await this.now() : 0;
    for await (const members of this.#members(keys.index(source.table, source.index))) {
      const ids = members.map((member) => member.slice(source.prefix ?? 0));
      const rows = await this.#readRows(ids.map((id) => keys.row(source.table, id)));
      for (const row of rows) {
        if (row.length === 0) continue;
        const encoded = encodeRow(row, columns, `a row of ${source.table}`);
        if (source.ends !== true || Number(encoded.expires_at) > now) yield encoded;
      }
    }
  }

  /** The members of a sorted set in its order, page by page. */
  async *#members(index: string): AsyncIterable<readonly string[]> {
    for (let at = 0; ; at += pageRows) {
      const members = await this.#backend.connection.read("list rows", (client) =>
        client.zrange(index, at, at + pageRows - 1),
      );
      if (members.length > 0) yield members;
      if (members.length < pageRows) return;
    }
  }

  async #readRows(keys: readonly string[]): Promise<readonly FlatRow[]> {
    const rows = await this.#backend.connection.runForBytes("read-rows", keys, [], "read", "read rows");
    return rows as FlatRow[];
  }

  async *#topology(): AsyncIterable<TransferRow> {
    const [row = []] = await this.#readRows([this.#backend.keys.row("topology", 1)]);
    if (row.length > 0) yield encodeRow(row, transferColumns.topology, "the topology");
  }

  async *#taskUids(): AsyncIterable<TransferRow> {
    const next = await this.#backend.connection.read("read the next task uid", (client) =>
      client.get(this.#taskKeys.nextUid),
    );
    if (next !== null && next !== "0") yield { next_uid: Number(next) };
  }

  async *#allTasks(): AsyncIterable<TransferRow> {
    for await (const members of this.#members(this.#taskKeys.index)) {
      const uids = members.map((member) => Number(member) as TaskUid);
      for (const task of await this.#tasks.many("read tasks", uids)) yield taskRow(task);
    }
  }

  async *#settingsVersions(): AsyncIterable<TransferRow> {
    const { keys } = this.#backend;
    const columns = transferColumns.node_settings_version;
    const rows: Record<string, TransferValue>[] = [];
    for await (const members of this.#members(keys.index("node_settings_version", "index"))) {
      const table = keys.table("node_settings_version");
      for (const row of await this.#readRows(members.map((member) => `${table}:${member}`))) {
        if (row.length > 0) rows.push(encodeRow(row, columns, "a settings version"));
      }
    }
    // What is escaped in keys stands elsewhere there than the ids themselves do.
    const bytes = (row: Record<string, TransferValue>, column: string): Buffer =>
      Buffer.from(String(row[column]));
    yield* rows.sort(
      (a, b) =>
        bytes(a, "instance").compare(bytes(b, "instance")) ||
        bytes(a, "node_id").compare(bytes(b, "node_id")),
    );
  }

  async *#allJobs(): AsyncIterable<TransferRow> {
    let after: JobRow | undefined;
    do {
      const jobs = await this.#jobs.list({ limit: pageRows, ...(after === undefined ? {} : { after }) });
      for (const job of jobs) yield { ...encodeJob(job) };
      after = jobs.length < pageRows ? undefined : jobs.at(-1);
    } while (after !== undefined);
  }

  async *#canaryRuns(): AsyncIterable<TransferRow> {
    const { keys } = this.#backend;
    for await (const ids of this.#members(keys.index("canaries", "index"))) {
      for (const id of ids) {
        const runs: CanaryRunRow[] = [];
        let before: number | undefined;
        do {
          const page = await this.#runs.list(id as CanaryId, {
            limit: pageRows,
            ...(before === undefined ? {} : { before }),
          });
          runs.push(...page);
          before = page.length < pageRows ? undefined : page.at(-1)?.ranAt;
        } while (before !== undefined);
        for (const run of runs.reverse()) {
          yield {
            canary_id: run.canaryId,
            ran_at: run.ranAt,
            status: run.status,
            latency_ms: run.latencyMs,
            failed_assertions_json: run.failedAssertionsJson,
          };
        }
      }
    }
  }

  async *#cdcCursors(): AsyncIterable<TransferRow> {
    for (const cursor of await this.#cursors.list()) {
      yield {
        sink: cursor.sink,
        index_uid: cursor.indexUid,
        last_event_seq: cursor.lastEventSeq,
        updated_at: cursor.updatedAt,
      };
    }
  }

  async *#cdcEvents(): AsyncIterable<TransferRow> {
    const { connection, keys } = this.#backend;
    for await (const sink of this.rows("cdc_sinks")) {
      const name = sink.sink as SinkName;
      let position = Number(sink.next_position) - Number(sink.events);
      for (let at = 0; ; at += pageEvents) {
        const payloads = await connection.read("read a sink's overflow", (client) =>
          client.lrangeBuffer(keys.index("cdc_overflow", "events", name), at, at + pageEvents - 1),
        );
        for (const payload of payloads) {
          yield { sink: name, position: position++, payload: payload.toString("base64") };
        }
        if (payloads.length < pageEvents) break;
      }
    }
  }
}

function taskRow(task: TaskRow): TransferRow {
  const columns = (record: object, names: Columns): Record<string, TransferValue> =>
    Object.fromEntries(
      Object.keys(names).map((name) => [name, (record as Record<string, TransferValue>)[name] ?? null]),
    );
  return {
    ...columns(encodeTask(task), transferColumns.tasks),
    node_tasks: task.nodeTasks.map((nodeTask) =>
      columns(encodeNodeTask(task.uid, nodeTask), nodeTaskColumns),
    ),
  };
}

function encodeRow(row: FlatRow, columns: Columns, what: string): Record<string, TransferValue> {
  const fields = new RowFields(row, what);
  const encoded: Record<string, TransferValue> = {};
  for (const [name, type] of Object.entries(columns)) {
    switch (type) {
      case "integer":
        encoded[name] = fields.integer(name);
        break;
      case "integer?":
        encoded[name] = fields.integerOrNull(name);
        break;
      case "text":
        encoded[name] = fields.text(name);
        break;
      case "text?":
        encoded[name] = fields.textOrNull(name);
        break;
      case "bytes":
        encoded[name] = Buffer.from(fields.bytes(name)).toString("base64");
        break;
      default:
        throw new StoreCorruptError(
          `${what} has a column of the unknown type ${String(type satisfies never)}`,
        );
    }
  }
  return encoded;
}

async function length(rows: AsyncIterable<unknown>): Promise<number> {
  let count = 0;
  for await (const _ of rows) count++;
  return count;
}
