import { afterAll, beforeAll } from "vitest";
import type { TaskStore } from "../../../src/store/task-store.js";
import { describeWithRedis, type RedisServer, startRedis } from "../../support/redis-server.js";
import { describeTaskStore } from "./conformance.js";
import { type BackendSpec, ManualClock } from "./harness.js";
import { openBackend } from "./open-backend.js";

describeWithRedis("Redis", () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server.stop());

  describeTaskStore("Redis", async () => {
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
  });
});
