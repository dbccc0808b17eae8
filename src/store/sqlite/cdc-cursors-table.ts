import { checkCdcCursors } from "../cdc-rules.js";
import type { SinkName } from "../ids.js";
import { checkName, readAtLeast } from "../row-format.js";
import type { CdcCursorRow, CdcCursorsTable, FencingToken } from "../task-store.js";
import type { Connection } from "./connection.js";
import { RecordColumns, type SqlRecord } from "./record-columns.js";

/** Cursors of change data capture on SQLite. */
export class SqliteCdcCursorsTable implements CdcCursorsTable {
  readonly #fast: Connection;
  readonly #select;
  readonly #selectAll;
  readonly #selectSink;
  readonly #advance;
  readonly #delete;
  readonly #deleteSink;

  constructor(fast: Connection) {
    this.#fast = fast;
    this.#select = fast.prepare<[string, string], SqlRecord>(
      "SELECT * FROM cdc_cursors WHERE sink = ? AND index_uid = ?",
    );
    this.#selectAll = fast.prepare<[], SqlRecord>("SELECT * FROM cdc_cursors ORDER BY sink, index_uid");
    this.#selectSink = fast.prepare<[string], SqlRecord>(
      "SELECT * FROM cdc_cursors WHERE sink = ? ORDER BY index_uid",
    );
    this.#advance = fast.prepare<[SqlRecord]>(
      `INSERT INTO cdc_cursors (sink, index_uid, last_event_seq, updated_at)
       VALUES (:sink, :index_uid, :last_event_seq, :updated_at)
       ON CONFLICT (sink, index_uid) DO UPDATE SET last_event_seq = excluded.last_event_seq,
         updated_at = excluded.updated_at
       WHERE (excluded.last_event_seq, excluded.updated_at) > (last_event_seq, updated_at)`,
    );
    this.#delete = fast.prepare<[string, string]>("DELETE FROM cdc_cursors WHERE sink = ? AND index_uid = ?");
    this.#deleteSink = fast.prepare<[string]>("DELETE FROM cdc_cursors WHERE sink = ?");
  }

  async get(sink: SinkName, indexUid: string): Promise<CdcCursorRow | undefined> {
    checkName(sink, "A sink's name");
    checkName(indexUid, "An index's uid");
    const record = this.#fast.read("read a sink's cursor", () => this.#select.get(sink, indexUid));
    return record === undefined ? undefined : decode(record);
  }

  async list(sink?: SinkName): Promise<readonly CdcCursorRow[]> {
    return this.#fast
      .read("list sinks' cursors", () =>
        sink === undefined ? this.#selectAll.all() : this.#selectSink.all(sink),
      )
      .map(decode);
  }

  async advance(rows: readonly CdcCursorRow[], fence: FencingToken): Promise<void> {
    checkCdcCursors(rows);
    this.#fast.fencedWrite("advance sinks' cursors", fence, () => {
      for (const { sink, indexUid, lastEventSeq, updatedAt } of rows) {
        this.#advance.run({
          sink,
          index_uid: indexUid,
          last_event_seq: lastEventSeq,
          updated_at: updatedAt,
        });
      }
    });
  }

  async delete(sink: SinkName, indexUid: string | undefined, fence: FencingToken): Promise<number> {
    checkName(sink, "A sink's name");
    if (indexUid !== undefined) checkName(indexUid, "An index's uid");
    return this.#fast.fencedWrite("forget a sink's cursors", fence, () =>
      indexUid === undefined ? this.#deleteSink.run(sink).changes : this.#delete.run(sink, indexUid).changes,
    );
  }
}

function decode(record: SqlRecord): CdcCursorRow {
  const columns = new RecordColumns(record, "a sink's cursor");
  return {
    sink: columns.text("sink") as SinkName,
    indexUid: columns.text("index_uid"),
    lastEventSeq: readAtLeast(columns, "last_event_seq", 0),
    updatedAt: columns.integer("updated_at"),
  };
}
