/** Opens a store that may not exist yet, tries for the lease once, and says what came of it. */
import { type BackendSpec, ManualClock, scope } from "./harness.js";
import { openBackend } from "./open-backend.js";

const [, , specJson, holder, now] = process.argv;
if (specJson === undefined || holder === undefined) throw new Error("usage: lease-contender SPEC HOLDER NOW");

const store = await openBackend(JSON.parse(specJson) as BackendSpec, new ManualClock(Number(now)));
const lease = await store.lease.acquire({ scope, holder, ttlMs: 10_000 });
process.stdout.write(lease === undefined ? "refused\n" : `held ${lease.term}\n`);
await store.close();
