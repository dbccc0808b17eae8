import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { describeWithRedis, type RedisServer, startRedis } from "../support/redis-server.js";
import { type ReplicatedFleet, startReplicatedFleet } from "./replicated-fleet.js";
import { killAtEveryStep, MOVE_STEPS } from "./workflow-fail-over.js";
import { Workload } from "./workload.js";

vi.setConfig({ testTimeout: 150_000, hookTimeout: 60_000 });

/** Longer than the write lease of a proxy, so that writes have to wait for the next leader. */
const LEADER_LEASE_MS = 4_000;

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describeWithRedis("three control processes under load", () => {
  let redis: RedisServer;
  let storeUrl: string;
  let fleet: ReplicatedFleet;
  let load: Workload;
  /** Killed processes on their way back, for which the next case does not wait. */
  const returning: Promise<void>[] = [];

  beforeAll(async () => {
    redis = await startRedis();
    storeUrl = redis.freshUrl();
    fleet = await startReplicatedFleet({
      store: storeUrl,
      replicas: 3,
      proxies: 2,
      nodes: 3,
      leaderLeaseMs: LEADER_LEASE_MS,
    });
    load = new Workload(fleet.proxies.map(({ url }) => url));
    await load.start();
  });
  afterAll(async () => {
    await load?.stop();
    await Promise.all(returning);
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
    await sleep(1_000);
    const seen = load.look();
    process.stderr.write(`killed: led again after ${led} ms; ${JSON.stringify(seen)}\n`);
    expect(seen.failed).toEqual([]);
    expect(seen.writes).toBeGreaterThan(0);
    expect(led).toBeLessThan(LEADER_LEASE_MS + 3_000);
    returning.push(leading.restart());
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
    returning.push(leading.restart());
  });

  it("the leader is killed in the middle of a drain: the next one goes on, and nothing is done twice", async () => {
    const { index } = await killAtEveryStep({
      fleet,
      storeUrl,
      indexUid: "films",
      steps: MOVE_STEPS,
      killAt: ["switched"],
      begin: async (client) => {
        const { change } = await client.cluster.drainNode({ nodeId: "node-2" });
        return change?.workflowId ?? "";
      },
    });
    expect(index.placement.some(({ nodeIds }) => nodeIds.includes("node-2"))).toBe(false);
    expect(load.look().failed).toEqual([]);
  });

  it("Redis is killed and comes back: searches go on, writes wait, nothing acknowledged is lost", async () => {
    load.look();
    await redis.kill();
    await sleep(500);
    await redis.start();
    await fleet.untilLed();
    await sleep(1_000);
    const seen = load.look();
    process.stderr.write(`Redis killed for 500 ms: ${JSON.stringify(seen)}\n`);
    expect(seen.failed.filter(({ what }) => what === "searching")).toEqual([]);
    // Whoever was answered otherwise was told what to do: to come back later, or to look at the tasks.
    for (const { status } of seen.failed) expect([503, 504]).toContain(status);
    await load.stop();
    expect(await load.lost()).toEqual([]);
  });
});
