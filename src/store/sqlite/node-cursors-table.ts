import type { NodeId, NodeTaskUid } from "../ids.js";
import { checkBatch } from "../limits.js";
import { checkNodeCursor } from "../row-checks.js";
import type { FencingToken, NodeCursorRow, NodeCursorsTable } from "../task-store.js";
import type { Connection } from "./connection.js";

interface NodeCursorRecord {
  node_id: string;
  frontier_uid: number | null;
  last_seen_uid: number | null;
  identity: string;
  updated_at: number;
}

/** Audit frontiers on SQLite. */
export class SqliteNodeCursorsTable implements NodeCursorsTable {
  readonly #fast: Connection;
  readonly #select;
  readonly #selectAll;
  readonly #upsert;
  readonly #delete;

  constructor(fast: Connection) {
    this.#fast = fast;
    this.#select = fast.prepare<[string], NodeCursorRecord>("SELECT * FROM node_cursors WHERE node_id = ?");
    this.#selectAll = fast.prepare<[], NodeCursorRecord>("SELECT * FROM node_cursors ORDER BY node_id");
    this.#upsert = fast.prepare<[NodeCursorRecord]>(
      `INSERT INTO node_cursors (node_id, frontier_uid, last_seen_uid, identity, updated_at)
       VALUES (:node_id, :frontier_uid, :last_seen_uid, :identity, :updated_at)
       ON CONFLICT (node_id) DO UPDATE SET frontier_uid = excluded.frontier_uid,
         last_seen_uid = excluded.last_seen_uid, identity = excluded.identity,
         updated_at = excluded.updated_at`,
    );
    this.#delete = fast.prepare<[string]>("DELETE FROM node_cursors WHERE node_id = ?");
  }

  async get(nodeId: NodeId): Promise<NodeCursorRow | undefined> {
    const record = this.#fast.read("read a node's cursor", () => this.#select.get(nodeId));
    return record === undefined ? undefined : decode(record);
  }

  async list(): Promise<readonly NodeCursorRow[]> {
    return this.#fast.read("list the nodes' cursors", () => this.#selectAll.all()).map(decode);
  }

  async put(rows: readonly NodeCursorRow[], fence: FencingToken): Promise<void> {
    checkBatch(rows, "node cursors");
    rows.forEach(checkNodeCursor);
    this.#fast.fencedWrite("store the nodes' cursors", fence, () => {
      for (const row of rows) {
        this.#upsert.run({
          node_id: row.nodeId,
          frontier_uid: row.frontierUid,
          last_seen_uid: row.lastSeenUid,
          identity: row.identity,
          updated_at: row.updatedAt,
        });
      }
    });
  }

  async delete(nodeId: NodeId, fence: FencingToken): Promise<boolean> {
    return this.#fast.fencedWrite(
      "forget a node's cursor",
      fence,
      () => this.#delete.run(nodeId).changes > 0,
    );
  }
}

function decode(record: NodeCursorRecord): NodeCursorRow {
  return {
    nodeId: record.node_id as NodeId,
    frontierUid: record.frontier_uid as NodeTaskUid | null,
    lastSeenUid: record.last_seen_uid as NodeTaskUid | null,
    identity: record.identity,
    updatedAt: record.updated_at,
  };
}
