import type { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Keyspace } from "../../../src/store/redis/keyspace.js";
import { parseStoreUrl } from "../../../src/store/store-location.js";
import {
  aliasName,
  type FencingToken,
  idempotencyKey,
  indexInstance,
  nodeId,
  type SessionState,
  StoreCorruptError,
  sessionId,
  type TaskStore,
  taskUid,
  workflowId,
} from "../../../src/store/task-store.js";
import { describeWithRedis, type RedisServer, startRedis } from "../../support/redis-server.js";
import { lead } from "./harness.js";
import { openBackend } from "./open-backend.js";

const quarter = 15 * 60_000;

const state = (of: string): SessionState => ({
  id: sessionId(of),
  lastWriteTaskUid: taskUid(1),
  lastWriteAt: 1,
  pinnedGroup: 0,
  minSettingsVersion: 1,
});

describeWithRedis("rows on Redis", () => {
  let server: RedisServer;
  let client: Redis;
  let url: string;
  let keys: Keyspace;
  let store: TaskStore;
  let fence: FencingToken;

  beforeAll(async () => {
    server = await startRedis({ appendfsync: "no" });
    client = server.client();
  });
  afterAll(() => server.stop());

  beforeEach(async () => {
    url = server.freshUrl();
    const location = parseStoreUrl(url);
    if (location.kind !== "redis") throw new Error("not a Redis URL");
    keys = new Keyspace(location.keyPrefix);
    // Without a clock of its own: the server's decides.
    store = await openBackend({ url }, undefined);
    fence = await lead(store);
  });
  afterEach(() => store.close());

  /** Resolves when the server has freed a key. */
  const freed = async (key: string) => {
    while ((await client.exists(key)) === 1) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  const claim = (key: string, ttlMs: number) =>
    store.idempotency.claim(
      { key: idempotencyKey(key), bodySha256: new Uint8Array(32), taskUid: taskUid(1) },
      ttlMs,
    );
  const indexes = (table: "sessions" | "idempotency_cache") =>
    Promise.all(["by_expiry", "by_use"].map((name) => client.zcard(keys.index(table, name))));

  describe("that end", () => {
    it("are freed by the server, never before they have ended", async () => {
      const { expiresAt } = await store.sessions.record(state("a:b"), 40);
      const row = keys.row("sessions", "a:b");
      const left = await client.pexpiretime(row);
      expect(left).toBeGreaterThanOrEqual(expiresAt);
      expect(left).toBeLessThanOrEqual(expiresAt + 5);
      await freed(row);
      expect(await store.sessions.get(sessionId("a:b"))).toBeUndefined();
      expect(await store.sessions.count()).toBe(0);
    });

    it("live on with every use", async () => {
      await store.sessions.record(state("_index"), 50);
      const row = keys.row("sessions", "_index");
      const used = await store.sessions.use(sessionId("_index"), quarter);
      expect(await client.pexpiretime(row)).toBeGreaterThanOrEqual(used?.expiresAt ?? Number.NaN);
      expect(await client.pttl(row)).toBeGreaterThan(quarter / 2);
      // A report does not shorten the row's life to less than it says either.
      const again = await store.sessions.record(state("_index"), 2 * quarter);
      expect(await client.pexpiretime(row)).toBeGreaterThanOrEqual(again.expiresAt);
    });

    it("leave nothing in the indexes after the writes that follow", async () => {
      for (let n = 0; n < 9; n++) {
        await store.sessions.record(state(`s${n}`), 20);
        await claim(`k%${n}`, 20);
      }
      await freed(keys.row("sessions", "s8"));
      await freed(keys.row("idempotency_cache", "k%8"));
      await store.sessions.record(state("s"), quarter);
      await claim("k", quarter);
      expect(await indexes("sessions")).toEqual([1, 1]);
      expect(await indexes("idempotency_cache")).toEqual([1, 1]);
    });

    it("leave nothing in the indexes after pruning", async () => {
      await store.sessions.record(state("live"), quarter);
      await claim("live", quarter);
      for (let n = 0; n < 25; n++) {
        await store.sessions.record(state(`s${n}`), 200);
        await claim(`k${n}`, 200);
      }
      await freed(keys.row("sessions", "s24"));
      await freed(keys.row("idempotency_cache", "k24"));
      let pruned = 0;
      for (let went = -1; went !== 0; pruned += went) {
        went = await store.retention.pruneExpired({ limit: 10 }, fence);
        expect(went).toBeLessThanOrEqual(20);
      }
      expect(pruned).toBeGreaterThan(0);
      expect(await indexes("sessions")).toEqual([1, 1]);
      expect(await indexes("idempotency_cache")).toEqual([1, 1]);
    });

    it("take the indexes with them, where nothing else is in these", async () => {
      await store.sessions.record(state("a"), 100);
      await store.sessions.record(state("b"), 20);
      await store.sessions.use(sessionId("a"), 60);
      await claim("k", 20);
      for (const table of ["sessions", "idempotency_cache"] as const) {
        for (const name of ["by_expiry", "by_use"]) await freed(keys.index(table, name));
      }
      expect(await client.keys(`${keys.tag}:sessions*`)).toEqual([]);
      expect(await client.keys(`${keys.tag}:idempotency_cache*`)).toEqual([]);
    });

    it("keep the indexes as long as any of them lives", async () => {
      await store.sessions.record(state("long"), quarter);
      await store.sessions.record(state("short"), 20);
      await freed(keys.row("sessions", "short"));
      for (const name of ["by_expiry", "by_use"]) {
        expect(await client.pttl(keys.index("sessions", name))).toBeGreaterThan(quarter / 2);
        // As after an import.
        await client.persist(keys.index("sessions", name));
      }
      await store.sessions.record(state("another"), 20);
      await freed(keys.row("sessions", "another"));
      expect(await store.sessions.count()).toBe(1);
    });

    it("are deleted with what the indexes hold of them", async () => {
      await store.sessions.record(state("s"), quarter);
      await claim("k", quarter);
      await store.sessions.delete(sessionId("s"));
      await store.idempotency.release(idempotencyKey("k"), taskUid(1));
      expect(await indexes("sessions")).toEqual([0, 0]);
      expect(await indexes("idempotency_cache")).toEqual([0, 0]);
    });
  });

  describe("of tables that stay", () => {
    it("are gone with their indexes once deleted", async () => {
      const id = workflowId("w");
      const base = { id, kind: "k", step: "s", stateJson: "{}", updatedAt: 1 };
      await store.workflows.put({ ...base, createdAt: 1, finishedAt: null }, fence);
      await store.workflows.put({ ...base, createdAt: 2, finishedAt: 3 }, fence);
      await store.retention.pruneWorkflows({ keepFinished: 0 }, fence);
      const node = nodeId("_n");
      const cursor = { nodeId: node, frontierUid: null, lastSeenUid: null, identity: "", updatedAt: 1 };
      await store.nodeCursors.put([cursor], fence);
      await store.nodeCursors.delete(node, fence);
      const instance = indexInstance("_i:");
      const version = { instance, nodeId: node, version: 1, fingerprint: "", updatedAt: 1 };
      await store.nodeSettingsVersions.put([version], fence);
      await store.nodeSettingsVersions.delete(instance, undefined, fence);
      const name = aliasName("a");
      const target = { kind: "single", indexUid: "i" } as const;
      await store.aliases.set({ name, target, expectedVersion: 0, at: 1 }, fence);
      await store.aliases.delete(name, 1, fence);
      const left = await client.keys(`${keys.tag}:*`);
      const lease = `${keys.table("leader_lease")}:`;
      expect(left.filter((key) => !key.startsWith(lease))).toEqual([keys.schemaVersion]);
    });
  });

  describe("that make no sense", () => {
    it("are reported as damage, by every table that reads them", async () => {
      const damage: [string, Record<string, string>, () => Promise<unknown>][] = [
        [
          keys.row("topology", 1),
          { cluster_id: "c", term: "one", counter: "1", content_hash: "h", document: "d" },
          () => store.topology.load(),
        ],
        [
          keys.row("node_cursors", "n"),
          { node_id: "n", identity: "i", updated_at: "soon" },
          () => store.nodeCursors.get(nodeId("n")),
        ],
        [
          keys.row("node_cursors", "m"),
          { node_id: "m", updated_at: "1" },
          () => store.nodeCursors.get(nodeId("m")),
        ],
        [
          keys.row("workflows", "w"),
          { id: "w", kind: "k", step: "s", created_at: "1", updated_at: "1" },
          () => store.workflows.get(workflowId("w")),
        ],
        [
          keys.row("aliases", "a"),
          {
            ...{ name: "a", kind: "double", target_uids_json: '["i"]', version: "1" },
            ...{ created_at: "1", updated_at: "1", history_json: "[]" },
          },
          () => store.aliases.get(aliasName("a")),
        ],
        [
          keys.row("sessions", "s"),
          { session_id: "s", min_settings_version: "1.5", last_used_at: "1", expires_at: "99999999999999" },
          () => store.sessions.get(sessionId("s")),
        ],
        [
          keys.row("sessions", "t"),
          { session_id: "t", min_settings_version: "new", last_used_at: "1", expires_at: "99999999999999" },
          () => store.sessions.record(state("t"), quarter),
        ],
        [
          keys.row("sessions", "u"),
          { session_id: "u", min_settings_version: "1", last_used_at: "1" },
          () => store.sessions.use(sessionId("u"), quarter),
        ],
        [
          keys.row("idempotency_cache", "k"),
          { key: "k", task_uid: "1", last_used_at: "1", expires_at: "99999999999999" },
          () => store.idempotency.get(idempotencyKey("k")),
        ],
      ];
      for (const [key, fields, read] of damage) {
        await client.hset(key, fields);
        await expect(read(), key).rejects.toBeInstanceOf(StoreCorruptError);
        expect(await client.hgetall(key)).toEqual(fields);
      }
    });

    it("are reported as damage where a key is of another type", async () => {
      await client.set(keys.row("sessions", "s"), "text");
      await expect(store.sessions.get(sessionId("s"))).rejects.toBeInstanceOf(StoreCorruptError);
      await client.set(keys.row("aliases", "a"), "text");
      await expect(store.aliases.get(aliasName("a"))).rejects.toBeInstanceOf(StoreCorruptError);
    });
  });
});
