import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RedisCluster, startRedisCluster } from "../../support/redis-fleet.js";
import { describeWithRedis } from "../../support/redis-server.js";
import { describeTables } from "./conformance.js";
import { redisStores } from "./redis-factory.js";

// What every table promises, where a script that touches a key outside the store's slot is refused. Long random runs
// and processes that fight or die add nothing here; they run on a single server.
describeWithRedis("task store on a Redis cluster", () => {
  let cluster: RedisCluster;
  beforeAll(async () => {
    cluster = await startRedisCluster();
  });
  afterAll(() => cluster.stop());

  const factory = redisStores({
    freshUrl: () => cluster.freshUrl(),
    clientFor: async (url) => (await cluster.ownerOf(url)).client(),
  });

  describe("of three nodes", () => {
    describeTables(factory);

    it("refused nothing for its slot", async () => {
      for (const node of cluster.primaries) {
        expect(await node.client().info("errorstats")).not.toContain("CROSSSLOT");
      }
    });
  });
});
