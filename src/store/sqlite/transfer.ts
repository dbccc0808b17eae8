import type Database from "better-sqlite3";
import { ConflictError, InvalidArgumentError } from "../errors.js";
import {
  type StoreRowCounts,
  type StoreTransfer,
  type TransferRecord,
  type TransferTable,
  transferTables,
} from "../transfer.js";
import {
  type Columns,
  nodeTaskColumns,
  nodeTasksOf,
  TransferChecker,
  type TransferValue,
  transferColumns,
} from "../transfer-schema.js";
import { type Connection, openDatabase, translateError } from "./connection.js";

type SqlValue = string | number | null | Buffer;
type SqlRow = Record<string, SqlValue>;
type TransferRow = TransferRecord["row"];

/** Rows between two calls of an import's `onProgress`. */
const progressStep = 1_000;
/** Tasks that an export holds in memory at once. */
const taskPage = 500;

/** What each table is called, how its rows are ordered, and which of them have ended. */
const sources: Readonly<Record<TransferTable, { table: string; order: string; live?: string }>> = {
  lease: { table: "leader_lease", order: "scope" },
  topology: { table: "topology", order: "id" },
  task_uids: { table: "task_uids", order: "id", live: "next_uid > 0" },
  tasks: { table: "tasks", order: "uid" },
  node_cursors: { table: "node_cursors", order: "node_id" },
  node_settings_version: { table: "node_settings_version", order: "instance, node_id" },
  workflows: { table: "workflows", order: "created_at, id" },
  jobs: { table: "jobs", order: "created_at, id" },
  aliases: { table: "aliases", order: "name" },
  sessions: { table: "sessions", order: "last_used_at, session_id", live: "expires_at > :now" },
  idempotency_cache: { table: "idempotency_cache", order: "last_used_at, key", live: "expires_at > :now" },
  canaries: { table: "canaries", order: "id" },
  canary_runs: { table: "canary_runs", order: "canary_id, ran_at" },
  cdc_cursors: { table: "cdc_cursors", order: "sink, index_uid" },
  cdc_sinks: { table: "cdc_sinks", order: "sink" },
  cdc_overflow: { table: "cdc_overflow", order: "sink, position" },
  tenant_map: { table: "tenant_map", order: "api_key_hash" },
  rollover_policies: { table: "rollover_policies", order: "name" },
  search_ui_config: { table: "search_ui_config", order: "index_uid" },
  scoped_keys: { table: "scoped_keys", order: "index_uid" },
  admin_sessions: { table: "admin_sessions", order: "expires_at, session_id", live: "expires_at > :now" },
};

/** Moves a SQLite store: out of one snapshot, into one transaction, each on a connection of its own. */
export class SqliteTransfer implements StoreTransfer {
  readonly #connection: Connection;
  readonly #path: string;
  readonly #now: () => number;

  /** `path` is the database's file; `:memory:` cannot be moved. */
  constructor(connection: Connection, path: string, now: () => number) {
    this.#connection = connection;
    this.#path = path;
    this.#now = now;
  }

  async count(): Promise<StoreRowCounts> {
    const bindings = { now: this.#now() };
    return this.#connection.read("count the store's rows", () =>
      countRows(
        (sql) => this.#connection.prepare<[typeof bindings], { n: number }>(sql).get(bindings)?.n ?? 0,
      ),
    );
  }

  async *export(): AsyncIterable<TransferRecord> {
    const db = this.#open();
    try {
      db.exec("BEGIN");
      const now = this.#now();
      for (const table of transferTables) {
        const rows = table === "tasks" ? tasksOf(db) : rowsOf(db, table, now);
        for (const row of rows) yield { table, row };
      }
      db.exec("COMMIT");
    } catch (error) {
      throw translateError(error, "export the store", this.#path, "certainly-aborted");
    } finally {
      db.close();
    }
  }

  async import(
    records: AsyncIterable<TransferRecord>,
    onProgress?: (rows: number) => void,
  ): Promise<StoreRowCounts> {
    const db = this.#open();
    try {
      db.pragma("synchronous = FULL");
      db.pragma("foreign_keys = ON");
      db.exec("BEGIN IMMEDIATE");
      refuseUnlessEmpty(db, this.#path, this.#now());
      const checker = new TransferChecker();
      const writer = new RowWriter(db);
      let rows = 0;
      for await (const record of records) {
        checker.check(record);
        writer.write(record);
        rows++;
        if (rows % progressStep === 0) onProgress?.(rows);
      }
      const counts = countRows(
        (sql) => db.prepare<[{ now: number }], { n: number }>(sql).get({ now: this.#now() })?.n ?? 0,
      );
      db.exec("COMMIT");
      onProgress?.(rows);
      return counts;
    } catch (error) {
      throw translateError(error, "import into the store", this.#path, "certainly-aborted");
    } finally {
      // Closing rolls back what was not committed.
      db.close();
    }
  }

  #open(): Database.Database {
    if (this.#path === ":memory:") {
      throw new InvalidArgumentError("A store in memory ends with its process; it cannot be moved.");
    }
    return openDatabase(this.#path);
  }
}

/** Inserts checked records. */
class RowWriter {
  readonly #db: Database.Database;
  readonly #statements = new Map<string, Database.Statement<[SqlRow]>>();

  constructor(db: Database.Database) {
    this.#db = db;
  }

  write(record: TransferRecord): void {
    const columns = transferColumns[record.table];
    const row = decode(record.row, columns);
    if (record.table === "topology") this.#insert("topology", { id: 1, ...row });
    else if (record.table === "task_uids") this.#insert("task_uids", { id: 1, ...row });
    else this.#insert(sources[record.table].table, row);
    if (record.table !== "tasks") return;
    for (const nodeTask of nodeTasksOf(record)) {
      this.#insert("node_tasks", { task_uid: row.uid ?? null, ...decode(nodeTask, nodeTaskColumns) });
    }
  }

  #insert(table: string, row: SqlRow): void {
    let statement = this.#statements.get(table);
    if (statement === undefined) {
      const columns = Object.keys(row);
      // The one row of task_uids is there from the start.
      statement = this.#db.prepare<[SqlRow]>(
        `INSERT ${table === "task_uids" ? "OR REPLACE " : ""}INTO ${table} (${columns.join(", ")})
         VALUES (${columns.map((column) => `:${column}`).join(", ")})`,
      );
      this.#statements.set(table, statement);
    }
    statement.run(row);
  }
}

function refuseUnlessEmpty(db: Database.Database, path: string, now: number): void {
  for (const table of transferTables) {
    const { table: name, live = "1" } = sources[table];
    const found = db
      .prepare<unknown[], { found: number }>(`SELECT EXISTS (SELECT 1 FROM ${name} WHERE ${live}) AS found`)
      .get(...(live.includes(":now") ? [{ now }] : []));
    if (found?.found === 1) {
      throw new ConflictError(
        `The store ${path} is not empty: it has rows in ${name}. Import into a new store; nothing was changed.`,
      );
    }
  }
}

function countRows(count: (sql: string) => number): StoreRowCounts {
  return countLiveRows(count) as StoreRowCounts;
}

/** Rows by table; `count` runs a statement that takes `:now` and gives `n`. A table that is not there is left out. */
export function countLiveRows(
  count: (sql: string) => number,
  isThere: (table: string) => boolean = () => true,
): Partial<StoreRowCounts> {
  const entries = transferTables.flatMap((table) => {
    const { table: name, live = "1" } = sources[table];
    if (!isThere(name)) return [];
    // Every statement takes :now, whether or not rows of its table end.
    return [[table, count(`SELECT count(*) AS n FROM ${name} WHERE ${live} AND :now IS NOT NULL`)] as const];
  });
  return Object.fromEntries(entries);
}

function* rowsOf(db: Database.Database, table: TransferTable, now: number): Iterable<TransferRow> {
  const columns = transferColumns[table];
  const { table: name, order, live = "1" } = sources[table];
  const rows = db
    .prepare<unknown[], SqlRow>(`SELECT ${names(columns)} FROM ${name} WHERE ${live} ORDER BY ${order}`)
    .iterate(...(live.includes(":now") ? [{ now }] : []));
  for (const row of rows) yield encode(row, columns);
}

/** Tasks with their node tasks, in pages: a connection runs nothing else while it iterates. */
function* tasksOf(db: Database.Database): Iterable<TransferRow> {
  const page = db.prepare<[number, number], SqlRow>(
    `SELECT ${names(transferColumns.tasks)} FROM tasks WHERE uid > ? ORDER BY uid LIMIT ?`,
  );
  const nodeTasks = db.prepare<[SqlValue], SqlRow>(
    `SELECT ${names(nodeTaskColumns)} FROM node_tasks WHERE task_uid = ? ORDER BY node_id, node_task_uid`,
  );
  let last = -1;
  for (;;) {
    const tasks = page.all(last, taskPage);
    for (const task of tasks) {
      const own = nodeTasks.all(task.uid ?? null).map((nodeTask) => encode(nodeTask, nodeTaskColumns));
      yield { ...encode(task, transferColumns.tasks), node_tasks: own };
    }
    if (tasks.length < taskPage) return;
    last = Number(tasks.at(-1)?.uid);
  }
}

function names(columns: Columns): string {
  return Object.keys(columns).join(", ");
}

function encode(row: SqlRow, columns: Columns): Record<string, TransferValue> {
  const encoded: Record<string, TransferValue> = {};
  for (const column of Object.keys(columns)) {
    const value = row[column] ?? null;
    encoded[column] = Buffer.isBuffer(value) ? value.toString("base64") : value;
  }
  return encoded;
}

function decode(row: Readonly<Record<string, unknown>>, columns: Columns): SqlRow {
  const decoded: SqlRow = {};
  for (const [column, type] of Object.entries(columns)) {
    const value = (row[column] ?? null) as TransferValue;
    decoded[column] = type === "bytes" && typeof value === "string" ? Buffer.from(value, "base64") : value;
  }
  return decoded;
}
