import { checkCdcCursors } from "../cdc-rules.js";
import { StoreCorruptError } from "../errors.js";
import type { SinkName } from "../ids.js";
import { checkName } from "../row-format.js";
import type { CdcCursorRow, CdcCursorsTable, FencingToken } from "../task-store.js";
import { fencedError, leaseKey, type RedisBackend } from "./commit.js";

/**
 * Cursors of change data capture on Redis: a hash a sink, whose fields are indexes and whose values are
 * `<last event>:<updated at>`; and an index of the sinks in the order of their names.
 */
export class RedisCdcCursorsTable implements CdcCursorsTable {
  readonly #backend: RedisBackend;
  readonly #sinks: string;

  constructor(backend: RedisBackend) {
    this.#backend = backend;
    this.#sinks = backend.keys.index("cdc_cursors", "sinks");
  }

  async get(sink: SinkName, indexUid: string): Promise<CdcCursorRow | undefined> {
    checkName(sink, "A sink's name");
    checkName(indexUid, "An index's uid");
    const value = await this.#backend.connection.read("read a sink's cursor", (client) =>
      client.hget(this.#row(sink), indexUid),
    );
    return value === null ? undefined : decode(sink, indexUid, value);
  }

  async list(sink?: SinkName): Promise<readonly CdcCursorRow[]> {
    const { connection } = this.#backend;
    const sinks =
      sink === undefined
        ? await connection.read("list sinks' cursors", (client) => client.zrange(this.#sinks, 0, -1))
        : [sink];
    const rows: CdcCursorRow[] = [];
    for (const name of sinks as SinkName[]) {
      const cursors = await connection.read("list sinks' cursors", (client) =>
        client.hgetall(this.#row(name)),
      );
      const indexes = Object.entries(cursors).map(([indexUid, value]) => decode(name, indexUid, value));
      rows.push(...indexes.sort(byIndex));
    }
    return rows;
  }

  async advance(rows: readonly CdcCursorRow[], fence: FencingToken): Promise<void> {
    checkCdcCursors(rows);
    const { keys } = this.#backend;
    const sinks = [...new Set(rows.map(({ sink }) => sink))];
    const keyOf = new Map(sinks.map((sink, at) => [sink, at + 3]));
    await this.#write(
      "cdc-cursors-advance",
      [leaseKey(keys, fence.scope), this.#sinks, ...sinks.map((sink) => this.#row(sink))],
      rows.flatMap(({ sink, indexUid, lastEventSeq, updatedAt }) => [
        keyOf.get(sink) ?? 0,
        sink,
        indexUid,
        lastEventSeq,
        updatedAt,
      ]),
      "advance sinks' cursors",
      fence,
    );
  }

  async delete(sink: SinkName, indexUid: string | undefined, fence: FencingToken): Promise<number> {
    checkName(sink, "A sink's name");
    if (indexUid !== undefined) checkName(indexUid, "An index's uid");
    const { keys } = this.#backend;
    return this.#write(
      "cdc-cursors-delete",
      [leaseKey(keys, fence.scope), this.#sinks, this.#row(sink)],
      // No index has an empty name.
      [sink, indexUid ?? ""],
      "forget a sink's cursors",
      fence,
    );
  }

  async #write(
    script: string,
    keys: readonly string[],
    args: readonly (string | number)[],
    operation: string,
    fence: FencingToken,
  ): Promise<number> {
    const { connection } = this.#backend;
    const reply = await connection.run(script, keys, [fence.holder, fence.term, ...args], "write", operation);
    const [result, ...rest] = reply as [string, ...string[]];
    if (result === "fenced") throw fencedError(fence, rest);
    if (result === "corrupt") throw damaged(rest[0] ?? "", rest[1] ?? "", rest[2] ?? "");
    return Number(rest[0] ?? 0);
  }

  #row(sink: SinkName): string {
    return this.#backend.keys.row("cdc_cursors", sink);
  }
}

function decode(sink: SinkName, indexUid: string, value: string): CdcCursorRow {
  const [, seq, at] = /^(\d+):(-?\d+)$/.exec(value) ?? [];
  const [lastEventSeq, updatedAt] = [Number(seq ?? Number.NaN), Number(at ?? Number.NaN)];
  if (!Number.isSafeInteger(lastEventSeq) || !Number.isSafeInteger(updatedAt)) {
    throw damaged(sink, indexUid, value);
  }
  return { sink, indexUid, lastEventSeq, updatedAt };
}

function byIndex(a: CdcCursorRow, b: CdcCursorRow): number {
  return Buffer.compare(Buffer.from(a.indexUid), Buffer.from(b.indexUid));
}

function damaged(sink: string, indexUid: string, value: string): StoreCorruptError {
  return new StoreCorruptError(
    `the cursor of sink "${sink}" in index "${indexUid}" is "${value.slice(0, 40)}", which is none`,
  );
}
