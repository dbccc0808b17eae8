import { afterAll, beforeAll } from "vitest";
import { describeWithRedis, type RedisServer, startRedis } from "../../support/redis-server.js";
import { describeTaskStore } from "./conformance.js";
import { redisStores } from "./redis-factory.js";

describeWithRedis("Redis", () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server.stop());

  describeTaskStore(
    "Redis",
    redisStores({
      freshUrl: () => server.freshUrl(),
      clientFor: async () => server.client(),
      server: () => server,
    }),
  );
});
