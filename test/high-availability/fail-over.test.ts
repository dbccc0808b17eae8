import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { describeWithRedis, type RedisServer, startRedis } from "../support/redis-server.js";
import { type ReplicatedFleet, startReplicatedFleet } from "./replicated-fleet.js";
import { Workload } from "./workload.js";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const LEADER_LEASE_MS = 4_000;

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describeWithRedis("three control processes under load", () => {
  let redis: RedisServer;
  let fleet: ReplicatedFleet;
  let load: Workload;

  beforeAll(async () => {
    redis = await startRedis();
    fleet = await startReplicatedFleet({
      store: redis.freshUrl(),
      replicas: 3,
      proxies: 2,
      leaderLeaseMs: LEADER_LEASE_MS,
    });
    load = new Workload(fleet.proxies.map(({ url }) => url));
    await load.start();
  });
  afterAll(async () => {
    await load?.stop();
    await fleet?.stop();
    await redis?.stop();
  });

  it("the leader is killed: another one leads after its lease, and no client sees a failed request", async () => {
    const leading = await fleet.untilLed();
    load.look();
    const began = performance.now();
    leading.process().child.kill("SIGKILL");
    await leading.process().ended;
    await fleet.untilLed();
    const led = Math.round(performance.now() - began);
    await sleep(1_500);
    const seen = load.look();
    process.stderr.write(`killed: led again after ${led} ms; ${JSON.stringify(seen)}\n`);
    expect(seen.failed).toEqual([]);
    expect(seen.writes).toBeGreaterThan(5);
    expect(led).toBeLessThan(LEADER_LEASE_MS + 3_000);
    await leading.restart();
  });

  it("the leader is told to stop: its lease goes over at once", async () => {
    const leading = await fleet.untilLed();
    load.look();
    const began = performance.now();
    leading.process().child.kill("SIGTERM");
    for (let now = await fleet.leader(); now === undefined || now === leading; now = await fleet.leader()) {
      if (performance.now() - began > 10_000) throw new Error("nobody else leads");
      await sleep(10);
    }
    const led = Math.round(performance.now() - began);
    expect((await leading.process().ended).code).toBe(0);
    await sleep(1_000);
    const seen = load.look();
    process.stderr.write(`told to stop: led again after ${led} ms; ${JSON.stringify(seen)}\n`);
    expect(seen.failed).toEqual([]);
    expect(led).toBeLessThan(LEADER_LEASE_MS);
    await leading.restart();
  });

  it("Redis is killed and comes back: searches go on, writes wait, nothing acknowledged is lost", async () => {
    load.look();
    await redis.kill();
    await sleep(500);
    await redis.start();
    await fleet.untilLed();
    await sleep(2_000);
    const seen = load.look();
    process.stderr.write(`Redis killed for 500 ms: ${JSON.stringify(seen)}\n`);
    expect(seen.failed.filter(({ what }) => what === "searching")).toEqual([]);
    // Whoever was answered otherwise was told what to do: to come back later, or to look at the tasks.
    for (const { status } of seen.failed) expect([503, 504]).toContain(status);
    await load.stop();
    expect(await load.lost()).toEqual([]);
  });
});
