import { afterEach, expect, it } from "vitest";
import { adminSessionId, hashApiKey, StoreError, type TaskStore } from "../../../src/store/task-store.js";
import { openRedisStore } from "../../support/open-redis-store.js";
import { startRedisCluster, startSentinelFleet, until, untilCaughtUp } from "../../support/redis-fleet.js";
import { describeWithRedis } from "../../support/redis-server.js";
import { Revocations } from "./revocations.js";

const hour = 3_600_000;

describeWithRedis("revocations of admin sessions on several Redis servers", () => {
  const stores: TaskStore[] = [];
  let stop: () => Promise<void> = async () => undefined;
  afterEach(async () => {
    for (const store of stores.splice(0)) await store.close();
    await stop();
  });

  const open = async (url: string): Promise<TaskStore> => {
    for (let i = 0; i < 3; i++) stores.push(await openRedisStore(url));
    return stores[0] as TaskStore;
  };
  const listen = (): Promise<Revocations[]> => Promise.all(stores.map((store) => Revocations.of(store)));
  const begin = async (store: TaskStore, ...ids: string[]): Promise<void> => {
    for (const id of ids) {
      const adminKeyHash = hashApiKey("key");
      const session = {
        id: adminSessionId(id),
        csrfToken: "t",
        adminKeyHash,
        userAgent: null,
        sourceIp: null,
      };
      await store.adminSessions.create(session, hour);
    }
  };
  /** Repeats the call while the primary changes, as a caller does; says in how many milliseconds all heard. */
  const revoke = async (store: TaskStore, id: string, heard: readonly Revocations[]): Promise<number> => {
    for (;;) {
      try {
        await store.adminSessions.revoke(adminSessionId(id));
        break;
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
      }
    }
    const begun = performance.now();
    await Promise.all(heard.map((revocations) => revocations.until(id)));
    return performance.now() - begun;
  };

  it("are heard by three handles after a sentinel made another server the primary", async () => {
    const fleet = await startSentinelFleet({ replicas: 2 });
    stop = () => fleet.stop();
    const store = await open(fleet.freshUrl("&wait_replicas=1"));
    await begin(store, "before", "during", "after");
    const heard = await listen();
    expect(await revoke(store, "before", heard)).toBeLessThan(1_000);
    // On a busy machine the sentinel may have made another one the primary before.
    const first = await fleet.currentPrimary();
    const primary = [fleet.primary, ...fleet.replicas].find(({ port }) => port === first) ?? fleet.primary;
    await untilCaughtUp(primary, 2);
    await primary.kill();
    await revoke(store, "during", heard);
    await until(async () => (await fleet.currentPrimary()) !== first);
    expect(await revoke(store, "after", heard)).toBeLessThan(1_000);
  }, 60_000);

  it("are heard by three handles in a cluster, also after its slot's node has changed", async () => {
    const cluster = await startRedisCluster({ withReplicas: true });
    stop = () => cluster.stop();
    const url = cluster.freshUrl();
    const store = await open(url);
    await begin(store, "before", "after", "dead");
    const heard = await listen();
    expect(await revoke(store, "before", heard)).toBeLessThan(1_000);

    const owner = await cluster.ownerOf(url);
    const id = String(await owner.client().call("CLUSTER", "MYID"));
    let replica = cluster.replicas[0];
    for (const candidate of cluster.replicas) {
      if (String(await candidate.client().call("CLUSTER", "NODES")).includes(`myself,slave ${id}`)) {
        replica = candidate;
      }
    }
    if (replica === undefined) throw new Error("there is no replica");
    await replica.client().call("CLUSTER", "FAILOVER");
    await until(async () => (await cluster.ownerOf(url)) === replica);
    expect(await revoke(store, "after", heard)).toBeLessThan(1_000);

    // Where the handles listen may be the node that dies.
    await owner.kill();
    expect(await revoke(store, "dead", heard)).toBeLessThan(2_000);
  }, 60_000);
});
