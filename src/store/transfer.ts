/** The tables that a moved store carries, in the order in which they are written and read. */
export const transferTables = [
  "lease",
  "topology",
  "task_uids",
  "tasks",
  "node_cursors",
  "node_settings_version",
  "workflows",
  "jobs",
  "aliases",
  "sessions",
  "idempotency_cache",
  "canaries",
  "canary_runs",
  "cdc_cursors",
  "cdc_sinks",
  "cdc_overflow",
  "tenant_map",
  "rollover_policies",
  "search_ui_config",
  "scoped_keys",
  "admin_sessions",
] as const;
/** See {@link transferTables}. */
export type TransferTable = (typeof transferTables)[number];

/**
 * One row of a moved store, the same whichever backend it comes from: the columns of `transferColumns`, bytes as
 * base64; a task has its node tasks under `node_tasks`.
 */
export interface TransferRecord {
  readonly table: TransferTable;
  readonly row: Readonly<Record<string, unknown>>;
}

/** How many rows each table holds. */
export type StoreRowCounts = Readonly<Record<TransferTable, number>>;

/**
 * Reads and writes whole stores, to move one from a backend to another. What lives for seconds only (rate
 * limits, observations of scoped keys) stays behind. Fencing numbers move along, so that none is given twice.
 */
export interface StoreTransfer {
  /** Rows by table; what has ended is not counted. */
  count(): Promise<StoreRowCounts>;
  /**
   * Every row, table by table in the order of {@link transferTables}. On SQLite one snapshot; on Redis each
   * page is one, so that nothing may write meanwhile. Memory does not grow with the store.
   */
  export(): AsyncIterable<TransferRecord>;
  /**
   * Writes what `export` gave, in its order, into an empty store. Rejects with `ConflictError`, changing nothing,
   * where the store holds any row, and with `InvalidArgumentError` where a record is not one. On SQLite all of it is
   * one transaction; on Redis the store is marked as half imported until it has finished, and refuses to be opened.
   * Calls back with the number of rows written so far.
   */
  import(
    records: AsyncIterable<TransferRecord>,
    onProgress?: (rows: number) => void,
  ): Promise<StoreRowCounts>;
}
