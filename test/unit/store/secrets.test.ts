import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Redis } from "ioredis";
import { describe, expect, it } from "vitest";
import {
  type ApiKeyHash,
  adminSessionId,
  apiKeyHash,
  hashApiKey,
  InvalidArgumentError,
  rateLimitSource,
  scopedKeyUid,
  type TaskStore,
} from "../../../src/store/task-store.js";
import { describeWithRedis, startRedis } from "../../support/redis-server.js";
import { lead } from "./harness.js";
import { openBackend } from "./open-backend.js";

const adminKey = "raw-admin-key-4f1c9d2e";
const otherAdminKey = "raw-admin-key-77aa0b31";
const tenantKey = "raw-tenant-key-9b8e5c60";
const secrets = [adminKey, otherAdminKey, tenantKey];

/** Uses every call that has to do with keys, also as it must not be used. */
async function use(store: TaskStore): Promise<void> {
  const fence = await lead(store);
  const session = (id: string, adminKeyHash: ApiKeyHash) => ({
    id: adminSessionId(id),
    csrfToken: "token",
    adminKeyHash,
    userAgent: "Mozilla/5.0",
    sourceIp: "192.0.2.1",
  });
  await store.adminSessions.create(session("one", hashApiKey(adminKey)), 3_600_000);
  await store.adminSessions.create(session("two", hashApiKey(otherAdminKey)), 3_600_000);
  await store.adminSessions.revokeOthers(hashApiKey(adminKey));
  await store.tenants.put([{ apiKeyHash: hashApiKey(tenantKey), tenantId: "acme", groupId: null }], fence);
  expect(await store.tenants.get(hashApiKey(tenantKey))).toMatchObject({ tenantId: "acme" });
  await store.rateLimits.countLogin(rateLimitSource("192.0.2.1"));
  await store.rateLimits.loginFailed(rateLimitSource("192.0.2.1"));
  await store.scopedKeys.publish(
    { indexUid: "movies", uid: scopedKeyUid("uid-of-a-key"), expectedGeneration: 0, at: 1 },
    fence,
  );
  // A caller that has not hashed its key is refused, whatever its types say.
  for (const raw of secrets as ApiKeyHash[]) {
    for (const call of [
      () => store.adminSessions.create(session("three", raw), 3_600_000),
      () => store.adminSessions.revokeOthers(raw),
      () => store.tenants.put([{ apiKeyHash: raw, tenantId: "acme", groupId: null }], fence),
    ]) {
      await expect(call()).rejects.toBeInstanceOf(InvalidArgumentError);
    }
  }
}

function expectNoSecret(contents: readonly (readonly [string, Buffer])[]): void {
  const all = Buffer.concat(contents.map(([, bytes]) => bytes));
  // What was meant to be stored is found, so that the look itself is known to work.
  for (const kept of [hashApiKey(adminKey), hashApiKey(tenantKey), "uid-of-a-key", "acme"]) {
    expect(all.includes(kept)).toBe(true);
  }
  for (const [place, bytes] of contents) {
    for (const secret of secrets) expect(bytes.includes(secret), `${secret} in ${place}`).toBe(false);
  }
}

/** All that a key of Redis holds. */
async function bytesOf(client: Redis, key: string): Promise<Buffer> {
  const join = (texts: readonly string[]): Buffer => Buffer.from(texts.join(" "));
  const type = await client.type(key);
  switch (type) {
    case "string":
      return Buffer.from((await client.getBuffer(key)) ?? "");
    case "hash":
      return join(Object.entries(await client.hgetall(key)).flat());
    case "zset":
      return join(await client.zrange(key, 0, -1));
    case "set":
      return join(await client.smembers(key));
    case "list":
      return join(await client.lrange(key, 0, -1));
    default:
      throw new Error(`nothing reads keys of type ${type}`);
  }
}

describe("API keys", () => {
  it("are hashes wherever the store takes them", () => {
    const hash = hashApiKey(adminKey);
    expect(apiKeyHash(hash)).toBe(hash);
    expect(hash).not.toContain(adminKey);
    for (const text of [...secrets, "", hash.toUpperCase(), hash.slice(1), `${hash}0`, ` ${hash}`]) {
      expect(() => apiKeyHash(text)).toThrow(InvalidArgumentError);
      expect(() => apiKeyHash(text)).not.toThrow(adminKey);
    }
  });

  it("are in no byte of a SQLite store's files", async () => {
    const directory = await mkdtemp(join(tmpdir(), "miroir-secrets-"));
    try {
      const store = await openBackend({ url: `sqlite://${join(directory, "miroir.db")}` }, undefined);
      await use(store);
      const read = async () =>
        Promise.all(
          (await readdir(directory)).map(
            async (name) => [name, await readFile(join(directory, name))] as const,
          ),
        );
      // With the log beside the file, and with all of it in the file.
      expectNoSecret(await read());
      await store.close();
      expectNoSecret(await read());
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});

describeWithRedis("API keys", () => {
  it("are in no key and no value of a Redis store, nor in what is sent to it", async () => {
    const server = await startRedis();
    try {
      const client = server.client();
      const sent: string[] = [];
      const monitor = await client.monitor();
      monitor.on("monitor", (_time: string, args: string[]) => sent.push(args.join(" ")));
      const store = await openBackend({ url: server.freshUrl() }, undefined);
      await use(store);
      await store.close();
      const contents: (readonly [string, Buffer])[] = [];
      let cursor = "0";
      do {
        const [next, keys] = await client.scan(cursor);
        cursor = next;
        for (const key of keys) {
          contents.push([`the name of ${key}`, Buffer.from(key)], [key, await bytesOf(client, key)]);
        }
      } while (cursor !== "0");
      expectNoSecret(contents);
      monitor.disconnect();
      expect(sent.length).toBeGreaterThan(10);
      for (const secret of secrets) expect(sent.filter((text) => text.includes(secret))).toEqual([]);
    } finally {
      await server.stop();
    }
  });
});
