import type { IndexInstance, NodeId } from "../ids.js";
import type { FencingToken } from "./lease.js";

/** The settings version that an index's replica on a node is known to have. */
export interface NodeSettingsVersionRow {
  readonly instance: IndexInstance;
  readonly nodeId: NodeId;
  readonly version: number;
  /** Canonical fingerprint of the settings read back from the node. */
  readonly fingerprint: string;
  readonly updatedAt: number;
}

/** Settings versions, a row an (index instance, node). */
export interface NodeSettingsVersionsTable {
  /** In ascending order of node id. */
  listByInstance(instance: IndexInstance): Promise<readonly NodeSettingsVersionRow[]>;
  /** In ascending order of instance, then node id. */
  list(): Promise<readonly NodeSettingsVersionRow[]>;
  /** Inserts or replaces; a version never goes back: an older one than the recorded one is ignored. */
  put(rows: readonly NodeSettingsVersionRow[], fence: FencingToken): Promise<void>;
  /** Forgets an index's instance, or its replica on one node. Returns how many rows went. */
  delete(instance: IndexInstance, nodeId: NodeId | undefined, fence: FencingToken): Promise<number>;
}
