import type { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import {
  adminSessionId,
  type FencingToken,
  hashApiKey,
  proxySession,
  rateLimitSource,
  StoreCorruptError,
  scopedKeyUid,
  type TaskStore,
} from "../../../src/store/task-store.js";
import { describeWithRedis, type RedisServer, startRedis } from "../../support/redis-server.js";
import { lead } from "./harness.js";
import { openBackend } from "./open-backend.js";

const minute = 60_000;
const day = 24 * 60 * minute;

describeWithRedis("limits, sessions and observations on Redis", () => {
  let server: RedisServer;
  let client: Redis;
  let tag: string;
  let store: TaskStore;
  let fence: FencingToken;

  beforeAll(async () => {
    server = await startRedis({ appendfsync: "no" });
    client = server.client();
  });
  afterAll(() => server.stop());
  beforeEach(async () => {
    const url = server.freshUrl();
    tag = `{${url.replace(/.*key_prefix=/, "")}}`;
    // Without a clock of its own: the server's decides.
    store = await openBackend({ url }, undefined);
    fence = await lead(store);
  });
  afterEach(() => store.close());

  const session = (id: string) => ({
    id: adminSessionId(id),
    csrfToken: "token",
    adminKeyHash: hashApiKey("key"),
    userAgent: null,
    sourceIp: null,
  });

  it("are freed by the server when they end, and not before", async () => {
    const source = rateLimitSource("2001:db8::1");
    await store.rateLimits.countSearchUi(source, { limit: 5, windowMs: minute });
    await store.rateLimits.countLogin(source);
    for (let i = 0; i < 5; i++) await store.rateLimits.loginFailed(source);
    await store.adminSessions.create(session("a"), minute);
    await store.adminSessions.create(session("b"), 2 * minute);
    await store.adminSessions.revoke(adminSessionId("a"));
    await store.scopedKeys.observe({ indexUid: "movies", proxy: proxySession("p"), generation: 1 });
    const ends: [string, number][] = [
      ["rate_limits:searchui:2001%3Adb8%3A%3A1", minute],
      ["rate_limits:adminlogin:2001%3Adb8%3A%3A1", minute],
      ["rate_limits:failures:2001%3Adb8%3A%3A1", 10 * minute + day],
      ["admin_sessions:a", minute],
      ["admin_sessions:b", 2 * minute],
      ["admin_sessions:_expiry", 2 * minute],
      ["admin_sessions:_revoked", minute],
      ["scoped_keys:_observed:movies", minute],
      ["scoped_keys:_observed_until:movies", minute],
    ];
    for (const [key, life] of ends) {
      const left = await client.pttl(`${tag}:${key}`);
      expect(left, key).toBeLessThanOrEqual(life);
      expect(left, key).toBeGreaterThan(life - 5_000);
    }
  });

  it("leave nothing behind", async () => {
    const window = { limit: 5, windowMs: 200 };
    await store.rateLimits.countSearchUi(rateLimitSource("s"), window);
    await store.adminSessions.create(session("a"), 200);
    await store.adminSessions.revoke(adminSessionId("a"));
    await store.scopedKeys.observe({ indexUid: "i", proxy: proxySession("p"), generation: 1 }, 200);
    const names = async (): Promise<string[]> =>
      (await client.keys(`${tag}:*`))
        .map((key) => key.slice(tag.length + 1))
        .filter((key) => /^(rate_limits|admin_sessions|scoped_keys)/.test(key));
    expect(await names()).toHaveLength(7);
    const until = performance.now() + 2_000;
    while ((await names()).length > 1 && performance.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(await names()).toEqual(["admin_sessions:_revoked_last"]);
  });

  it("keep a counter's end while it counts", async () => {
    const source = rateLimitSource("s");
    const rule = { limit: 100, windowMs: minute };
    await store.rateLimits.countSearchUi(source, rule);
    const key = `${tag}:rate_limits:searchui:s`;
    await client.pexpire(key, 30_000);
    await store.rateLimits.countSearchUi(source, rule);
    expect(await client.pttl(key)).toBeLessThanOrEqual(30_000);
  });

  it("cost less than 256 bytes a source", async () => {
    const usedMemory = async (): Promise<number> =>
      Number(/used_memory:(\d+)/.exec(await client.info("memory"))?.[1]);
    const sources = 20_000;
    await store.rateLimits.countSearchUi(rateLimitSource("first"), { limit: 10, windowMs: minute });
    const before = await usedMemory();
    const count = (i: number) =>
      store.rateLimits.countSearchUi(rateLimitSource(`198.51.${i >> 8}.${i & 255}`), {
        limit: 10,
        windowMs: 10 * minute,
      });
    for (let i = 0; i < sources; i += 1_000) {
      await Promise.all(Array.from({ length: 1_000 }, (_, j) => count(i + j)));
    }
    const bytes = ((await usedMemory()) - before) / sources;
    expect(bytes).toBeGreaterThan(50);
    expect(bytes).toBeLessThan(256);
    process.stderr.write(`Redis: ${bytes.toFixed(0)} bytes a source of a rate limit\n`);
  }, 30_000);

  it("are reported as damage where they make no sense", async () => {
    const source = rateLimitSource("s");
    const corrupt = async (...calls: (() => Promise<unknown>)[]): Promise<void> => {
      for (const call of calls) await expect(call()).rejects.toBeInstanceOf(StoreCorruptError);
    };
    const rule = { limit: 5, windowMs: minute };
    await client.set(`${tag}:rate_limits:searchui:s`, "many");
    await client.set(`${tag}:rate_limits:failures:s`, "5:soon");
    await corrupt(
      () => store.rateLimits.countSearchUi(source, rule),
      () => store.rateLimits.countLogin(source),
      () => store.rateLimits.loginFailed(source),
    );
    await store.rateLimits.loginSucceeded(source);
    await client.hset(`${tag}:rate_limits:adminlogin:s`, "a", "hash");
    await corrupt(() => store.rateLimits.countLogin(source));

    await store.adminSessions.create(session("a"), minute);
    const row = `${tag}:admin_sessions:a`;
    const read = [
      () => store.adminSessions.get(adminSessionId("a")),
      () => store.adminSessions.list(),
      () => store.adminSessions.revokeOthers(hashApiKey("other")),
    ];
    await client.hset(row, "expires_at", "tomorrow");
    await corrupt(...read, () => store.adminSessions.create(session("a"), minute));
    await client.hset(row, "expires_at", "99999999999999", "admin_key_hash", "masterKey");
    await corrupt(...read);
    await client.hdel(row, "admin_key_hash");
    await corrupt(...read);

    const change = { indexUid: "i", uid: scopedKeyUid("k"), expectedGeneration: 0, at: 1 };
    await store.scopedKeys.publish(change, fence);
    await store.scopedKeys.publish({ ...change, uid: scopedKeyUid("l"), expectedGeneration: 1 }, fence);
    const observation = { indexUid: "i", proxy: proxySession("p"), generation: 2 };
    await store.scopedKeys.observe(observation);
    await client.hset(`${tag}:scoped_keys:_observed:i`, "p", "newest");
    await corrupt(
      () => store.scopedKeys.observe(observation),
      () => store.scopedKeys.observations("i"),
      () => store.scopedKeys.retire({ indexUid: "i", generation: 2, liveProxies: [] }, fence),
    );
    await client.hset(`${tag}:scoped_keys:i`, "generation", "two");
    await corrupt(
      () => store.scopedKeys.get("i"),
      () => store.scopedKeys.list(),
    );
  });
});
