import { checkBatch, checkedLimit } from "../limits.js";
import { checkName, type RowColumns, type RowFormat } from "../row-format.js";
import type { FencingToken } from "../task-store.js";
import type { Connection } from "./connection.js";
import { RecordColumns, type SqlRecord } from "./record-columns.js";

/** A table on SQLite whose rows have one text as their key. */
export class SqliteNamedTable<Row, Id extends string> {
  readonly #fast: Connection;
  readonly #format: RowFormat<Row>;
  readonly #select;
  readonly #page;
  readonly #upsert;
  readonly #delete;

  constructor(fast: Connection, table: string, format: RowFormat<Row>) {
    this.#fast = fast;
    this.#format = format;
    const { key, columns, kept } = format;
    const updates = columns
      .filter((column) => column !== key && !kept.includes(column))
      .map((column) => `${column} = excluded.${column}`);
    this.#select = fast.prepare<[string], SqlRecord>(`SELECT * FROM ${table} WHERE ${key} = ?`);
    this.#page = fast.prepare<[string, number], SqlRecord>(
      `SELECT * FROM ${table} WHERE ${key} > ? ORDER BY ${key} LIMIT ?`,
    );
    this.#upsert = fast.prepare<[RowColumns]>(
      `INSERT INTO ${table} (${columns.join(", ")}) VALUES (${columns.map((column) => `:${column}`).join(", ")})
       ON CONFLICT (${key}) DO UPDATE SET ${updates.join(", ")}`,
    );
    this.#delete = fast.prepare<[string]>(`DELETE FROM ${table} WHERE ${key} = ?`);
  }

  /** The row of that key. */
  async get(id: Id): Promise<Row | undefined> {
    const { one, key } = this.#format;
    checkName(id, `The ${key} of ${one}`);
    const record = this.#fast.read(`read ${one}`, () => this.#select.get(id));
    return record === undefined ? undefined : this.#decode(record);
  }

  /** In ascending order of key, byte by byte. */
  async list(page: { after?: Id; limit?: number } = {}): Promise<readonly Row[]> {
    const limit = checkedLimit(page.limit, 1_000);
    // No key is empty.
    const after = page.after ?? "";
    return this.#fast
      .read(`list ${this.#format.many}`, () => this.#page.all(after, limit))
      .map((record) => this.#decode(record));
  }

  /** Inserts or replaces one row. */
  put(row: Row, fence: FencingToken): Promise<void> {
    return this.putAll([row], fence);
  }

  /** Inserts or replaces rows. */
  async putAll(rows: readonly Row[], fence: FencingToken): Promise<void> {
    const { one, many } = this.#format;
    checkBatch(rows, many);
    for (const row of rows) this.#format.check(row);
    this.#fast.fencedWrite(`store ${one}`, fence, () => {
      for (const row of rows) this.#upsert.run(this.#format.encode(row));
    });
  }

  /** False where there is none. */
  async delete(id: Id, fence: FencingToken): Promise<boolean> {
    const { one, key } = this.#format;
    checkName(id, `The ${key} of ${one}`);
    return this.#fast.fencedWrite(`delete ${one}`, fence, () => this.#delete.run(id).changes > 0);
  }

  #decode(record: SqlRecord): Row {
    return this.#format.decode(new RecordColumns(record, this.#format.one));
  }
}
