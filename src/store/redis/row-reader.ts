import type { RedisBackend } from "./commit.js";
import type { RedisTable } from "./keyspace.js";
import type { FlatRow } from "./row-fields.js";

/** Rows that one script reads at most, so that it does not hold up others. */
const maxRowsAScript = 1_000;

/** Reads rows by their keys, in their order; undefined where there is none. Each thousand is one snapshot. */
export async function readRows(
  { connection }: RedisBackend,
  operation: string,
  keys: readonly string[],
): Promise<(FlatRow | undefined)[]> {
  const rows: (FlatRow | undefined)[] = [];
  for (let at = 0; at < keys.length; at += maxRowsAScript) {
    const some = keys.slice(at, at + maxRowsAScript);
    const replies = (await connection.run("read-rows", some, [], "read", operation)) as FlatRow[];
    for (const reply of replies) rows.push(reply.length === 0 ? undefined : reply);
  }
  return rows;
}

/** A part of an index whose members stand in the order of their bytes. */
export interface IndexRange {
  readonly table: RedisTable;
  /** The key of the index. */
  readonly index: string;
  /** Only members that begin with this. */
  readonly prefix?: string;
  /** Only members behind this one, in the order asked for. */
  readonly after?: string;
  readonly descending?: boolean;
  /** No bound unless given. */
  readonly limit?: number;
  /** How a member names its row: after so many bytes (0 unless given), or as the end of the row's key. */
  readonly id?: number | "key";
}

/** Reads the rows that a part of an index names, in its order. Each thousand is one snapshot. */
export async function listRows(
  { connection, keys }: RedisBackend,
  operation: string,
  range: IndexRange,
): Promise<FlatRow[]> {
  const { descending = false, limit = Number.POSITIVE_INFINITY, id = 0 } = range;
  const [first, last] = bounds(range.prefix);
  const rows: FlatRow[] = [];
  let { after } = range;
  while (rows.length < limit) {
    const reply = await connection.run(
      "list-rows",
      [range.index, keys.table(range.table)],
      [
        after === undefined || descending ? first : `(${after}`,
        after === undefined || !descending ? last : `(${after}`,
        descending ? "REV" : "",
        Math.min(maxRowsAScript, limit - rows.length),
        id,
      ],
      "read",
      operation,
    );
    const [next, found] = reply as [string, FlatRow[]];
    rows.push(...found);
    if (next === "") break;
    after = next;
  }
  return rows;
}

/** The first and the last member with a prefix, as ZRANGE BYLEX takes them. */
function bounds(prefix: string | undefined): [string, string | Buffer] {
  if (prefix === undefined) return ["-", "+"];
  // No UTF-8 has a byte 0xff: this stands behind all that begins with the prefix.
  return [`[${prefix}`, Buffer.concat([Buffer.from(`[${prefix}`), Buffer.of(0xff)])];
}
