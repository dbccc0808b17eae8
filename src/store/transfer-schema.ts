import { InvalidArgumentError } from "./errors.js";
import { type TransferRecord, type TransferTable, transferTables } from "./transfer.js";

/** What a column holds. `bytes` travel as base64; a question mark allows null. */
export type ColumnType = "integer" | "integer?" | "text" | "text?" | "bytes";

/** A column's value as it travels. */
export type TransferValue = string | number | null;

/** A row's columns, as SQL and the fields of Redis' hashes name them. */
export type Columns = Readonly<Record<string, ColumnType>>;

const progress: Columns = {
  status: "text",
  details_json: "text?",
  error_json: "text?",
  started_at: "integer?",
  finished_at: "integer?",
};

/** The columns of a task's node tasks, which travel inside it. */
export const nodeTaskColumns: Columns = {
  node_id: "text",
  node_task_uid: "integer",
  shards_json: "text?",
  ...progress,
};

/** Every column of every table that moves; for tasks beside their node tasks. */
export const transferColumns: Readonly<Record<TransferTable, Columns>> = {
  lease: { scope: "text", holder: "text?", term: "integer", expires_at: "integer" },
  topology: {
    cluster_id: "text",
    term: "integer",
    counter: "integer",
    content_hash: "text",
    document: "bytes",
  },
  task_uids: { next_uid: "integer" },
  tasks: {
    uid: "integer",
    index_uid: "text",
    instance: "text?",
    type: "text",
    enqueued_at: "integer",
    canceled_by: "integer?",
    custom_metadata: "text?",
    documents_by_shard_json: "text?",
    ...progress,
  },
  node_cursors: {
    node_id: "text",
    frontier_uid: "integer?",
    last_seen_uid: "integer?",
    identity: "text",
    updated_at: "integer",
  },
  node_settings_version: {
    instance: "text",
    node_id: "text",
    version: "integer",
    fingerprint: "text",
    updated_at: "integer",
  },
  workflows: {
    id: "text",
    kind: "text",
    step: "text",
    state_json: "text",
    created_at: "integer",
    updated_at: "integer",
    finished_at: "integer?",
  },
  jobs: {
    id: "text",
    type: "text",
    params_json: "text",
    state: "text",
    claimed_by: "text?",
    claim_expires_at: "integer?",
    progress_json: "text",
    attempts: "integer",
    max_attempts: "integer",
    run_after: "integer",
    cancel_requested: "integer",
    error: "text?",
    created_at: "integer",
    updated_at: "integer",
    finished_at: "integer?",
  },
  aliases: {
    name: "text",
    kind: "text",
    target_uids_json: "text",
    version: "integer",
    created_at: "integer",
    updated_at: "integer",
    history_json: "text",
  },
  sessions: {
    session_id: "text",
    last_write_task_uid: "integer?",
    last_write_at: "integer?",
    pinned_group: "integer?",
    min_settings_version: "integer",
    last_used_at: "integer",
    expires_at: "integer",
  },
  idempotency_cache: {
    key: "text",
    body_sha256: "bytes",
    task_uid: "integer",
    last_used_at: "integer",
    expires_at: "integer",
  },
  canaries: {
    id: "text",
    name: "text",
    index_uid: "text",
    interval_seconds: "integer",
    query_json: "text",
    assertions_json: "text",
    enabled: "integer",
    created_at: "integer",
    updated_at: "integer",
  },
  canary_runs: {
    canary_id: "text",
    ran_at: "integer",
    status: "text",
    latency_ms: "integer",
    failed_assertions_json: "text?",
  },
  cdc_cursors: { sink: "text", index_uid: "text", last_event_seq: "integer", updated_at: "integer" },
  cdc_sinks: {
    sink: "text",
    next_position: "integer",
    events: "integer",
    bytes: "integer",
    dropped_events: "integer",
    dropped_bytes: "integer",
  },
  cdc_overflow: { sink: "text", position: "integer", payload: "bytes" },
  tenant_map: { api_key_hash: "text", tenant_id: "text", group_id: "integer?" },
  rollover_policies: {
    name: "text",
    write_alias: "text",
    read_alias: "text",
    pattern: "text",
    triggers_json: "text",
    retention_json: "text",
    template_json: "text",
    enabled: "integer",
    updated_at: "integer",
  },
  search_ui_config: { index_uid: "text", config_json: "text", updated_at: "integer" },
  scoped_keys: {
    index_uid: "text",
    generation: "integer",
    primary_uid: "text",
    previous_uid: "text?",
    rotated_at: "integer",
  },
  admin_sessions: {
    session_id: "text",
    csrf_token: "text",
    admin_key_hash: "text",
    created_at: "integer",
    expires_at: "integer",
    revoked_at: "integer?",
    user_agent: "text?",
    source_ip: "text?",
  },
};

/**
 * Checks what an import is given: a known table not before the ones already seen, exactly its columns, each of its
 * type. Throws `InvalidArgumentError` that names the record.
 */
export class TransferChecker {
  #records = 0;
  #table = 0;

  check(record: TransferRecord): void {
    this.#records++;
    const where = `Record ${this.#records}`;
    const table = transferTables.indexOf(record.table);
    if (table < 0) throw new InvalidArgumentError(`${where} is of the unknown table "${record.table}".`);
    if (table < this.#table) {
      throw new InvalidArgumentError(
        `${where} is of table ${record.table}, which comes before ${transferTables[this.#table]}.`,
      );
    }
    this.#table = table;
    const { node_tasks: nodeTasks, ...row } = record.row;
    checkColumns(row, transferColumns[record.table], `${where} (${record.table})`);
    if (record.table !== "tasks" && nodeTasks === undefined) return;
    if (record.table !== "tasks" || !Array.isArray(nodeTasks)) {
      throw new InvalidArgumentError(`${where} (${record.table}) has node_tasks where none belong, or none.`);
    }
    for (const nodeTask of nodeTasks as unknown[]) {
      if (typeof nodeTask !== "object" || nodeTask === null) {
        throw new InvalidArgumentError(`${where} (tasks) has a node task that is no object.`);
      }
      checkColumns(nodeTask as Record<string, unknown>, nodeTaskColumns, `${where} (tasks, node_tasks)`);
    }
  }
}

/** The node tasks of a checked record of table `tasks`. */
export function nodeTasksOf(record: TransferRecord): readonly Readonly<Record<string, TransferValue>>[] {
  return record.row.node_tasks as readonly Readonly<Record<string, TransferValue>>[];
}

function checkColumns(row: Readonly<Record<string, unknown>>, columns: Columns, where: string): void {
  for (const name of Object.keys(row)) {
    if (!Object.hasOwn(columns, name)) {
      throw new InvalidArgumentError(`${where} has the unknown column "${name}".`);
    }
  }
  for (const [name, type] of Object.entries(columns)) {
    if (!isOfType(row[name], type)) {
      throw new InvalidArgumentError(`${where} has no ${type.replace("?", " or null")} in column "${name}".`);
    }
  }
}

function isOfType(value: unknown, type: ColumnType): boolean {
  switch (type) {
    case "integer":
      return Number.isSafeInteger(value);
    case "integer?":
      return value === null || Number.isSafeInteger(value);
    case "text":
      return typeof value === "string";
    case "text?":
      return value === null || typeof value === "string";
    case "bytes":
      return typeof value === "string" && Buffer.from(value, "base64").toString("base64") === value;
  }
}
