import type { NodeId, NodeTaskUid } from "../ids.js";
import { checkBatch } from "../limits.js";
import { checkNodeCursor } from "../row-checks.js";
import type { FencingToken, NodeCursorRow, NodeCursorsTable } from "../task-store.js";
import { type RedisBackend, transact } from "./commit.js";
import { type FlatRow, presentFields, RowFields } from "./row-fields.js";
import { listRows, readRows } from "./row-reader.js";

/** Audit frontiers on Redis: a row a node, and an index of the nodes in the order of their ids. */
export class RedisNodeCursorsTable implements NodeCursorsTable {
  readonly #backend: RedisBackend;
  readonly #index: string;

  constructor(backend: RedisBackend) {
    this.#backend = backend;
    this.#index = backend.keys.index("node_cursors", "index");
  }

  async get(nodeId: NodeId): Promise<NodeCursorRow | undefined> {
    const [row] = await readRows(this.#backend, "read a node's cursor", [this.#row(nodeId)]);
    return row === undefined ? undefined : decode(row);
  }

  async list(): Promise<readonly NodeCursorRow[]> {
    const range = { table: "node_cursors", index: this.#index } as const;
    return (await listRows(this.#backend, "list the nodes' cursors", range)).map(decode);
  }

  async put(rows: readonly NodeCursorRow[], fence: FencingToken): Promise<void> {
    checkBatch(rows, "node cursors");
    rows.forEach(checkNodeCursor);
    await transact(this.#backend, "store the nodes' cursors", { fence }, async (commit) => {
      for (const row of rows) {
        const key = this.#row(row.nodeId);
        commit.zadd(this.#index, 0, row.nodeId);
        commit.del(key).hset(
          key,
          presentFields({
            node_id: row.nodeId,
            frontier_uid: row.frontierUid,
            last_seen_uid: row.lastSeenUid,
            identity: row.identity,
            updated_at: row.updatedAt,
          }),
        );
      }
    });
  }

  async delete(nodeId: NodeId, fence: FencingToken): Promise<boolean> {
    const key = this.#row(nodeId);
    return transact(this.#backend, "forget a node's cursor", { fence }, async (commit) => {
      const [row] = await readRows(this.#backend, "read a node's cursor", [key]);
      if (row === undefined) return false;
      commit.expectField(key, "node_id", nodeId).del(key).zrem(this.#index, nodeId);
      return true;
    });
  }

  #row(nodeId: NodeId): string {
    return this.#backend.keys.row("node_cursors", nodeId);
  }
}

function decode(row: FlatRow): NodeCursorRow {
  const fields = new RowFields(row, "a node's cursor");
  return {
    nodeId: fields.text("node_id") as NodeId,
    frontierUid: fields.integerOrNull("frontier_uid") as NodeTaskUid | null,
    lastSeenUid: fields.integerOrNull("last_seen_uid") as NodeTaskUid | null,
    identity: fields.text("identity"),
    updatedAt: fields.integer("updated_at"),
  };
}
