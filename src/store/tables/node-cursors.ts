import type { NodeId, NodeTaskUid } from "../ids.js";
import type { FencingToken } from "./lease.js";

/** How far the audit of a node's task log has come. */
export interface NodeCursorRow {
  readonly nodeId: NodeId;
  /** Every task of the node up to and including this one is final and accounted for; null before the first. */
  readonly frontierUid: NodeTaskUid | null;
  /** The highest uid seen in the node's log; null before the first. */
  readonly lastSeenUid: NodeTaskUid | null;
  /** Tells the node's database from another one under the same address. */
  readonly identity: string;
  readonly updatedAt: number;
}

/** Audit frontiers, a row a node. */
export interface NodeCursorsTable {
  get(nodeId: NodeId): Promise<NodeCursorRow | undefined>;
  /** In ascending order of node id. */
  list(): Promise<readonly NodeCursorRow[]>;
  /** Inserts or replaces. */
  put(rows: readonly NodeCursorRow[], fence: FencingToken): Promise<void>;
  /** Forgets a node; false where it was not known. */
  delete(nodeId: NodeId, fence: FencingToken): Promise<boolean>;
}
