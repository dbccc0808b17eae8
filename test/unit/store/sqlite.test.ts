import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TaskStore } from "../../../src/store/task-store.js";
import { describeTaskStore } from "./conformance.js";
import { type BackendSpec, ManualClock } from "./harness.js";
import { openBackend } from "./open-backend.js";
import { expectConsistentTasks } from "./sqlite-consistency.js";

describeTaskStore("SQLite", async () => {
  const directory = await mkdtemp(join(tmpdir(), "miroir-store-"));
  const clock = new ManualClock();
  const spec: BackendSpec = { url: `sqlite://${join(directory, "miroir.db")}` };
  const stores: TaskStore[] = [];
  return {
    clock,
    spec,
    open: async (limits) => {
      const store = await openBackend(spec, clock, limits);
      stores.push(store);
      return store;
    },
    expectConsistentTasks: async () => expectConsistentTasks(join(directory, "miroir.db")),
    dispose: async () => {
      for (const store of stores) await store.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
});
