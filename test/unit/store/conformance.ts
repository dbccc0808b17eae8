import { describe } from "vitest";
import { describeAliases } from "./cases/aliases.js";
import { describeCrashes } from "./cases/crash.js";
import { describeFeatureTables } from "./cases/feature-tables.js";
import { describeFencing } from "./cases/fencing.js";
import { describeIdempotency } from "./cases/idempotency.js";
import { describeJobs } from "./cases/jobs.js";
import { describeLeases } from "./cases/leases.js";
import { describeListing } from "./cases/listing.js";
import { describeModel } from "./cases/model.js";
import { describeRetention } from "./cases/retention.js";
import { describeSessions } from "./cases/sessions.js";
import { describeSmallTables } from "./cases/small-tables.js";
import { describeTasks } from "./cases/tasks.js";
import { describeTransfer } from "./cases/transfer.js";
import type { StoreFactory } from "./harness.js";

/** What every backend of `TaskStore` promises. */
export function describeTaskStore(name: string, factory: StoreFactory): void {
  describe(`task store on ${name}`, () => {
    describeFencing(factory);
    describeLeases(factory);
    describeJobs(factory);
    describeTasks(factory);
    describeListing(factory);
    describeRetention(factory);
    describeSmallTables(factory);
    describeAliases(factory);
    describeSessions(factory);
    describeIdempotency(factory);
    describeFeatureTables(factory);
    describeModel(factory);
    describeTransfer(factory);
    describeCrashes(factory);
  });
}
