/** The names of the tables, as they stand in keys. */
export type RedisTable =
  | "leader_lease"
  | "topology"
  | "tasks"
  | "node_cursors"
  | "node_settings_version"
  | "workflows"
  | "jobs"
  | "aliases"
  | "sessions"
  | "idempotency_cache"
  | "canaries"
  | "canary_runs"
  | "cdc_cursors"
  | "cdc_overflow"
  | "tenant_map"
  | "rollover_policies"
  | "search_ui_config"
  | "scoped_keys"
  | "admin_sessions"
  | "rate_limits";

/**
 * Builds keys: `{<prefix>}:<table>:<id>` for a row, `{<prefix>}:<table>:_<name>` for an index beside rows. The
 * braces are a hash tag, which puts every key into one slot of a cluster. docs/reference/redis-keyspace.md
 * lists them all.
 */
export class Keyspace {
  /** `{<prefix>}`, which begins every key. */
  readonly tag: string;

  constructor(prefix: string) {
    this.tag = `{${prefix}}`;
  }

  /** Of a table's rows: `row` of that table with an id appended, as scripts build them. */
  table(table: RedisTable): string {
    return `${this.tag}:${table}`;
  }

  /** The key of a row. Ids of several parts never meet those of others: `:` in a part is escaped. */
  row(table: RedisTable, ...id: readonly (string | number)[]): string {
    const [first = "", ...rest] = id.map((part) => escapePart(String(part)));
    // Names of indexes begin with one underscore and a letter.
    const parts = [first.startsWith("_") ? `_${first}` : first, ...rest];
    return `${this.table(table)}:${parts.join(":")}`;
  }

  /** The key of an index beside a table's rows, `name` without its underscore; `parts` as for a row. */
  index(table: RedisTable, name: string, ...parts: readonly (string | number)[]): string {
    return [`${this.table(table)}:_${name}`, ...parts.map((part) => escapePart(String(part)))].join(":");
  }

  /** The hash that says which version of the keyspace this is. */
  get schemaVersion(): string {
    return `${this.tag}:schema_version`;
  }
}

function escapePart(part: string): string {
  return part.replaceAll("%", "%25").replaceAll(":", "%3A");
}
