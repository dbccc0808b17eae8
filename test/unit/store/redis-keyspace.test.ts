import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { rateLimitSource, type TaskStore } from "../../../src/store/task-store.js";
import { describeWithRedis, type RedisServer, startRedis } from "../../support/redis-server.js";
import { fillFleet, fillStore, smallLoad } from "./fill-store.js";
import { lead, nodeTask, task } from "./harness.js";
import { openBackend } from "./open-backend.js";

interface DocumentedKey {
  readonly pattern: string;
  readonly type: string;
  readonly ends: string;
  readonly matches: RegExp;
}

const page = fileURLToPath(new URL("../../../docs/reference/redis-keyspace.md", import.meta.url));

/** The rows of the page's table of keys. */
function documentedKeys(prefix: string): readonly DocumentedKey[] {
  return readFileSync(page, "utf8")
    .split("\n")
    .filter((line) => line.startsWith("| `{p}:"))
    .map((line) => {
      const [, key = "", type = "", ends = ""] = line.split("|").map((cell) => cell.trim());
      const pattern = key.replaceAll("`", "").replace("{p}", prefix);
      const source = pattern
        .split(/<[^>]+>/)
        .map((text) => text.replace(/[{}:]/g, "\\$&"))
        .join("(?!_[a-z])[^:]*");
      return { pattern, type, ends, matches: new RegExp(`^${source}$`) };
    });
}

describeWithRedis("the documented keyspace", () => {
  let server: RedisServer;
  let store: TaskStore;
  let prefix: string;
  beforeAll(async () => {
    server = await startRedis();
    const url = server.freshUrl();
    prefix = `{${new URL(url).searchParams.get("key_prefix")}}`;
    store = await openBackend({ url }, undefined);
    const fence = await lead(store, "control-1", 3_600_000);
    await fillStore(store, fence, smallLoad);
    await fillFleet(store, fence);
    const open = await store.tasks.allocateUids(2, fence);
    await store.tasks.upsert([task(open, { nodeTasks: [nodeTask("node-0", 9_999)] })], fence);
    await store.tasks.upsert(
      [task(open + 1, { status: "canceled", finishedAt: 5, canceledBy: open })],
      fence,
    );
    await store.rateLimits.countLogin(rateLimitSource("10.0.0.1"));
    await store.rateLimits.loginFailed(rateLimitSource("10.0.0.1"));
  });
  afterAll(async () => {
    await store.close();
    await server.stop();
  });

  it("is open to a user with the documented rights, and all that it is sent is among them", async () => {
    const rights =
      /```\n(\+ping[\s\S]*?)```/.exec(readFileSync(page, "utf8"))?.[1]?.trim().split(/\s+/) ?? [];
    expect(rights.length).toBeGreaterThan(40);
    const client = server.client();
    const other = server.freshUrl();
    const narrow = new URL(other);
    const keys = `{${narrow.searchParams.get("key_prefix")}}:*`;
    await client.call(
      "ACL",
      "SETUSER",
      "narrow",
      "reset",
      "on",
      ">secret",
      `~${keys}`,
      `&${keys}`,
      ...rights,
    );
    const moved = await openBackend({ url: other.replace("redis://", "redis://narrow:secret@") }, undefined);
    const warnings: string[] = [];
    const heard = new Promise<string>((resolve) => {
      moved.adminSessions.onRevoked(resolve).catch((error: unknown) => warnings.push(String(error)));
    });
    const fence = await lead(moved, "control-1", 3_600_000);
    await fillStore(moved, fence, smallLoad);
    await fillFleet(moved, fence);
    expect(await heard).toBeDefined();
    const rule = { finishedBefore: Number.MAX_SAFE_INTEGER };
    await moved.retention.pruneTasks(rule, fence);
    await moved.retention.pruneJobs(rule, fence);
    await moved.retention.pruneWorkflows(rule, fence);
    await moved.retention.pruneCanaryRuns({ ranBefore: 2 ** 50 }, fence);
    await moved.retention.pruneExpired({}, fence);
    for await (const _ of moved.transfer.export());
    await moved.close();
    expect(warnings).toEqual([]);
  });

  it("has every key of a filled store, with its type and whether it ends", async () => {
    const documented = documentedKeys(prefix);
    expect(documented.length).toBeGreaterThan(50);
    const client = server.client();
    const met = new Set<string>();
    const wrong: string[] = [];
    for (const key of await client.keys(`${prefix}*`)) {
      const entries = documented.filter(({ matches }) => matches.test(key));
      const [entry] = entries;
      if (entry === undefined || entries.length > 1) {
        wrong.push(`${key}: ${entries.length} lines`);
        continue;
      }
      met.add(entry.pattern);
      const type = await client.type(key);
      if (type !== entry.type) wrong.push(`${key}: is a ${type}, documented as ${entry.type}`);
      const ends = (await client.pttl(key)) >= 0;
      if (ends !== (entry.ends !== "never")) wrong.push(`${key}: ends ${ends}, documented as ${entry.ends}`);
    }
    expect(wrong).toEqual([]);
    expect(documented.filter(({ pattern }) => !met.has(pattern)).map(({ pattern }) => pattern)).toEqual([]);
  });
});
