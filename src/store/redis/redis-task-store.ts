import type { Timers, World } from "../../runtime/world.js";
import type { StoreFaults } from "../faults.js";
import { canaryFormat, rolloverPolicyFormat, searchUiConfigFormat, tenantFormat } from "../feature-rows.js";
import { resolveLimits, type StoreLimits } from "../limits.js";
import { retentionOf } from "../retained-tables.js";
import type { RedisLocation } from "../store-location.js";
import type { TaskStore } from "../task-store.js";
import { tenantMapOf } from "../tenant-map.js";
import { RedisAdminSessionsTable } from "./admin-sessions-table.js";
import { RedisAliasesTable } from "./aliases-table.js";
import { RedisCanaryRunsTable } from "./canary-runs-table.js";
import { RedisCdcCursorsTable } from "./cdc-cursors-table.js";
import { RedisCdcOverflow } from "./cdc-overflow.js";
import type { RedisBackend } from "./commit.js";
import { RedisConnection, type RedisTls } from "./connection.js";
import { RedisIdempotencyTable } from "./idempotency-table.js";
import { aboutServer } from "./inspect.js";
import { RedisJobsTable } from "./jobs-table.js";
import { Keyspace } from "./keyspace.js";
import { RedisLeaseTable } from "./lease-table.js";
import { RedisNamedTable } from "./named-table.js";
import { RedisNodeCursorsTable } from "./node-cursors-table.js";
import { RedisNodeSettingsVersionsTable } from "./node-settings-versions-table.js";
import { RedisRateLimits } from "./rate-limits.js";
import { migrateKeyspace } from "./schema.js";
import { RedisScopedKeysTable } from "./scoped-keys-table.js";
import { checkServer } from "./server-checks.js";
import { RedisSessionsTable } from "./sessions-table.js";
import { RedisTasksTable } from "./tasks-table.js";
import { RedisTopologyTable } from "./topology-table.js";
import { RedisTransfer } from "./transfer.js";
import { RedisWorkflowsTable } from "./workflows-table.js";

/** How to open a Redis store. */
export interface RedisTaskStoreOptions {
  readonly location: RedisLocation;
  readonly world: Pick<World, "clock" | "timers">;
  readonly tls?: RedisTls;
  /** Milliseconds after which a call is given up; 5,000 unless given. */
  readonly deadlineMs?: number;
  readonly limits?: Partial<StoreLimits>;
  /** Whose clock decides when leases, claims and rows end; the server's unless given. For tests that move time. */
  readonly time?: "server" | "world";
  /** Told of settings of the server that put data at risk without making it useless. */
  readonly onWarning?: (warning: string) => void;
  /** For tests only. */
  readonly faults?: StoreFaults;
}

/**
 * Opens the store, creating its keyspace where there is none. Rejects, leaving it as it was, with
 * `StoreTooNewError`, `StoreAlteredError` or `StoreForeignError` where it is not one that this program wrote,
 * with `StoreHalfImportedError` where an import did not finish, and with `StoreUnsuitableError` where the server would
 * lose rows.
 *
 * What a resolved call wrote survives what the server's own settings promise: with `appendfsync always` the crash of
 * the server and a power cut, with `everysec` the crash of the process and all but the last second before a power cut.
 * A failover loses what had not reached the replica, unless `wait_replicas` covers it.
 */
export async function openRedisTaskStore(options: RedisTaskStoreOptions): Promise<TaskStore> {
  const { location, world, tls, deadlineMs, onWarning, faults, time = "server" } = options;
  const limits = resolveLimits(options.limits);
  const connection = new RedisConnection({
    location,
    clock: world.clock,
    timers: world.timers,
    ...(tls === undefined ? {} : { tls }),
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
    ...(faults === undefined ? {} : { faults }),
  });
  const backend: RedisBackend = {
    connection,
    keys: new Keyspace(location.keyPrefix),
    now: time === "server" ? () => "" : () => String(world.clock.now()),
  };
  try {
    await checkServer(connection, {
      waitReplicas: location.waitReplicas,
      ...(onWarning === undefined ? {} : { onWarning }),
    });
    await migrateKeyspace(backend);
    return assemble(backend, limits, { timers: world.timers, database: location.database });
  } catch (error) {
    await connection.close();
    throw error;
  }
}

function assemble(
  backend: RedisBackend,
  limits: StoreLimits,
  { timers, database }: { readonly timers: Timers; readonly database: number },
): TaskStore {
  const adminSessions = new RedisAdminSessionsTable(backend, {
    timers,
    database,
    limit: limits.adminSessions,
  });
  const sessions = new RedisSessionsTable(backend, limits.sessions);
  const idempotency = new RedisIdempotencyTable(backend, limits.idempotencyKeys);
  const tasks = new RedisTasksTable(backend);
  const workflows = new RedisWorkflowsTable(backend);
  const jobs = new RedisJobsTable(backend);
  const canaryRuns = new RedisCanaryRunsTable(backend, limits.canaryRuns);
  return {
    topology: new RedisTopologyTable(backend),
    lease: new RedisLeaseTable(backend),
    tasks,
    nodeCursors: new RedisNodeCursorsTable(backend),
    nodeSettingsVersions: new RedisNodeSettingsVersionsTable(backend),
    workflows,
    jobs,
    aliases: new RedisAliasesTable(backend, limits.aliasHistory),
    sessions,
    idempotency,
    canaries: new RedisNamedTable(backend, "canaries", canaryFormat, (commit, id) =>
      canaryRuns.deleteWith(commit, id),
    ),
    canaryRuns,
    cdcCursors: new RedisCdcCursorsTable(backend),
    cdcOverflow: new RedisCdcOverflow(backend, limits.cdcOverflowBytes),
    tenants: tenantMapOf(new RedisNamedTable(backend, "tenant_map", tenantFormat)),
    rolloverPolicies: new RedisNamedTable(backend, "rollover_policies", rolloverPolicyFormat),
    searchUiConfig: new RedisNamedTable(backend, "search_ui_config", searchUiConfigFormat),
    scopedKeys: new RedisScopedKeysTable(backend),
    adminSessions,
    rateLimits: new RedisRateLimits(backend),
    retention: retentionOf({
      tasks,
      workflows,
      jobs,
      canaryRuns,
      expiring: [sessions, idempotency, adminSessions],
    }),
    transfer: new RedisTransfer(backend),
    // Redis gives memory back as rows go.
    compact: async () => {
      const { bytes = 0 } = await aboutServer(backend);
      return { kind: "compacted", bytesBefore: bytes, bytesAfter: bytes };
    },
    close: async () => {
      adminSessions.close();
      await backend.connection.close();
    },
  };
}
