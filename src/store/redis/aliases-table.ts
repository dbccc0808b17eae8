import {
  type AliasChange,
  checkAliasChange,
  checkAliasVersion,
  decodeAlias,
  encodeAlias,
  flipAlias,
} from "../alias-flip.js";
import type { AliasName } from "../ids.js";
import { checkedLimit } from "../limits.js";
import type { AliasesTable, AliasRow, FencingToken } from "../task-store.js";
import { type Commit, type RedisBackend, transact } from "./commit.js";
import { type FlatRow, RowFields } from "./row-fields.js";
import { listRows, readRows } from "./row-reader.js";

/** Aliases on Redis: a row an alias, and an index of them in the order of their names. */
export class RedisAliasesTable implements AliasesTable {
  readonly #backend: RedisBackend;
  readonly #index: string;
  readonly #maxHistory: number;

  /** `maxHistory`: how many former targets each alias keeps. */
  constructor(backend: RedisBackend, maxHistory: number) {
    this.#backend = backend;
    this.#index = backend.keys.index("aliases", "index");
    this.#maxHistory = maxHistory;
  }

  async get(name: AliasName): Promise<AliasRow | undefined> {
    const [row] = await readRows(this.#backend, "read an alias", [this.#row(name)]);
    return row === undefined ? undefined : decode(row);
  }

  async list(page: { after?: AliasName; limit?: number } = {}): Promise<readonly AliasRow[]> {
    const rows = await listRows(this.#backend, "list aliases", {
      table: "aliases",
      index: this.#index,
      limit: checkedLimit(page.limit, 1_000),
      ...(page.after === undefined ? {} : { after: page.after }),
    });
    return rows.map(decode);
  }

  async set(change: AliasChange, fence: FencingToken): Promise<AliasRow> {
    checkAliasChange(change);
    const { name } = change;
    const key = this.#row(name);
    return transact(this.#backend, "set an alias", { fence }, async (commit) => {
      const stored = await this.get(name);
      const next = flipAlias(stored, change, this.#maxHistory);
      expect(commit, key, stored)
        .hset(key, { ...encodeAlias(next) })
        .zadd(this.#index, 0, name);
      return next;
    });
  }

  async delete(name: AliasName, expectedVersion: number, fence: FencingToken): Promise<boolean> {
    const key = this.#row(name);
    return transact(this.#backend, "delete an alias", { fence }, async (commit) => {
      const stored = await this.get(name);
      if (stored === undefined) return false;
      checkAliasVersion(name, stored.version, expectedVersion);
      expect(commit, key, stored).del(key).zrem(this.#index, name);
      return true;
    });
  }

  #row(name: AliasName): string {
    return this.#backend.keys.row("aliases", name);
  }
}

/** Expects the alias to be as it was read, also where it was deleted and created again meanwhile. */
function expect(commit: Commit, key: string, stored: AliasRow | undefined): Commit {
  if (stored === undefined) return commit.expectAbsent(key);
  const record = encodeAlias(stored);
  return commit
    .expectField(key, "version", String(record.version))
    .expectField(key, "created_at", String(record.created_at))
    .expectField(key, "target_uids_json", record.target_uids_json);
}

function decode(row: FlatRow): AliasRow {
  const fields = new RowFields(row, "an alias");
  return decodeAlias({
    name: fields.text("name"),
    kind: fields.text("kind"),
    target_uids_json: fields.text("target_uids_json"),
    version: fields.integer("version"),
    created_at: fields.integer("created_at"),
    updated_at: fields.integer("updated_at"),
    history_json: fields.text("history_json"),
  });
}
