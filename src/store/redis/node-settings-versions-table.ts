import type { IndexInstance, NodeId } from "../ids.js";
import { checkBatch } from "../limits.js";
import { checkNodeSettingsVersion } from "../row-checks.js";
import type { FencingToken, NodeSettingsVersionRow, NodeSettingsVersionsTable } from "../task-store.js";
import { type RedisBackend, transact } from "./commit.js";
import { type FlatRow, RowFields } from "./row-fields.js";
import { listRows, readRows } from "./row-reader.js";

/**
 * Settings versions of replicas on Redis: a row an (instance, node), and an index whose members are the ends of the
 * rows' keys, so that those of one instance stand together.
 */
export class RedisNodeSettingsVersionsTable implements NodeSettingsVersionsTable {
  readonly #backend: RedisBackend;
  readonly #index: string;

  constructor(backend: RedisBackend) {
    this.#backend = backend;
    this.#index = backend.keys.index("node_settings_version", "index");
  }

  async listByInstance(instance: IndexInstance): Promise<readonly NodeSettingsVersionRow[]> {
    return this.#list("list an index's settings versions", this.#member(instance, ""));
  }

  async list(): Promise<readonly NodeSettingsVersionRow[]> {
    return this.#list("list settings versions", undefined);
  }

  async put(rows: readonly NodeSettingsVersionRow[], fence: FencingToken): Promise<void> {
    checkBatch(rows, "settings versions");
    rows.forEach(checkNodeSettingsVersion);
    const operation = "store settings versions";
    await transact(this.#backend, operation, { fence }, async (commit) => {
      const keys = rows.map((row) => this.#row(row.instance, row.nodeId));
      const stored = new Map<string, number>();
      for (const [at, flat] of (await readRows(this.#backend, operation, keys)).entries()) {
        const [row, key] = [rows[at], keys[at]];
        if (row === undefined || key === undefined) continue;
        const first = !stored.has(key);
        if (first && flat === undefined) commit.expectAbsent(key);
        if (first && flat !== undefined) {
          const { version } = decode(flat);
          commit.expectField(key, "version", String(version));
          stored.set(key, version);
        }
        if (row.version < (stored.get(key) ?? 0)) continue;
        stored.set(key, row.version);
        commit.zadd(this.#index, 0, this.#member(row.instance, row.nodeId)).hset(key, {
          instance: row.instance,
          node_id: row.nodeId,
          version: row.version,
          fingerprint: row.fingerprint,
          updated_at: row.updatedAt,
        });
      }
    });
  }

  async delete(instance: IndexInstance, nodeId: NodeId | undefined, fence: FencingToken): Promise<number> {
    return transact(this.#backend, "forget settings versions", { fence }, async (commit) => {
      const rows =
        nodeId === undefined ? await this.listByInstance(instance) : await this.#find(instance, nodeId);
      for (const row of rows) {
        const key = this.#row(row.instance, row.nodeId);
        commit.expectField(key, "version", String(row.version));
        commit.del(key).zrem(this.#index, this.#member(row.instance, row.nodeId));
      }
      return rows.length;
    });
  }

  async #find(instance: IndexInstance, nodeId: NodeId): Promise<NodeSettingsVersionRow[]> {
    const keys = [this.#row(instance, nodeId)];
    const [row] = await readRows(this.#backend, "read a settings version", keys);
    return row === undefined ? [] : [decode(row)];
  }

  async #list(operation: string, prefix: string | undefined): Promise<readonly NodeSettingsVersionRow[]> {
    const rows = await listRows(this.#backend, operation, {
      table: "node_settings_version",
      index: this.#index,
      id: "key",
      ...(prefix === undefined ? {} : { prefix }),
    });
    // What is escaped in keys stands elsewhere there than the ids themselves do.
    return rows
      .map(decode)
      .map((row) => ({ row, instance: Buffer.from(row.instance), nodeId: Buffer.from(row.nodeId) }))
      .sort((a, b) => a.instance.compare(b.instance) || a.nodeId.compare(b.nodeId))
      .map(({ row }) => row);
  }

  #row(instance: IndexInstance, nodeId: string): string {
    return this.#backend.keys.row("node_settings_version", instance, nodeId);
  }

  #member(instance: IndexInstance, nodeId: string): string {
    return this.#row(instance, nodeId).slice(this.#backend.keys.table("node_settings_version").length + 1);
  }
}

function decode(row: FlatRow): NodeSettingsVersionRow {
  const fields = new RowFields(row, "a settings version");
  return {
    instance: fields.text("instance") as IndexInstance,
    nodeId: fields.text("node_id") as NodeId,
    version: fields.integer("version"),
    fingerprint: fields.text("fingerprint"),
    updatedAt: fields.integer("updated_at"),
  };
}
