import { resolve } from "node:path";
import { type Clock, createSystemWorld, type Timers } from "../../runtime/world.js";
import { canaryFormat, rolloverPolicyFormat, searchUiConfigFormat, tenantFormat } from "../feature-rows.js";
import { resolveLimits, type StoreLimits } from "../limits.js";
import { retentionOf } from "../retained-tables.js";
import type { TaskStore } from "../task-store.js";
import { tenantMapOf } from "../tenant-map.js";
import { SqliteAdminSessionsTable } from "./admin-sessions-table.js";
import { SqliteAliasesTable } from "./aliases-table.js";
import { SqliteCanaryRunsTable } from "./canary-runs-table.js";
import { SqliteCdcCursorsTable } from "./cdc-cursors-table.js";
import { SqliteCdcOverflow } from "./cdc-overflow.js";
import { Connection, type ConnectionOptions, openDatabase } from "./connection.js";
import { SqliteIdempotencyTable } from "./idempotency-table.js";
import { SqliteJobsTable } from "./jobs-table.js";
import { SqliteLeaseTable } from "./lease-table.js";
import { applyMigrations, migrate, packagedMigrations, readMigrations } from "./migrations.js";
import { SqliteNamedTable } from "./named-table.js";
import { SqliteNodeCursorsTable } from "./node-cursors-table.js";
import { SqliteNodeSettingsVersionsTable } from "./node-settings-versions-table.js";
import { SqliteRateLimits } from "./rate-limits.js";
import { SqliteScopedKeysTable } from "./scoped-keys-table.js";
import { SqliteSessionsTable } from "./sessions-table.js";
import { SqliteTasksTable } from "./tasks-table.js";
import { SqliteTopologyTable } from "./topology-table.js";
import { SqliteTransfer } from "./transfer.js";
import { SqliteWorkflowsTable } from "./workflows-table.js";

/** How to open a SQLite store. */
export interface SqliteTaskStoreOptions extends ConnectionOptions {
  /** The database file, created where it does not exist; `:memory:` for one that ends with the process. */
  readonly path: string;
  /** Decides when leases end. */
  readonly clock: Pick<Clock, "now">;
  /** Paces the looks for what other processes have written, while somebody listens; the system's unless given. */
  readonly timers?: Timers;
  readonly limits?: Partial<StoreLimits>;
  /** The directory of the schema's migrations; the package's own unless given. */
  readonly migrations?: string;
}

/**
 * Opens the store, creating it or bringing its schema up to date. Rejects, leaving the file as it was, with
 * `StoreTooNewError`, `StoreAlteredError` or `StoreForeignError` where it is not one that this program wrote.
 *
 * Two connections serve it: what other machines come to rely on (topology, leases, workflows, reserved task
 * uids) is on the disk when a call resolves; of the rest, a power cut can take the last moments, a crash of
 * the process nothing.
 */
export async function openSqliteTaskStore(options: SqliteTaskStoreOptions): Promise<TaskStore> {
  const limits = resolveLimits(options.limits);
  const connections = openConnections(options);
  const { durable, fast } = connections;
  try {
    const sessions = new SqliteSessionsTable(fast, options.clock, limits.sessions);
    const idempotency = new SqliteIdempotencyTable(fast, options.clock, limits.idempotencyKeys);
    const tasks = new SqliteTasksTable(durable, fast);
    const workflows = new SqliteWorkflowsTable(durable);
    const jobs = new SqliteJobsTable(fast, options.clock);
    const canaryRuns = new SqliteCanaryRunsTable(fast, limits.canaryRuns);
    const scopedKeys = new SqliteScopedKeysTable(fast, options.clock);
    const rateLimits = new SqliteRateLimits(fast, options.clock);
    const adminSessions = new SqliteAdminSessionsTable(fast, {
      clock: options.clock,
      timers: options.timers ?? createSystemWorld().timers,
      limit: limits.adminSessions,
    });
    return {
      topology: new SqliteTopologyTable(durable),
      lease: new SqliteLeaseTable(durable, options.clock),
      tasks,
      nodeCursors: new SqliteNodeCursorsTable(fast),
      nodeSettingsVersions: new SqliteNodeSettingsVersionsTable(fast),
      workflows,
      jobs,
      aliases: new SqliteAliasesTable(fast, limits.aliasHistory),
      sessions,
      idempotency,
      canaries: new SqliteNamedTable(fast, "canaries", canaryFormat),
      canaryRuns,
      cdcCursors: new SqliteCdcCursorsTable(fast),
      cdcOverflow: new SqliteCdcOverflow(fast, limits.cdcOverflowBytes),
      tenants: tenantMapOf(new SqliteNamedTable(fast, "tenant_map", tenantFormat)),
      rolloverPolicies: new SqliteNamedTable(fast, "rollover_policies", rolloverPolicyFormat),
      searchUiConfig: new SqliteNamedTable(fast, "search_ui_config", searchUiConfigFormat),
      scopedKeys,
      adminSessions,
      rateLimits,
      transfer: new SqliteTransfer(fast, locationOf(options.path), () => options.clock.now()),
      retention: retentionOf({
        tasks,
        workflows,
        jobs,
        canaryRuns,
        expiring: [sessions, idempotency, adminSessions, rateLimits, scopedKeys],
      }),
      compact: async (maxBytes) => {
        const bytesBefore = durable.bytes();
        if (bytesBefore > maxBytes) return { kind: "too-large", bytes: bytesBefore };
        durable.vacuum();
        return { kind: "compacted", bytesBefore, bytesAfter: durable.bytes() };
      },
      close: async () => {
        adminSessions.close();
        closeConnections(connections);
      },
    };
  } catch (error) {
    closeConnections(connections);
    throw error;
  }
}

interface Connections {
  readonly durable: Connection;
  readonly fast: Connection;
}

function openConnections(options: SqliteTaskStoreOptions): Connections {
  const migrations = readMigrations(options.migrations ?? packagedMigrations);
  const now = options.clock.now();
  if (options.path === ":memory:") {
    const db = openDatabase(options.path);
    applyMigrations(db, options.path, migrations, now);
    const only = new Connection(db, options.path, "NORMAL", options);
    return { durable: only, fast: only };
  }
  const path = locationOf(options.path);
  migrate(path, migrations, now);
  const durable = new Connection(openDatabase(path), path, "FULL", options);
  try {
    return { durable, fast: new Connection(openDatabase(path), path, "NORMAL", options) };
  } catch (error) {
    durable.close();
    throw error;
  }
}

function locationOf(path: string): string {
  return path === ":memory:" ? path : resolve(path);
}

function closeConnections({ durable, fast }: Connections): void {
  fast.close();
  if (durable !== fast) durable.close();
}
