import { mkdirSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";

/** A stored row of the task log: its JSON and, until the task ends, what it is to work on. */
export interface StoredTask {
  readonly uid: number;
  readonly json: string;
  readonly payload: string | null;
}

/** A stored document: its internal id within its index and its JSON text. */
export interface StoredDocument {
  readonly id: number;
  readonly text: string;
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS tasks (uid INTEGER PRIMARY KEY, json TEXT NOT NULL, payload TEXT);
  CREATE TABLE IF NOT EXISTS batches (uid INTEGER PRIMARY KEY, json TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS indexes (slot INTEGER PRIMARY KEY, json TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS documents (
    slot INTEGER NOT NULL, id INTEGER NOT NULL, text TEXT NOT NULL, PRIMARY KEY (slot, id)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS keys (uid TEXT PRIMARY KEY, json TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
`;

/**
 * What a node keeps: tasks with their payloads, batches, indexes, documents and keys, in one SQLite file
 * (or in memory without a folder). A write that returned survives the process's `kill -9`.
 */
export class NodeStore {
  readonly #db: Database.Database;
  readonly #statements = new Map<string, Database.Statement>();

  /** Opens or creates the store in `folder`; `undefined` keeps everything in memory. */
  constructor(folder: string | undefined) {
    if (folder !== undefined) mkdirSync(folder, { recursive: true });
    this.#db = new Database(folder === undefined ? ":memory:" : join(folder, "embedded.sqlite"));
    this.#db.pragma("journal_mode = WAL");
    this.#db.pragma("synchronous = NORMAL");
    this.#db.exec(SCHEMA);
  }

  /** Runs `work` in one transaction: all of its writes last, or none. */
  transaction<T>(work: () => T): T {
    return this.#db.transaction(work)();
  }

  close(): void {
    this.#db.close();
  }

  meta(name: string): string | undefined {
    const row = this.#sql("SELECT value FROM meta WHERE name = ?").get(name) as { value: string } | undefined;
    return row?.value;
  }

  setMeta(name: string, value: string): void {
    this.#sql("INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value").run(
      name,
      value,
    );
  }

  tasks(): StoredTask[] {
    return this.#sql("SELECT uid, json, payload FROM tasks ORDER BY uid").all() as StoredTask[];
  }

  putTask(uid: number, json: string, payload: string | null): void {
    this.#sql("INSERT OR REPLACE INTO tasks VALUES (?, ?, ?)").run(uid, json, payload);
  }

  deleteTask(uid: number): void {
    this.#sql("DELETE FROM tasks WHERE uid = ?").run(uid);
  }

  batches(): { uid: number; json: string }[] {
    return this.#sql("SELECT uid, json FROM batches ORDER BY uid").all() as { uid: number; json: string }[];
  }

  putBatch(uid: number, json: string): void {
    this.#sql("INSERT OR REPLACE INTO batches VALUES (?, ?)").run(uid, json);
  }

  deleteBatch(uid: number): void {
    this.#sql("DELETE FROM batches WHERE uid = ?").run(uid);
  }

  indexes(): { slot: number; json: string }[] {
    return this.#sql("SELECT slot, json FROM indexes ORDER BY slot").all() as {
      slot: number;
      json: string;
    }[];
  }

  putIndex(slot: number, json: string): void {
    this.#sql("INSERT OR REPLACE INTO indexes VALUES (?, ?)").run(slot, json);
  }

  deleteIndex(slot: number): void {
    this.#sql("DELETE FROM indexes WHERE slot = ?").run(slot);
    this.clearDocuments(slot);
  }

  documents(slot: number): StoredDocument[] {
    return this.#sql("SELECT id, text FROM documents WHERE slot = ? ORDER BY id").all(
      slot,
    ) as StoredDocument[];
  }

  putDocument(slot: number, id: number, text: string): void {
    this.#sql("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)").run(slot, id, text);
  }

  deleteDocument(slot: number, id: number): void {
    this.#sql("DELETE FROM documents WHERE slot = ? AND id = ?").run(slot, id);
  }

  clearDocuments(slot: number): void {
    this.#sql("DELETE FROM documents WHERE slot = ?").run(slot);
  }

  keys(): { uid: string; json: string }[] {
    return this.#sql("SELECT uid, json FROM keys").all() as { uid: string; json: string }[];
  }

  putKey(uid: string, json: string): void {
    this.#sql("INSERT OR REPLACE INTO keys VALUES (?, ?)").run(uid, json);
  }

  deleteKey(uid: string): void {
    this.#sql("DELETE FROM keys WHERE uid = ?").run(uid);
  }

  #sql(source: string): Database.Statement {
    let statement = this.#statements.get(source);
    if (statement === undefined) {
      statement = this.#db.prepare(source);
      this.#statements.set(source, statement);
    }
    return statement;
  }
}
