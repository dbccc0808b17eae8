import type { IndexInstance, NodeId } from "../ids.js";
import { checkBatch } from "../limits.js";
import { checkNodeSettingsVersion } from "../row-checks.js";
import type { FencingToken, NodeSettingsVersionRow, NodeSettingsVersionsTable } from "../task-store.js";
import type { Connection } from "./connection.js";

interface NodeSettingsVersionRecord {
  instance: string;
  node_id: string;
  version: number;
  fingerprint: string;
  updated_at: number;
}

/** Settings versions of replicas on SQLite. */
export class SqliteNodeSettingsVersionsTable implements NodeSettingsVersionsTable {
  readonly #fast: Connection;
  readonly #selectByInstance;
  readonly #selectAll;
  readonly #upsert;
  readonly #deleteInstance;
  readonly #deleteReplica;

  constructor(fast: Connection) {
    this.#fast = fast;
    this.#selectByInstance = fast.prepare<[string], NodeSettingsVersionRecord>(
      "SELECT * FROM node_settings_version WHERE instance = ? ORDER BY node_id",
    );
    this.#selectAll = fast.prepare<[], NodeSettingsVersionRecord>(
      "SELECT * FROM node_settings_version ORDER BY instance, node_id",
    );
    this.#upsert = fast.prepare<[NodeSettingsVersionRecord]>(
      `INSERT INTO node_settings_version (instance, node_id, version, fingerprint, updated_at)
       VALUES (:instance, :node_id, :version, :fingerprint, :updated_at)
       ON CONFLICT (instance, node_id) DO UPDATE SET version = excluded.version,
         fingerprint = excluded.fingerprint, updated_at = excluded.updated_at
       WHERE excluded.version >= version`,
    );
    this.#deleteInstance = fast.prepare<[string]>("DELETE FROM node_settings_version WHERE instance = ?");
    this.#deleteReplica = fast.prepare<[string, string]>(
      "DELETE FROM node_settings_version WHERE instance = ? AND node_id = ?",
    );
  }

  async listByInstance(instance: IndexInstance): Promise<readonly NodeSettingsVersionRow[]> {
    return this.#fast
      .read("list an index's settings versions", () => this.#selectByInstance.all(instance))
      .map(decode);
  }

  async list(): Promise<readonly NodeSettingsVersionRow[]> {
    return this.#fast.read("list settings versions", () => this.#selectAll.all()).map(decode);
  }

  async put(rows: readonly NodeSettingsVersionRow[], fence: FencingToken): Promise<void> {
    checkBatch(rows, "settings versions");
    rows.forEach(checkNodeSettingsVersion);
    this.#fast.fencedWrite("store settings versions", fence, () => {
      for (const row of rows) {
        this.#upsert.run({
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
    return this.#fast.fencedWrite("forget settings versions", fence, () => {
      const result =
        nodeId === undefined ? this.#deleteInstance.run(instance) : this.#deleteReplica.run(instance, nodeId);
      return result.changes;
    });
  }
}

function decode(record: NodeSettingsVersionRecord): NodeSettingsVersionRow {
  return {
    instance: record.instance as IndexInstance,
    nodeId: record.node_id as NodeId,
    version: record.version,
    fingerprint: record.fingerprint,
    updatedAt: record.updated_at,
  };
}
