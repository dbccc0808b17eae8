import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdtemp, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Connection, openDatabase } from "../../../src/store/sqlite/connection.js";
import { openSqliteTaskStore } from "../../../src/store/sqlite/sqlite-task-store.js";
import {
  StoreCorruptError,
  StoreError,
  StoreForeignError,
  type TaskStore,
  taskUid,
  workflowId,
} from "../../../src/store/task-store.js";
import { bundleChild } from "../../support/child-program.js";
import { lead, ManualClock, nodeTask, scope, task } from "./harness.js";
import type { MountReport } from "./mounted-store.js";

const clock = new ManualClock();

/** Whether this machine lets a test mount something of its own. */
const canMount = (() => {
  try {
    execFileSync("unshare", ["--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], { stdio: "ignore" });
    return true;
  } catch {
    process.stderr.write("SQLite: file systems cannot be mounted here; their cases are skipped\n");
    return false;
  }
})();

describe("a store on SQLite", () => {
  let directory: string;
  let path: string;
  const stores: TaskStore[] = [];

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "miroir-failures-"));
    path = join(directory, "miroir.db");
  });
  afterEach(async () => {
    for (const store of stores.splice(0)) await store.close();
    await rm(directory, { recursive: true, force: true });
  });

  const open = async (options: { path?: string; maxPages?: number } = {}): Promise<TaskStore> => {
    const store = await openSqliteTaskStore({ path, clock, ...options });
    stores.push(store);
    return store;
  };
  const failureOf = (call: Promise<unknown>): Promise<Error> =>
    call.then(
      () => expect.fail("it resolved"),
      (error: Error) => error,
    );
  const aborted = (message: RegExp) => ({
    name: "StoreUnavailableError",
    outcome: "certainly-aborted",
    message: expect.stringMatching(message),
  });
  const integrity = (): unknown => {
    const db = new Database(path);
    try {
      return db.pragma("integrity_check", { simple: true });
    } finally {
      db.close();
    }
  };
  /** Closed, with 300 tasks of two node tasks each, a topology and a workflow. */
  const fill = async (): Promise<void> => {
    const store = await openSqliteTaskStore({ path, clock });
    const fence = await lead(store);
    await store.tasks.upsert(
      Array.from({ length: 300 }, (_, uid) =>
        task(uid, { nodeTasks: [nodeTask("node-0", uid), nodeTask("node-1", uid)] }),
      ),
      fence,
    );
    await store.topology.save(
      undefined,
      { clusterId: "c", term: fence.term, counter: 1, contentHash: "1", document: new Uint8Array(20_000) },
      fence,
    );
    await store.workflows.put(
      {
        id: workflowId("w"),
        kind: "k",
        step: "1",
        stateJson: "{}",
        createdAt: 1,
        updatedAt: 1,
        finishedAt: null,
      },
      fence,
    );
    await store.close();
  };
  /** Everything that {@link fill} wrote, read back. */
  const readAll = async (file: string): Promise<string> => {
    const store = await openSqliteTaskStore({ path: file, clock });
    try {
      const everything = [
        await store.tasks.list({}, { limit: 1_000 }),
        await store.tasks.list({ statuses: ["enqueued"] }, { limit: 10 }),
        await store.tasks.countOpen(),
        await store.topology.load(),
        await store.workflows.get(workflowId("w")),
        await store.nodeCursors.list(),
        await store.lease.current(scope),
      ];
      return JSON.stringify(everything);
    } finally {
      await store.close();
    }
  };

  describe("on a full disk", () => {
    it("stores nothing of what does not fit, keeps the rest, and goes on when rows are deleted", async () => {
      const store = await open({ maxPages: 200 });
      const fence = await lead(store);
      const acknowledged = new Set<number>();
      let refused: Error | undefined;
      for (let uid = 0; refused === undefined; uid += 2) {
        const pair = [uid, uid + 1];
        const rows = pair.map((one) => task(one, { customMetadata: "x".repeat(5_000), finishedAt: 5 }));
        refused = await store.tasks
          .upsert(
            rows.map((row) => ({ ...row, status: "succeeded" as const })),
            fence,
          )
          .then(
            () => void pair.forEach((one) => void acknowledged.add(one)),
            (error: Error) => error,
          );
      }
      expect(refused).toMatchObject(aborted(/disk is full.*Free some space/));
      const { tasks, total } = await store.tasks.list({}, { limit: 1_000 });
      expect(new Set(tasks.map(({ uid }) => Number(uid)))).toEqual(acknowledged);
      expect(total).toBe(acknowledged.size);
      await store.retention.pruneTasks({ finishedBefore: clock.now(), limit: 40 }, fence);
      await store.tasks.upsert([task(10_000, { customMetadata: "x".repeat(5_000) })], fence);
      expect(await store.tasks.get(taskUid(10_000))).toBeDefined();
      await store.close();
      expect(integrity()).toBe("ok");
    });

    it.skipIf(!canMount)(
      "of the system, and on one that cannot be written, says so and breaks nothing",
      async () => {
        const program = await bundleChild(new URL("./mounted-store.ts", import.meta.url));
        const child = spawn("unshare", ["--mount", process.execPath, program, directory], {
          stdio: ["ignore", "pipe", "inherit"],
        });
        let output = "";
        child.stdout.on("data", (chunk: Buffer) => {
          output += chunk.toString();
        });
        const [code] = await once(child, "close");
        expect(code).toBe(0);
        const report = JSON.parse(output) as MountReport;
        for (const error of report.whenFull) {
          expect(error).toMatchObject({ typed: true, code: "unavailable" });
          expect(error.message).toMatch(/disk is full|disk reported an error/);
          expect(error.ms).toBeLessThan(5_000);
        }
        const stored = new Set(report.stored);
        for (const uid of report.acknowledged) expect(stored).toContain(uid);
        // Of each pair both or none.
        for (const uid of stored) expect(stored).toContain(uid % 2 === 0 ? uid + 1 : uid - 1);
        expect(report.readWhenFull).toBeGreaterThan(10);
        expect(report.integrity).toBe("ok");
        expect(report.whenReadOnly).toHaveLength(2);
        for (const error of report.whenReadOnly) {
          expect(error).toMatchObject({ typed: true, code: "unavailable", outcome: "certainly-aborted" });
          expect(error.message).toMatch(/writable|permissions/);
        }
      },
    );
  });

  it("that another process keeps locked: gives up after 5 seconds, reads meanwhile, then goes on", async () => {
    const store = await open();
    const fence = await lead(store);
    const other = new Database(path);
    other.exec("BEGIN IMMEDIATE");
    expect(await store.tasks.get(taskUid(1))).toBeUndefined();
    const start = performance.now();
    const error = await failureOf(store.tasks.upsert([task(1)], fence));
    const ms = performance.now() - start;
    expect(error).toMatchObject(aborted(/another process held the store for 5000 ms/));
    expect(ms).toBeGreaterThan(4_900);
    expect(ms).toBeLessThan(5_600);
    other.exec("ROLLBACK");
    other.close();
    await store.tasks.upsert([task(1)], fence);
    expect(await store.tasks.get(taskUid(1))).toBeDefined();
  });

  describe("whose file is damaged", () => {
    it("anywhere: mostly reads what was written, or fails as a store error", async () => {
      await fill();
      const whole = await readAll(path);
      const bytes = await readFile(path);
      const copy = join(directory, "copy.db");
      const outcomes = { read: 0, short: 0, refused: 0 };
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 })), {
            minLength: 1,
            maxLength: 30,
          }),
          async (flips) => {
            const damaged = Buffer.from(bytes);
            for (const [at, by] of flips) damaged[at] = (damaged[at] ?? 0) ^ by;
            for (const suffix of ["-wal", "-shm"]) await rm(copy + suffix, { force: true });
            await writeFile(copy, damaged);
            try {
              const read = await readAll(copy);
              // Pages carry no checksums: a changed key inside of a tree can hide the rows behind it, which SQLite does not notice.
              if (read.length > whole.length / 2) outcomes.read++;
              else outcomes.short++;
            } catch (error) {
              expect(error).toBeInstanceOf(StoreError);
              expect(error).not.toMatchObject({ code: "invalid_argument" });
              outcomes.refused++;
            }
          },
        ),
        { numRuns: 120 },
      );
      expect(outcomes.refused).toBeGreaterThan(10);
      expect(outcomes.short).toBeLessThan(outcomes.read / 4);
    });

    it("by being cut short: fails as a store error", async () => {
      await fill();
      const { size } = await stat(path);
      const copy = join(directory, "copy.db");
      for (const length of [
        15,
        50,
        100,
        511,
        4_095,
        4_096,
        8_192,
        12_345,
        size / 2,
        size - 4_096,
        size - 1,
      ]) {
        for (const suffix of ["-wal", "-shm"]) await rm(copy + suffix, { force: true });
        await copyFile(path, copy);
        await truncate(copy, Math.floor(length));
        const error = await readAll(copy).then(
          () => undefined,
          (failure: unknown) => failure,
        );
        expect(error, `cut to ${length}`).toBeInstanceOf(StoreError);
      }
    });

    it("by another program's header: is refused as another program's, untouched", async () => {
      await fill();
      const bytes = await readFile(path);
      const header = Buffer.from("%PDF-1.7\n%\xE2\xE3\xCF\xD3\n", "latin1");
      const foreign = Buffer.concat([header, bytes.subarray(header.length)]);
      await writeFile(path, foreign);
      expect(await failureOf(openSqliteTaskStore({ path, clock }))).toBeInstanceOf(StoreForeignError);
      expect(await readFile(path)).toEqual(foreign);
    });

    it("in a row: says which is damaged, where the row makes no sense", async () => {
      await fill();
      const db = new Database(path);
      db.pragma("ignore_check_constraints = ON");
      db.exec("UPDATE tasks SET type = 'nonsense' WHERE uid = 7");
      db.close();
      const store = await open();
      expect(await failureOf(store.tasks.get(taskUid(7)))).toBeInstanceOf(StoreCorruptError);
      expect(await store.tasks.get(taskUid(8))).toBeDefined();
    });
  });

  it("whose log was deleted: opens with everything up to the last checkpoint, whole", async () => {
    await fill();
    const store = await open();
    const fence = await lead(store);
    await store.tasks.upsert([task(1_000)], fence);
    // As after a crash: the log is there and no process has the store open.
    const crashed = join(directory, "crashed.db");
    await copyFile(path, crashed);
    const [log, copiedLog] = [`${path}-wal`, `${crashed}-wal`];
    await copyFile(log, copiedLog);
    expect(await readAll(crashed)).toContain('"uid":1000');
    for (const suffix of ["-wal", "-shm"]) await rm(crashed + suffix, { force: true });
    await copyFile(path, crashed);
    const read = await readAll(crashed);
    expect(read).toContain('"uid":299');
    expect(read).not.toContain('"uid":1000');
  });

  describe("beside whose file a journal lies", () => {
    /** A copy of a database in the middle of a change, as a killed program leaves it. */
    const leaveInTheMiddle = async (prepare: (db: Database.Database) => void): Promise<void> => {
      const begun = join(directory, "begun.db");
      const db = new Database(begun);
      prepare(db);
      // Otherwise the journal counts as begun only when it is synchronised, a moment before the commit.
      db.pragma("synchronous = OFF");
      db.exec("BEGIN IMMEDIATE; PRAGMA user_version = 7;");
      db.exec("CREATE TABLE half_made (x)");
      await copyFile(begun, path);
      await copyFile(`${begun}-journal`, `${path}-journal`);
      db.exec("ROLLBACK");
      db.close();
      const untouched = new Database(path, { readonly: true });
      expect(() => untouched.pragma("user_version")).toThrow(
        expect.objectContaining({ code: "SQLITE_READONLY_ROLLBACK" }),
      );
      untouched.close();
    };

    it("because it was killed while it was made: is made", async () => {
      await leaveInTheMiddle((db) => db.pragma("user_version = 1"));
      await fill();
      expect(await readAll(path)).toContain('"uid":299');
      expect(integrity()).toBe("ok");
    });

    it("because another program was killed: is left to it, untouched", async () => {
      for (const rows of [1, 5_000]) {
        await leaveInTheMiddle((db) => {
          db.exec("CREATE TABLE IF NOT EXISTS theirs (x)");
          const insert = db.prepare("INSERT INTO theirs VALUES (zeroblob(100))");
          db.transaction(() => {
            for (let i = 0; i < rows; i++) insert.run();
          })();
        });
        const [file, journal] = [await readFile(path), await readFile(`${path}-journal`)];
        expect(await failureOf(openSqliteTaskStore({ path, clock }))).toBeInstanceOf(StoreForeignError);
        expect((await readFile(path)).equals(file)).toBe(true);
        expect((await readFile(`${path}-journal`)).equals(journal)).toBe(true);
      }
    });
  });

  it("waits for the disk where it promises to: FULL for what others rely on, NORMAL for the rest", async () => {
    await fill();
    for (const [name, value] of [
      ["FULL", 2],
      ["NORMAL", 1],
    ] as const) {
      const connection = new Connection(openDatabase(path), path, name);
      const read = (pragma: string): unknown =>
        Object.values(connection.prepare(`PRAGMA ${pragma}`).get() ?? {});
      expect(read("synchronous")).toEqual([value]);
      expect(read("journal_mode")).toEqual(["wal"]);
      expect(read("foreign_keys")).toEqual([1]);
      expect(read("busy_timeout")).toEqual([5_000]);
      connection.close();
    }
  });

  it("commits on the right one of its connections", async () => {
    const commits: string[] = [];
    const store = await openSqliteTaskStore({
      path,
      clock,
      faults: { at: (point, operation) => void (point === "before-commit" && commits.push(operation)) },
    });
    stores.push(store);
    const fence = await lead(store);
    await store.tasks.allocateUids(3, fence);
    expect(commits).toHaveLength(2);
  });
});
