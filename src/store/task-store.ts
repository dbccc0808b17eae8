import type { StoreCompaction } from "./compaction.js";
import type { AdminSessionsTable } from "./tables/admin-sessions.js";
import type { AliasesTable } from "./tables/aliases.js";
import type { CanariesTable, CanaryRunsTable } from "./tables/canaries.js";
import type { CdcCursorsTable, CdcOverflow } from "./tables/cdc.js";
import type { IdempotencyTable } from "./tables/idempotency.js";
import type { JobsTable } from "./tables/jobs.js";
import type { LeaseTable } from "./tables/lease.js";
import type { NodeCursorsTable } from "./tables/node-cursors.js";
import type { NodeSettingsVersionsTable } from "./tables/node-settings-versions.js";
import type { RateLimits } from "./tables/rate-limits.js";
import type { Retention } from "./tables/retention.js";
import type { RolloverPoliciesTable } from "./tables/rollover-policies.js";
import type { ScopedKeysTable, SearchUiConfigTable } from "./tables/search-ui.js";
import type { SessionsTable } from "./tables/sessions.js";
import type { TasksTable } from "./tables/tasks.js";
import type { TenantMapTable } from "./tables/tenants.js";
import type { TopologyTable } from "./tables/topology.js";
import type { WorkflowsTable } from "./tables/workflows.js";
import type { StoreTransfer } from "./transfer.js";

export * from "./compaction.js";
export * from "./errors.js";
export * from "./ids.js";
export * from "./tables/admin-sessions.js";
export * from "./tables/aliases.js";
export * from "./tables/canaries.js";
export * from "./tables/cdc.js";
export * from "./tables/idempotency.js";
export * from "./tables/jobs.js";
export * from "./tables/lease.js";
export * from "./tables/node-cursors.js";
export * from "./tables/node-settings-versions.js";
export * from "./tables/rate-limits.js";
export * from "./tables/retention.js";
export * from "./tables/rollover-policies.js";
export * from "./tables/search-ui.js";
export * from "./tables/sessions.js";
export * from "./tables/tasks.js";
export * from "./tables/tenants.js";
export * from "./tables/topology.js";
export * from "./tables/workflows.js";
export * from "./transfer.js";

/**
 * Everything of the control plane that survives a restart or is shared by several control processes.
 *
 * Each call is atomic: it is stored as a whole or not at all, and a call that has resolved is seen by every
 * later one. Calls that take a `fence` are a leader's writes and reject with `FencedError` under an old one
 * (invariant 3). Every rejection is a `StoreError`, whose `outcome` tells an aborted call from one that may
 * have been executed; none takes longer than the backend's deadline. Where a time decides (leases, claims,
 * sessions, limits), it is the store's own clock, never the caller's. Returned rows are the caller's to keep;
 * the store does not change them.
 */
export interface TaskStore {
  readonly topology: TopologyTable;
  readonly lease: LeaseTable;
  readonly tasks: TasksTable;
  readonly nodeCursors: NodeCursorsTable;
  readonly nodeSettingsVersions: NodeSettingsVersionsTable;
  readonly workflows: WorkflowsTable;
  readonly jobs: JobsTable;
  readonly aliases: AliasesTable;
  readonly sessions: SessionsTable;
  readonly idempotency: IdempotencyTable;
  readonly canaries: CanariesTable;
  readonly canaryRuns: CanaryRunsTable;
  readonly cdcCursors: CdcCursorsTable;
  readonly cdcOverflow: CdcOverflow;
  readonly tenants: TenantMapTable;
  readonly rolloverPolicies: RolloverPoliciesTable;
  readonly searchUiConfig: SearchUiConfigTable;
  readonly scopedKeys: ScopedKeysTable;
  readonly adminSessions: AdminSessionsTable;
  readonly rateLimits: RateLimits;
  readonly retention: Retention;
  readonly transfer: StoreTransfer;
  /**
   * Gives back the space that deleted rows have left, where the backend does not do so by itself. Other calls wait meanwhile, so a
   * store of more than `maxBytes` is left alone.
   */
  compact(maxBytes: number): Promise<StoreCompaction>;
  /** Gives the backend back. Calls after it reject with `StoreClosedError`; closing twice does nothing. */
  close(): Promise<void>;
}
