import {
  type AliasChange,
  type AliasRecord,
  checkAliasChange,
  checkAliasVersion,
  decodeAlias,
  encodeAlias,
  flipAlias,
} from "../alias-flip.js";
import type { AliasName } from "../ids.js";
import { checkedLimit } from "../limits.js";
import type { AliasesTable, AliasRow, FencingToken } from "../task-store.js";
import type { Connection } from "./connection.js";

/** Aliases on SQLite. */
export class SqliteAliasesTable implements AliasesTable {
  readonly #fast: Connection;
  readonly #maxHistory: number;
  readonly #select;
  readonly #selectPage;
  readonly #upsert;
  readonly #delete;

  /** `maxHistory`: how many former targets each alias keeps. */
  constructor(fast: Connection, maxHistory: number) {
    this.#fast = fast;
    this.#maxHistory = maxHistory;
    this.#select = fast.prepare<[string], AliasRecord>("SELECT * FROM aliases WHERE name = ?");
    this.#selectPage = fast.prepare<[string, number], AliasRecord>(
      "SELECT * FROM aliases WHERE name > ? ORDER BY name LIMIT ?",
    );
    this.#upsert = fast.prepare<[AliasRecord]>(
      `INSERT INTO aliases (name, kind, target_uids_json, version, created_at, updated_at, history_json)
       VALUES (:name, :kind, :target_uids_json, :version, :created_at, :updated_at, :history_json)
       ON CONFLICT (name) DO UPDATE SET target_uids_json = excluded.target_uids_json,
         version = excluded.version, updated_at = excluded.updated_at, history_json = excluded.history_json`,
    );
    this.#delete = fast.prepare<[string]>("DELETE FROM aliases WHERE name = ?");
  }

  async get(name: AliasName): Promise<AliasRow | undefined> {
    return this.#fast.read("read an alias", () => this.#load(name));
  }

  async list(page: { after?: AliasName; limit?: number } = {}): Promise<readonly AliasRow[]> {
    const limit = checkedLimit(page.limit, 1_000);
    // No name is empty.
    return this.#fast
      .read("list aliases", () => this.#selectPage.all(page.after ?? "", limit))
      .map(decodeAlias);
  }

  async set(change: AliasChange, fence: FencingToken): Promise<AliasRow> {
    checkAliasChange(change);
    return this.#fast.fencedWrite("set an alias", fence, () => {
      const next = flipAlias(this.#load(change.name), change, this.#maxHistory);
      this.#upsert.run(encodeAlias(next));
      return next;
    });
  }

  async delete(name: AliasName, expectedVersion: number, fence: FencingToken): Promise<boolean> {
    return this.#fast.fencedWrite("delete an alias", fence, () => {
      const stored = this.#load(name);
      if (stored === undefined) return false;
      checkAliasVersion(name, stored.version, expectedVersion);
      return this.#delete.run(name).changes > 0;
    });
  }

  #load(name: AliasName): AliasRow | undefined {
    const record = this.#select.get(name);
    return record === undefined ? undefined : decodeAlias(record);
  }
}
