import { afterAll, beforeAll, describe } from "vitest";
import type { TaskStore } from "../../../src/store/task-store.js";
import { describeWithRedis, type RedisServer, startRedis } from "../../support/redis-server.js";
import { describeAdminSessions } from "./cases/admin-sessions.js";
import { describeRateLimits } from "./cases/rate-limits.js";
import { describeScopedKeys } from "./cases/scoped-keys.js";
import { type BackendSpec, ManualClock, type StoreFactory } from "./harness.js";
import { openBackend } from "./open-backend.js";

describeWithRedis("task store on a Redis cluster", () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis({ cluster: true, appendfsync: "no" });
  });
  afterAll(() => server.stop());

  const factory: StoreFactory = async () => {
    const clock = new ManualClock();
    const spec: BackendSpec = { url: server.freshUrl() };
    const stores: TaskStore[] = [];
    return {
      clock,
      spec,
      open: async (limits) => {
        const store = await openBackend(spec, clock, limits);
        stores.push(store);
        return store;
      },
      dispose: async () => {
        for (const store of stores) await store.close();
      },
    };
  };

  // Their scripts build keys of rows from ids; a key in another slot would be refused here.
  describe("shared state", () => {
    describeAdminSessions(factory);
    describeRateLimits(factory);
    describeScopedKeys(factory);
  });
});
