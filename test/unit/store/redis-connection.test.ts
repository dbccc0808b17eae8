import { mkdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { RedisTaskStoreOptions } from "../../../src/store/redis/redis-task-store.js";
import { StoreClosedError, StoreUnavailableError, type TaskStore } from "../../../src/store/task-store.js";
import { openRedisStore } from "../../support/open-redis-store.js";
import { until } from "../../support/redis-fleet.js";
import { describeWithRedis, type RedisServer, startRedis } from "../../support/redis-server.js";
import { type Relay, startRelay } from "../../support/relay.js";
import { scope } from "./harness.js";

const aborted = { name: "StoreUnavailableError", outcome: "certainly-aborted" };
const unknown = { name: "StoreUnavailableError", outcome: "maybe-executed" };

describeWithRedis("a store on Redis", () => {
  const stores: TaskStore[] = [];
  const relays: Relay[] = [];
  let server: RedisServer;

  beforeAll(async () => {
    server = await startRedis({ args: ["--key-load-delay", "100"] });
  });
  afterEach(async () => {
    server.signal("SIGCONT");
    for (const store of stores.splice(0)) await store.close();
    for (const relay of relays.splice(0)) await relay.close();
  });
  afterAll(() => server.stop());

  const open = async (
    options: Partial<RedisTaskStoreOptions> = {},
    url = server.freshUrl(),
  ): Promise<TaskStore> => {
    const store = await openRedisStore(url, options);
    stores.push(store);
    return store;
  };
  /** A store behind a relay. */
  const openBehindRelay = async (
    options: Partial<RedisTaskStoreOptions> = {},
  ): Promise<{ store: TaskStore; relay: Relay }> => {
    const relay = await startRelay(`http://127.0.0.1:${server.port}`);
    relays.push(relay);
    const port = new URL(relay.url).port;
    const url = server.freshUrl().replace(`:${server.port}`, `:${port}`);
    return { store: await open(options, url), relay };
  };
  const acquire = (store: TaskStore, holder = "a", ttlMs = 60_000) =>
    store.lease.acquire({ scope, holder, ttlMs });
  const failureOf = (call: Promise<unknown>): Promise<unknown> =>
    call.then(
      (value) => expect.fail(`it resolved with ${JSON.stringify(value)}`),
      (error: unknown) => error,
    );
  const timed = async <T>(call: Promise<T>): Promise<{ ms: number; value: T }> => {
    const start = performance.now();
    const value = await call;
    return { ms: performance.now() - start, value };
  };
  /** How many scripts the server has run so far. */
  const executions = async (): Promise<number> => {
    const text = await server.client().info("commandstats");
    return [...text.matchAll(/cmdstat_eval(?:sha)?:calls=(\d+).*?rejected_calls=(\d+),failed_calls=(\d+)/g)]
      .map(([, calls, , failed]) => Number(calls) - Number(failed))
      .reduce((sum, calls) => sum + calls, 0);
  };

  describe("whose connection is cut", () => {
    it("within the reply to a write: does not send it again, and says that it may be executed", async () => {
      const { store, relay } = await openBehindRelay();
      await acquire(store, "first", 1);
      for (const bytes of [0, 1, 5]) {
        await store.lease.current(scope);
        const before = await executions();
        const cut = relay.cutNext("reply", bytes);
        const failure = await failureOf(acquire(store, `holder ${bytes}`, 1));
        expect(failure).toMatchObject(unknown);
        expect(String(failure)).toContain("connection was lost");
        await cut;
        expect(await executions()).toBe(before + 1);
      }
      expect(await acquire(store, "another")).toMatchObject({ term: 5 });
    });

    it("within the request of a write: does not send it again, although nothing was executed", async () => {
      const { store, relay } = await openBehindRelay();
      const before = await executions();
      const cut = relay.cutNext("request", 30);
      expect(await failureOf(acquire(store))).toMatchObject(unknown);
      await cut;
      expect(await executions()).toBe(before);
      expect(await acquire(store)).toMatchObject({ term: 1 });
    });

    it("within the reply to a read: reads again", async () => {
      const { store, relay } = await openBehindRelay();
      await acquire(store);
      const cut = relay.cutNext("reply", 4);
      expect(await store.lease.current(scope)).toMatchObject({ holder: "a", term: 1 });
      await cut;
    });

    it("before anything is sent: says that nothing was executed, and goes on when the server is back", async () => {
      const store = await open({ deadlineMs: 600 });
      await acquire(store);
      await server.kill();
      const { ms, value } = await timed(
        Promise.all([failureOf(acquire(store)), failureOf(store.lease.current(scope))]),
      );
      expect(value).toMatchObject([aborted, aborted]);
      expect(String(value[0])).toMatch(/ECONNREFUSED|no connection/);
      expect(ms).toBeLessThan(1_200);
      await server.start();
      await until(async () => (await acquire(store))?.term === 1);
    });

    it("by a restart: resumes by itself, with every row", async () => {
      const store = await open();
      await acquire(store);
      for (let restart = 0; restart < 3; restart++) {
        await server.kill();
        const pending = store.lease.current(scope);
        await server.start();
        expect(await pending).toMatchObject({ holder: "a", term: 1 });
        expect(await acquire(store)).toMatchObject({ term: 1 });
      }
    });
  });

  describe("whose server says nothing", () => {
    it("gives every call up within 5 seconds, and goes on when it speaks again", async () => {
      const store = await open();
      await acquire(store);
      server.signal("SIGSTOP");
      const late = openRedisStore(server.freshUrl());
      const { ms, value } = await timed(
        Promise.all([failureOf(acquire(store)), failureOf(store.lease.current(scope)), failureOf(late)]),
      );
      expect(value).toMatchObject([unknown, aborted, aborted]);
      expect(ms).toBeGreaterThan(4_900);
      expect(ms).toBeLessThan(5_600);
      server.signal("SIGCONT");
      expect(await acquire(store)).toMatchObject({ holder: "a", term: 1 });
    });

    it("leaves a connection that a network swallows, without being told that it is dead", async () => {
      const { store, relay } = await openBehindRelay({ deadlineMs: 500 });
      await acquire(store);
      relay.freezeOpen();
      expect(await failureOf(acquire(store))).toMatchObject(unknown);
      expect(await acquire(store)).toMatchObject({ term: 1 });
    });

    it("refuses more calls than it can keep", async () => {
      const store = await open();
      server.signal("SIGSTOP");
      const calls = Array.from({ length: 10_000 }, () => store.lease.current(scope));
      const { ms, value } = await timed(failureOf(store.lease.current(scope)));
      server.signal("SIGCONT");
      expect(value).toMatchObject(aborted);
      expect(String(value)).toContain("10000 calls are under way");
      expect(ms).toBeLessThan(1_000);
      expect(new Set(await Promise.all(calls))).toEqual(new Set([undefined]));
    });

    it("closes in a moment, and wakes the calls that wait for a connection", async () => {
      const store = await open();
      server.signal("SIGSTOP");
      expect((await timed(store.close())).ms).toBeLessThan(1_500);
      server.signal("SIGCONT");
      const other = await open();
      await server.kill();
      await until(async () => (await timed(Promise.resolve())).ms >= 0);
      const waiting = failureOf(other.lease.current(scope));
      await new Promise((resolve) => setTimeout(resolve, 50));
      await other.close();
      expect(await waiting).toBeInstanceOf(StoreClosedError);
      await server.start();
    });
  });

  describe("whose server refuses", () => {
    it("waits while it loads its data, and says so where that takes too long", async () => {
      const store = await open();
      const hasty = await open({ deadlineMs: 300 });
      await acquire(store);
      const filler = server.client();
      await filler.eval("for i = 1, 8000 do redis.call('SET', KEYS[1] .. i, i) end", 1, "filler:");
      await server.kill();
      await server.start(false);
      const observer = new Redis({ host: "127.0.0.1", port: server.port, enableReadyCheck: false });
      observer.on("error", () => undefined);
      await until(async () => (await observer.info("persistence")).includes("loading:1"), 5_000);
      observer.disconnect();
      const refusal = await failureOf(acquire(hasty));
      expect(refusal).toMatchObject(aborted);
      expect(String(refusal)).toContain("LOADING");
      expect(await store.lease.current(scope)).toMatchObject({ term: 1 });
      await filler.eval("for i = 1, 8000 do redis.call('DEL', KEYS[1] .. i) end", 1, "filler:");
      await filler.call("BGREWRITEAOF");
    });

    it("for want of memory: writes nothing, still reads and releases, and resumes when there is room", async () => {
      const store = await open();
      const fence = await acquire(store);
      if (fence === undefined) throw new Error("the lease is held");
      const client = server.client();
      await client.config("SET", "maxmemory", "1");
      try {
        const refusal = await failureOf(acquire(store, "b"));
        expect(refusal).toMatchObject(aborted);
        expect(String(refusal)).toMatch(/out of memory.*maxmemory/);
        expect(await store.lease.current(scope)).toMatchObject({ term: 1 });
        expect(await store.lease.release(fence)).toBe(true);
        expect(await store.lease.current(scope)).toBeUndefined();
      } finally {
        await client.config("SET", "maxmemory", "0");
      }
      expect(await acquire(store, "b")).toMatchObject({ term: 2 });
    });

    it("because a script does not end: waits for its end", async () => {
      const store = await open();
      const hasty = await open({ deadlineMs: 500 });
      await acquire(store);
      const client = server.client();
      const killer = server.client();
      await killer.ping();
      await client.config("SET", "busy-reply-threshold", "50");
      const endless = client.eval("while true do end", 0).catch((error: unknown) => error);
      await until(async () => String(await killer.ping().catch((e: unknown) => e)).includes("BUSY"));
      const refusal = await failureOf(acquire(hasty));
      expect(refusal).toMatchObject(aborted);
      expect(String(refusal)).toContain("BUSY");
      const waiting = acquire(store);
      await killer.script("KILL");
      expect(await waiting).toMatchObject({ term: 1 });
      await endless;
      await client.config("SET", "busy-reply-threshold", "5000");
    });

    it("because it cannot save: writes nothing, reads, and resumes", async () => {
      const store = await open();
      await acquire(store);
      const client = server.client();
      const obstacle = join(server.directory, "dump.rdb");
      const saved = async (status: string): Promise<void> => {
        await client.bgsave();
        await until(async () => {
          const info = await client.info("persistence");
          return info.includes(`last_bgsave_status:${status}`) && info.includes("rdb_bgsave_in_progress:0");
        });
      };
      await client.config("SET", "save", "3600 1");
      mkdirSync(obstacle);
      await saved("err");
      const refusal = await failureOf(acquire(store));
      expect(refusal).toMatchObject(aborted);
      expect(String(refusal)).toContain("MISCONF");
      expect(await store.lease.current(scope)).toMatchObject({ term: 1 });
      rmdirSync(obstacle);
      await saved("ok");
      expect(await acquire(store)).toMatchObject({ term: 1 });
      await client.config("SET", "save", "");
    });

    it("as a replica: is not opened on it; becoming one later, it reads, and writes again after that", async () => {
      const primary = await startRedis();
      const replica = await startRedis({ args: ["--replicaof", "127.0.0.1", String(primary.port)] });
      try {
        const refusal = await failureOf(openRedisStore(replica.freshUrl()));
        expect(refusal).toBeInstanceOf(StoreUnavailableError);
        expect(String(refusal)).toContain("replica");
        const store = await open({ deadlineMs: 700 }, primary.freshUrl());
        await acquire(store);
        const client = primary.client();
        await client.replicaof("127.0.0.1", replica.port);
        const { ms, value } = await timed(failureOf(acquire(store)));
        expect(value, String(value)).toMatchObject(aborted);
        expect(String(value)).toContain("READONLY");
        expect(ms).toBeLessThan(1_200);
        await client.replicaof("NO", "ONE");
        expect(await acquire(store)).toMatchObject({ holder: "a" });
      } finally {
        await replica.stop();
        await primary.stop();
      }
    });

    it("the credentials: says so at once, and goes on when they are right", async () => {
      const client = server.client();
      await client.call("ACL", "SETUSER", "miroir", "on", ">right", "~*", "&*", "+@all");
      await client.call("ACL", "SETUSER", "reader", "on", ">right", "~*", "&*", "+@all", "-@scripting");
      const url = server.freshUrl();
      const as = (user: string): string => url.replace("//", `//${user}@`);
      const wrong = await timed(failureOf(openRedisStore(as("miroir:wrong"))));
      expect(wrong.value).toMatchObject(aborted);
      expect(String(wrong.value)).toContain("WRONGPASS");
      expect(String(wrong.value)).not.toContain("wrong:");
      expect(wrong.ms).toBeLessThan(2_000);
      const forbidden = await failureOf(openRedisStore(as("reader:right")));
      expect(forbidden).toMatchObject(aborted);
      expect(String(forbidden)).toMatch(/ACL.*NOPERM.*redis-keyspace/);
      const store = await open({}, as("miroir:right"));
      expect(await acquire(store)).toMatchObject({ term: 1 });

      await client.call("ACL", "SETUSER", "default", "resetpass", ">later");
      const stranger = await timed(failureOf(openRedisStore(url)));
      expect(stranger.value).toMatchObject(aborted);
      expect(String(stranger.value)).toContain("NOAUTH");
      expect(stranger.ms).toBeLessThan(2_000);

      // The user's password changes under a store that is open.
      await client.call("ACL", "SETUSER", "miroir", "resetpass", ">other");
      await client.call("CLIENT", "KILL", "USER", "miroir");
      expect(String(await failureOf(store.lease.current(scope)))).toContain("WRONGPASS");
      await client.call("ACL", "SETUSER", "miroir", "resetpass", ">right");
      await until(async () => (await acquire(store)) !== undefined);
      await client.call("ACL", "SETUSER", "default", "nopass");
      await client.call("ACL", "DELUSER", "miroir");
      await client.call("ACL", "DELUSER", "reader");
    });

    it("to know its scripts, again and again", async () => {
      const store = await open();
      const client = server.client();
      let flushing = true;
      const flusher = (async () => {
        while (flushing) await client.script("FLUSH");
      })();
      for (let i = 1; i <= 200; i++) {
        const lease = await acquire(store, `holder ${i}`);
        expect(lease).toMatchObject({ term: i });
        if (lease !== undefined) await store.lease.release(lease);
      }
      flushing = false;
      await flusher;
    });
  });
});
