import { checkBatch, checkedLimit } from "../limits.js";
import { checkName, type RowFormat } from "../row-format.js";
import type { FencingToken } from "../task-store.js";
import { type Commit, type RedisBackend, transact } from "./commit.js";
import type { RedisTable } from "./keyspace.js";
import { type FlatRow, presentFields, RowFields } from "./row-fields.js";
import { listRows, readRows } from "./row-reader.js";

/** A table on Redis whose rows have one text as their key: a hash a row, and an index of the keys in their order. */
export class RedisNamedTable<Row, Id extends string> {
  readonly #backend: RedisBackend;
  readonly #table: RedisTable;
  readonly #format: RowFormat<Row>;
  readonly #index: string;
  readonly #alsoDelete: (commit: Commit, id: Id) => void;

  /** `alsoDelete` adds to a deletion what goes along with the row. */
  constructor(
    backend: RedisBackend,
    table: RedisTable,
    format: RowFormat<Row>,
    alsoDelete: (commit: Commit, id: Id) => void = () => undefined,
  ) {
    this.#backend = backend;
    this.#table = table;
    this.#format = format;
    this.#index = backend.keys.index(table, "index");
    this.#alsoDelete = alsoDelete;
  }

  /** The row of that key. */
  async get(id: Id): Promise<Row | undefined> {
    const { one, key } = this.#format;
    checkName(id, `The ${key} of ${one}`);
    const [row] = await readRows(this.#backend, `read ${one}`, [this.#row(id)]);
    return row === undefined ? undefined : this.#decode(row);
  }

  /** In ascending order of key, byte by byte. */
  async list(page: { after?: Id; limit?: number } = {}): Promise<readonly Row[]> {
    const limit = checkedLimit(page.limit, 1_000);
    const rows = await listRows(this.#backend, `list ${this.#format.many}`, {
      table: this.#table,
      index: this.#index,
      limit,
      ...(page.after === undefined ? {} : { after: page.after }),
    });
    return rows.map((row) => this.#decode(row));
  }

  /** Inserts or replaces one row. */
  put(row: Row, fence: FencingToken): Promise<void> {
    return this.putAll([row], fence);
  }

  /** Inserts or replaces rows. */
  async putAll(rows: readonly Row[], fence: FencingToken): Promise<void> {
    const { one, many, kept, idOf } = this.#format;
    checkBatch(rows, many);
    for (const row of rows) this.#format.check(row);
    await transact(this.#backend, `store ${one}`, { fence }, async (commit) => {
      const keys = rows.map((row) => this.#row(idOf(row)));
      const recorded = kept.length === 0 ? [] : await readRows(this.#backend, `read ${one}`, keys);
      for (const [at, row] of rows.entries()) {
        const key = keys[at] ?? this.#row(idOf(row));
        const fields = { ...this.#format.encode(row), ...this.#keep(commit, key, recorded[at]) };
        commit.zadd(this.#index, 0, idOf(row)).del(key).hset(key, presentFields(fields));
      }
    });
  }

  /** False where there is none. */
  async delete(id: Id, fence: FencingToken): Promise<boolean> {
    const { one, key: column } = this.#format;
    checkName(id, `The ${column} of ${one}`);
    const key = this.#row(id);
    return transact(this.#backend, `delete ${one}`, { fence }, async (commit) => {
      const [row] = await readRows(this.#backend, `read ${one}`, [key]);
      if (row === undefined) return false;
      const recorded = new RowFields(row, one).textOrNull(column);
      commit
        .expectField(key, column, recorded ?? undefined)
        .del(key)
        .zrem(this.#index, id);
      this.#alsoDelete(commit, id);
      return true;
    });
  }

  /** The columns of the recorded row that stay, and the check that they are still those. */
  #keep(commit: Commit, key: string, recorded: FlatRow | undefined): Record<string, number> {
    const { one, kept } = this.#format;
    const values: Record<string, number> = {};
    for (const column of kept) {
      if (recorded === undefined) {
        commit.expectField(key, column, undefined);
        continue;
      }
      values[column] = new RowFields(recorded, one).integer(column);
      commit.expectField(key, column, String(values[column]));
    }
    return values;
  }

  #decode(row: FlatRow): Row {
    return this.#format.decode(new RowFields(row, this.#format.one));
  }

  #row(id: string): string {
    return this.#backend.keys.row(this.#table, id);
  }
}
