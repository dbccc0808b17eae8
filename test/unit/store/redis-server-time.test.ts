import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createSystemWorld } from "../../../src/runtime/world.js";
import { openRedisTaskStore } from "../../../src/store/redis/redis-task-store.js";
import { parseStoreUrl } from "../../../src/store/store-location.js";
import { jobId, type TaskStore } from "../../../src/store/task-store.js";
import { describeWithRedis, type RedisServer, startRedis } from "../../support/redis-server.js";
import { lead, scope } from "./harness.js";

const hour = 3_600_000;

describeWithRedis("the server's clock", () => {
  let server: RedisServer;
  /** Handles of two machines whose clocks are two hours apart. */
  let fast: TaskStore;
  let slow: TaskStore;
  beforeAll(async () => {
    server = await startRedis({ appendfsync: "no" });
  });
  afterAll(() => server.stop());

  beforeEach(async () => {
    const location = parseStoreUrl(server.freshUrl());
    if (location.kind !== "redis") throw new Error("not a Redis URL");
    const { clock, timers } = createSystemWorld();
    const open = (skew: number) =>
      openRedisTaskStore({
        location,
        world: { timers, clock: { now: () => clock.now() + skew, monotonic: () => clock.monotonic() } },
      });
    fast = await open(hour);
    slow = await open(-hour);
  });
  afterEach(async () => {
    await fast.close();
    await slow.close();
  });

  const serverTime = async () => {
    const [seconds, microseconds] = await server.client().time();
    return Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000);
  };
  const serverPasses = async (time: number) => {
    for (;;) {
      const left = time - (await serverTime());
      if (left <= 0) return;
      await new Promise((resolve) => setTimeout(resolve, left));
    }
  };

  describe("decides", () => {
    it("when a lease ends, whatever the callers' clocks say", async () => {
      const before = await serverTime();
      const first = await fast.lease.acquire({ scope, holder: "fast", ttlMs: 1_000 });
      if (first === undefined) throw new Error("the lease is held");
      expect(first.expiresAt).toBeGreaterThanOrEqual(before + 1_000);
      expect(first.expiresAt).toBeLessThanOrEqual((await serverTime()) + 1_000);
      expect(await slow.lease.acquire({ scope, holder: "slow", ttlMs: 250 })).toBeUndefined();
      expect(await slow.lease.current(scope)).toEqual(first);
      await serverPasses(first.expiresAt);
      expect(await fast.lease.renew(first, 250)).toBeUndefined();
      const second = await slow.lease.acquire({ scope, holder: "slow", ttlMs: 10_000 });
      expect(second).toMatchObject({ term: 2 });
      expect(await fast.lease.acquire({ scope, holder: "fast", ttlMs: 250 })).toBeUndefined();
      expect(await fast.lease.renew(first, 250)).toBeUndefined();
    });

    it("when a lease that is renewed by one goes on for the other", async () => {
      const token = await lead(slow, "slow", 1_000);
      let renewed = await slow.lease.renew(token, 1_000);
      for (let turn = 0; turn < 2; turn++) {
        await serverPasses((renewed?.expiresAt ?? 0) - 600);
        renewed = await slow.lease.renew(token, 1_000);
        expect(renewed).toMatchObject({ term: 1 });
        expect(await fast.lease.acquire({ scope, holder: "fast", ttlMs: 300 })).toBeUndefined();
      }
    });

    it("when a job is due, and when its claim ends", async () => {
      const fence = await lead(fast);
      await fast.jobs.enqueue({ id: jobId("now"), type: "t", paramsJson: "{}" }, fence);
      await slow.jobs.enqueue({ id: jobId("later"), type: "t", paramsJson: "{}", delayMs: hour / 2 }, fence);
      const claimed = await slow.jobs.claim({ holder: "slow", ttlMs: 600 });
      expect(claimed).toMatchObject({ id: "now", attempts: 1 });
      expect(await fast.jobs.claim({ holder: "fast" })).toBeUndefined();
      await serverPasses(claimed?.claim?.expiresAt ?? 0);
      expect(await fast.jobs.claim({ holder: "fast" })).toMatchObject({ id: "now", attempts: 2 });
      expect(await slow.jobs.complete({ id: jobId("now"), holder: "slow", attempt: 1 })).toBeUndefined();
      expect(await fast.jobs.claim({ holder: "fast" })).toBeUndefined();
    });
  });
});
