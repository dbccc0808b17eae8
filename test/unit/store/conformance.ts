import { describe } from "vitest";
import { describeAdminSessions } from "./cases/admin-sessions.js";
import { describeAliases } from "./cases/aliases.js";
import { describeCanaryRuns } from "./cases/canary-runs.js";
import { describeCdcCursors } from "./cases/cdc-cursors.js";
import { describeCdcOverflow } from "./cases/cdc-overflow.js";
import { describeCompaction } from "./cases/compaction.js";
import { describeContention } from "./cases/contention.js";
import { describeCrashes } from "./cases/crash.js";
import { describeFeatureTables } from "./cases/feature-tables.js";
import { describeFencing } from "./cases/fencing.js";
import { describeIdempotency } from "./cases/idempotency.js";
import { describeJobs } from "./cases/jobs.js";
import { describeLeases } from "./cases/leases.js";
import { describeListing } from "./cases/listing.js";
import { describeModel } from "./cases/model.js";
import { describeNodeTables } from "./cases/node-tables.js";
import { describeRateLimits } from "./cases/rate-limits.js";
import { describeRetention } from "./cases/retention.js";
import { describeScopedKeys } from "./cases/scoped-keys.js";
import { describeSessions } from "./cases/sessions.js";
import { describeTasks } from "./cases/tasks.js";
import { describeTopology } from "./cases/topology.js";
import { describeTransfer } from "./cases/transfer.js";
import { describeWorkflows } from "./cases/workflows.js";
import type { StoreFactory } from "./harness.js";

/** What each table promises, by cases. */
export function describeTables(factory: StoreFactory): void {
  describeFencing(factory);
  describeLeases(factory);
  describeJobs(factory);
  describeTasks(factory);
  describeListing(factory);
  describeRetention(factory);
  describeCompaction(factory);
  describeTopology(factory);
  describeNodeTables(factory);
  describeWorkflows(factory);
  describeAliases(factory);
  describeSessions(factory);
  describeIdempotency(factory);
  describeFeatureTables(factory);
  describeCanaryRuns(factory);
  describeCdcCursors(factory);
  describeCdcOverflow(factory);
  describeAdminSessions(factory);
  describeRateLimits(factory);
  describeScopedKeys(factory);
  describeTransfer(factory);
}

/** What every backend of `TaskStore` promises: its tables, long random runs, processes that fight and that die. */
export function describeTaskStore(name: string, factory: StoreFactory): void {
  describe(`task store on ${name}`, () => {
    describeTables(factory);
    describeModel(factory);
    describeContention(factory);
    describeCrashes(factory);
  });
}
