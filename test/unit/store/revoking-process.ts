/** Opens a store, revokes the admin sessions that it is told, and says when each was revoked. */
import { adminSessionId } from "../../../src/store/task-store.js";
import { type BackendSpec, ManualClock } from "./harness.js";
import { openBackend } from "./open-backend.js";

const [, , specJson, now, ...ids] = process.argv;
if (specJson === undefined || now === undefined) throw new Error("usage: revoking-process SPEC NOW ID…");

const store = await openBackend(JSON.parse(specJson) as BackendSpec, new ManualClock(Number(now)));
for (const id of ids) {
  const revoked = await store.adminSessions.revoke(adminSessionId(id));
  process.stdout.write(`${id} ${revoked ? Date.now() : "refused"}\n`);
}
await store.close();
