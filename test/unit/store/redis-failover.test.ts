import { afterEach, describe, expect, it } from "vitest";
import type { RedisTaskStoreOptions } from "../../../src/store/redis/redis-task-store.js";
import type { TaskStore } from "../../../src/store/task-store.js";
import { openRedisStore } from "../../support/open-redis-store.js";
import {
  type RedisCluster,
  type SentinelFleet,
  startRedisCluster,
  startSentinelFleet,
  until,
  untilCaughtUp,
} from "../../support/redis-fleet.js";
import { describeWithRedis, type RedisServer, startRedis } from "../../support/redis-server.js";
import { type Relay, startRelay } from "../../support/relay.js";
import { scope } from "./harness.js";

/** Changes a lease's holder again and again; every number that it is given must be new. */
class Writer {
  readonly #store: TaskStore;
  #running = true;
  readonly terms: number[] = [];
  readonly failures: { message: string; outcome?: string }[] = [];
  readonly #done: Promise<void>;

  constructor(store: TaskStore) {
    this.#store = store;
    this.#done = this.#run();
  }

  async #run(): Promise<void> {
    while (this.#running) {
      try {
        const lease = await this.#store.lease.acquire({ scope, holder: `${this.terms.length}`, ttlMs: 1 });
        if (lease !== undefined) this.terms.push(lease.term);
      } catch (error) {
        this.failures.push(error as { message: string; outcome?: string });
      }
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  /** Resolves when it has written `count` times more. */
  async more(count: number, timeoutMs = 20_000): Promise<void> {
    const goal = this.terms.length + count;
    await until(async () => this.terms.length >= goal, timeoutMs);
  }

  async stop(): Promise<void> {
    this.#running = false;
    await this.#done;
  }

  /** Acknowledged once each, in order, and none given twice. */
  check(): void {
    expect(this.terms).toEqual(this.terms.toSorted((a, b) => a - b));
    expect(new Set(this.terms).size).toBe(this.terms.length);
    for (const failure of this.failures) {
      expect(failure, failure.message).toMatchObject({ name: "StoreUnavailableError" });
      expect(failure.message).not.toContain("CROSSSLOT");
    }
  }
}

describeWithRedis("a store on several Redis servers", () => {
  const stores: TaskStore[] = [];
  const writers: Writer[] = [];
  const open = async (url: string, options: Partial<RedisTaskStoreOptions> = {}): Promise<TaskStore> => {
    const store = await openRedisStore(url, options);
    stores.push(store);
    return store;
  };
  const write = (store: TaskStore): Writer => {
    const writer = new Writer(store);
    writers.push(writer);
    return writer;
  };
  const finish = async (): Promise<void> => {
    for (const writer of writers.splice(0)) await writer.stop();
    for (const store of stores.splice(0)) await store.close();
  };

  describe("with sentinels", () => {
    let fleet: SentinelFleet;
    afterEach(async () => {
      await finish();
      await fleet.stop();
    });

    it("follows the primary: by order, and after its death, losing nothing that a replica was waited for", async () => {
      fleet = await startSentinelFleet({ replicas: 2 });
      const store = await open(fleet.freshUrl("&wait_replicas=1"));
      const before = write(store);
      await before.more(50);
      await before.stop();
      // One replica has it all, which is what was waited for; the sentinel may elect the other one.
      const first = await fleet.currentPrimary();
      const primary = [fleet.primary, ...fleet.replicas].find(({ port }) => port === first) ?? fleet.primary;
      await untilCaughtUp(primary, 2);
      await primary.kill();
      const writer = write(store);
      await until(async () => (await fleet.currentPrimary()) !== first);
      await writer.more(50);
      const second = await fleet.currentPrimary();
      expect(second).not.toBe(first);
      await primary.start();
      await writer.more(50);
      await writer.stop();
      before.check();
      writer.check();
      expect(writer.terms[0]).toBeGreaterThan(before.terms.at(-1) ?? Number.POSITIVE_INFINITY);
      expect((await store.lease.current(scope))?.term).toBeGreaterThanOrEqual(writer.terms.at(-1) ?? 0);
      expect(writer.terms.length).toBeGreaterThan(99);
    });
  });

  describe("of which replicas must have every durable write", () => {
    let primary: RedisServer;
    let replica: RedisServer;
    let relay: Relay;
    const startReplica = async (of: RedisServer): Promise<RedisServer> => {
      const started = await startRedis({ args: ["--replicaof", "127.0.0.1", String(of.port)] });
      await until(async () => (await of.client().info("replication")).includes("state=online"));
      return started;
    };
    afterEach(async () => {
      replica.signal("SIGCONT");
      await finish();
      await relay.close();
      await replica.stop();
      await primary.stop();
    });

    it("says when they have not, and does not let reads wait for them", async () => {
      primary = await startRedis();
      replica = await startReplica(primary);
      relay = await startRelay(`http://127.0.0.1:${primary.port}`);
      const warnings: string[] = [];
      const store = await open(`${primary.freshUrl()}&wait_replicas=1`, { deadlineMs: 4_000 });
      const lease = await store.lease.acquire({ scope, holder: "a", ttlMs: 60_000 });
      expect(await replica.client().hget("{test-1}:leader_lease:leader", "holder")).toBe("a");
      expect(lease?.term).toBe(1);

      replica.signal("SIGSTOP");
      const waiting = store.lease
        .acquire({ scope, holder: "a", ttlMs: 60_000 })
        .catch((error: unknown) => error);
      const begun = performance.now();
      expect(await store.lease.current(scope)).toMatchObject({ term: 1 });
      expect(performance.now() - begun).toBeLessThan(300);
      expect(await waiting).toMatchObject({
        outcome: "maybe-executed",
        message: expect.stringContaining("0 of 1"),
      });
      replica.signal("SIGCONT");
      await until(
        async () => (await store.lease.acquire({ scope, holder: "a", ttlMs: 60_000 })) !== undefined,
      );

      await open(`${primary.freshUrl()}&wait_replicas=3`, {
        onWarning: (text) => warnings.push(text),
      }).catch((error: unknown) => expect(error).toMatchObject({ outcome: "maybe-executed" }));
      expect(warnings).toEqual([expect.stringContaining("1 replicas are connected")]);
    });

    it("loses, where they are not waited for, what they had not received: it warns of that", async () => {
      primary = await startRedis();
      replica = await startReplica(primary);
      relay = await startRelay(`http://127.0.0.1:${primary.port}`);
      const warnings: string[] = [];
      const url = primary.freshUrl();
      const store = await open(url, { onWarning: (text) => warnings.push(text) });
      expect(warnings).toEqual([expect.stringMatching(/wait_replicas is 0.*fencing numbers/)]);
      await store.lease.acquire({ scope, holder: "first", ttlMs: 1 });
      await until(async () => (await replica.client().hget("{test-1}:leader_lease:leader", "term")) === "1");
      // What came with the first synchronisation is in its log only when that is rewritten.
      await until(async () => {
        const info = await replica.client().info("persistence");
        return /aof_rewrite_in_progress:0/.test(info) && /aof_rewrite_scheduled:0/.test(info);
      });
      await replica.kill();
      expect(await store.lease.acquire({ scope, holder: "second", ttlMs: 1 })).toMatchObject({ term: 2 });
      await primary.kill();
      await replica.start();
      await replica.client().replicaof("NO", "ONE");
      const after = await open(url.replace(`:${primary.port}`, `:${replica.port}`));
      expect(await after.lease.current(scope)).toMatchObject({ holder: "first", term: 1 });
    });

    it("does not write again where the connection is lost while it waits for them", async () => {
      primary = await startRedis();
      replica = await startReplica(primary);
      relay = await startRelay(`http://127.0.0.1:${primary.port}`);
      const url = `${primary.freshUrl()}&wait_replicas=1`;
      const setUp = await open(url);
      await setUp.lease.acquire({ scope, holder: "before", ttlMs: 1 });
      let armed = false;
      const port = new URL(relay.url).port;
      const store = await open(url.replace(`:${primary.port}`, `:${port}`), {
        faults: {
          at: (point) => {
            if (armed && point === "after-reply") void relay.cutNext("request", 0);
          },
        },
      });
      await store.lease.acquire({ scope, holder: "first", ttlMs: 1 });
      armed = true;
      const lost = store.lease.acquire({ scope, holder: "second", ttlMs: 60_000 });
      await expect(lost).rejects.toMatchObject({ outcome: "maybe-executed" });
      armed = false;
      expect(await store.lease.current(scope)).toMatchObject({ holder: "second", term: 3 });
    });
  });

  describe("in a cluster", () => {
    let cluster: RedisCluster;
    afterEach(async () => {
      await finish();
      await cluster.stop();
    });

    it("stays with the slot: through its migration, an ordered failover, and the death of its node", async () => {
      cluster = await startRedisCluster({ withReplicas: true });
      const [seed] = cluster.primaries;
      let url = cluster.freshUrl("&wait_replicas=1");
      while ((await cluster.ownerOf(url)) === seed) url = cluster.freshUrl("&wait_replicas=1");
      const store = await open(url);
      const writer = write(store);
      await writer.more(30);

      // Migration to the first node, key by key.
      const source = await cluster.ownerOf(url);
      const target = seed;
      if (target === undefined) throw new Error("there is no target");
      const slot = await cluster.slotOf(url);
      const [from, to] = [source.client(), target.client()];
      const [fromId, toId] = [await from.call("CLUSTER", "MYID"), await to.call("CLUSTER", "MYID")];
      await to.call("CLUSTER", "SETSLOT", slot, "IMPORTING", String(fromId));
      await from.call("CLUSTER", "SETSLOT", slot, "MIGRATING", String(toId));
      const keys = (await from.call("CLUSTER", "GETKEYSINSLOT", slot, 1_000)) as string[];
      expect(keys.length).toBeGreaterThan(0);
      for (const key of keys) {
        await from.call("MIGRATE", "127.0.0.1", target.port, key, 0, 5_000);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      for (const node of [to, from]) await node.call("CLUSTER", "SETSLOT", slot, "NODE", String(toId));
      await writer.more(30);
      expect(await cluster.ownerOf(url)).toBe(target);

      // The replica of its new node takes over by order: nothing may be lost.
      const replica = cluster.replicas[0];
      if (replica === undefined) throw new Error("there is no replica");
      await replica.client().call("CLUSTER", "FAILOVER");
      await until(async () => (await cluster.ownerOf(url)) === replica);
      await writer.more(30);

      // Its node dies; the one that was primary before is its replica now, and has what was waited for.
      await replica.kill();
      await until(async () => (await cluster.ownerOf(url, replica)) === target);
      await writer.stop();
      writer.check();
      const after = await open(url.replace("&wait_replicas=1", ""));
      const current = await after.lease.current(scope);
      expect(current?.term).toBeGreaterThanOrEqual(writer.terms.at(-1) ?? 0);
      const next = write(after);
      await next.more(30);
      await next.stop();
      next.check();
      expect(next.terms[0]).toBeGreaterThan(writer.terms.at(-1) ?? 0);
    });
  });
});
