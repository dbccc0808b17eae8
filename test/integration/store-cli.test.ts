import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { createSystemWorld } from "../../src/runtime/world.js";
import { openTaskStore } from "../../src/store/open-task-store.js";
import { parseStoreUrl } from "../../src/store/store-location.js";
import { leaseScope, type TaskStore } from "../../src/store/task-store.js";
import { describeWithRedis, type RedisServer, startRedis } from "../support/redis-server.js";
import { fillStore, smallLoad } from "../unit/store/fill-store.js";
import { miroir } from "./cli-process.js";

// Every command is a process, which takes seconds to load on a busy machine.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 60_000 });

const folder = mkdtempSync(join(tmpdir(), "miroir-store-cli-"));
const sqliteUrl = (name: string): string => `sqlite://${join(folder, name)}`;
const source = sqliteUrl("source.db");
const whole = join(folder, "whole.jsonl");
const scope = leaseScope("leader");

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function open(url: string): Promise<TaskStore> {
  return openTaskStore({ location: parseStoreUrl(url), world: createSystemWorld() });
}

const store = (command: string, url: string, ...args: string[]) =>
  miroir(["store", command, ...args], { MIROIR_STORE: url });

/** A store with a few rows of every table, and a lease that was given back. */
async function fill(url: string): Promise<void> {
  const opened = await open(url);
  const holder = "host:7800/1";
  const lease = await opened.lease.acquire({ scope, holder, ttlMs: 60_000 });
  const token = { scope, holder, term: lease?.term ?? 0 };
  await fillStore(opened, token, smallLoad);
  await opened.lease.release(token);
  await opened.close();
}

/** The lines of an export but for the first, which says when and from what it was made. */
const rowsOf = (path: string): string => readFileSync(path, "utf8").split("\n").slice(1).join("\n");

beforeAll(async () => {
  await fill(source);
  const { code, stderr } = await store("export", source, whole);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  expect(stderr).toMatch(/exporting.* 100 %/);
});

describe("miroir store", () => {
  it("says that there is no store, creates one, and says what it is", async () => {
    const url = sqliteUrl("fresh.db");
    const [absent, check] = await Promise.all([store("status", url), store("check", url)]);
    expect([absent.code, check.code]).toEqual([4, 4]);
    expect(absent.stderr).toContain("there is no store at");
    const created = await store("migrate", url, "--json");
    expect(JSON.parse(created.stdout)).toMatchObject({ from: 0, to: 3 });
    const [again, status, json] = await Promise.all([
      store("migrate", url),
      store("status", url),
      store("status", url, "--json"),
    ]);
    expect(again.stdout).toContain("has schema version 3 already");
    expect(status.stdout).toMatch(/^SQLite \d+\.\d+\.\d+ at .*fresh\.db\nschema version 3, up to date\n/);
    expect(JSON.parse(json.stdout)).toMatchObject({
      backend: "sqlite",
      schema: { kind: "current", version: 3 },
      leader: null,
      rows: { tasks: 0 },
    });
  });

  it("takes the place from the flag and from the file alike", async () => {
    const config = join(folder, "miroir.yaml");
    writeFileSync(config, `store: ${source}\n`);
    const rows = await Promise.all([
      miroir(["store", "status", "--store", source]),
      miroir(["store", "status", "--config", config]),
    ]);
    expect(rows[0]?.stdout).toContain("tasks");
    expect(rows[1]).toEqual(rows[0]);
    const wrong = await miroir(["store", "status", "--store", "redis://user:pa55word/@host"]);
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).not.toContain("pa55");
  });

  it("finds nothing wrong in a whole store, and names what is wrong in another", async () => {
    const good = await store("check", source);
    expect(good).toMatchObject({ code: 0, stderr: "" });
    const path = join(folder, "wrong.db");
    const url = sqliteUrl("wrong.db");
    expect((await store("import", url, whole)).code).toBe(0);
    const db = new Database(path);
    db.pragma("foreign_keys = OFF");
    db.exec("UPDATE task_counts SET n = n + 1");
    db.exec("DELETE FROM canaries WHERE id = (SELECT min(canary_id) FROM canary_runs)");
    db.close();
    const { code, stdout } = await store("check", url, "--json");
    expect(code).toBe(1);
    const kinds = (JSON.parse(stdout) as { findings: { kind: string }[] }).findings.map(({ kind }) => kind);
    expect(new Set(kinds)).toEqual(new Set(["wrong-count", "orphan"]));
    expect((await store("check", url)).stdout).toMatch(/recorded as the number of .* there are/);
  });

  it("names a damaged file and one of another program, and leaves both as they were", async () => {
    const path = join(folder, "torn.db");
    const bytes = readFileSync(join(folder, "source.db"));
    bytes.fill(0x5a, 4_096 * 3, 4_096 * 12);
    writeFileSync(path, bytes);
    const torn = await store("check", sqliteUrl("torn.db"));
    expect(torn.code).toBe(1);
    expect(`${torn.stdout}${torn.stderr}`).toMatch(/damaged/);
    expect(readFileSync(path).equals(bytes)).toBe(true);
    const other = join(folder, "other.db");
    const db = new Database(other);
    db.exec("CREATE TABLE mine (x)");
    db.close();
    const before = readFileSync(other);
    for (const command of ["status", "migrate", "check"]) {
      const foreign = await store(command, sqliteUrl("other.db"));
      expect(foreign.code).toBe(1);
      expect(foreign.stderr).toContain("is not a Miroir store");
    }
    expect(readFileSync(other).equals(before)).toBe(true);
  });

  it("moves a store: what is exported again is the same, byte for byte", async () => {
    const url = sqliteUrl("moved.db");
    const moved = join(folder, "moved.jsonl");
    expect((await store("import", url, whole)).stderr).toMatch(/importing.* 100 %/);
    expect((await store("export", url, moved)).code).toBe(0);
    expect(rowsOf(moved)).toBe(rowsOf(whole));
    expect(statSync(moved).mode & 0o777).toBe(0o600);
    const [piped, again, taken] = await Promise.all([
      store("export", url, "-"),
      store("import", url, whole),
      store("export", url, moved),
    ]);
    expect(piped.stdout.split("\n").slice(1).join("\n")).toBe(rowsOf(whole));
    expect(again.code).toBe(1);
    expect(again.stderr).toContain("is not empty");
    expect(taken.code).toBe(2);
    expect(taken.stderr).toContain("is there already");
  });

  it("notices a cut or damaged file before the target is touched", async () => {
    const text = readFileSync(whole, "utf8");
    const cut = join(folder, "cut.jsonl");
    writeFileSync(cut, text.slice(0, -200));
    const url = sqliteUrl("untouched.db");
    const { code, stderr } = await store("import", url, cut);
    expect(code).toBe(1);
    expect(stderr).toMatch(/cut off.*Nothing was imported/);
    expect((await store("status", url)).code).toBe(4);
  });

  it("does not export beside a leader, unless told to", async () => {
    const url = sqliteUrl("led.db");
    const opened = await open(url);
    await opened.lease.acquire({ scope, holder: "host:7800/2", ttlMs: 60_000 });
    const [refused, status, forced] = await Promise.all([
      store("export", url, join(folder, "led.jsonl")),
      store("status", url),
      store("export", url, join(folder, "forced.jsonl"), "--force"),
    ]);
    await opened.close();
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/host:7800\/2 leads on .*--force/);
    expect(status.stdout).toMatch(/host:7800\/2 leads until \d{4}-.* \(term 1\)/);
    expect(forced.code).toBe(0);
  });
});

describeWithRedis("miroir store on Redis", () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis?.stop());

  it("moves a store from SQLite to Redis and back, row for row", async () => {
    const there = redis.freshUrl();
    const between = join(folder, "redis.jsonl");
    const back = join(folder, "back.jsonl");
    expect((await store("status", there)).code).toBe(4);
    expect((await store("import", there, whole)).code).toBe(0);
    const [status, check, exported] = await Promise.all([
      store("status", there, "--json"),
      store("check", there),
      store("export", there, between),
    ]);
    expect(JSON.parse(status.stdout)).toMatchObject({
      backend: "redis",
      schema: { kind: "current" },
      rows: { tasks: 40 },
    });
    expect(check).toMatchObject({ code: 0 });
    expect(exported.code).toBe(0);
    expect((await store("import", sqliteUrl("back.db"), between)).code).toBe(0);
    expect((await store("export", sqliteUrl("back.db"), back)).code).toBe(0);
    expect(rowsOf(between)).toBe(rowsOf(whole));
    expect(rowsOf(back)).toBe(rowsOf(whole));
  });
});

describe("a Redis that does not answer", () => {
  it("is named, within the deadline, with the code for unreachable servers", async () => {
    const { code, stderr } = await store("status", "redis://user:pa55word@127.0.0.1:9");
    expect(code).toBe(3);
    expect(stderr).toContain("redis://127.0.0.1:9/0");
    expect(stderr).not.toContain("pa55");
  });
});
