/**
 * What happens to a SQLite store on a small file system, and on one that cannot be written. Runs in a mount namespace
 * of its own (`unshare --mount`), mounts what it needs below DIRECTORY, and prints what it saw as JSON.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { openSqliteTaskStore } from "../../../src/store/sqlite/sqlite-task-store.js";
import { StoreError, type TaskStore } from "../../../src/store/task-store.js";
import { lead, ManualClock, task } from "./harness.js";

/** An error, as the tests look at it. */
export interface SeenError {
  readonly typed: boolean;
  readonly code: string;
  readonly outcome: string;
  readonly message: string;
  /** Milliseconds from the call to its rejection. */
  readonly ms: number;
}

/** What the program prints. */
export interface MountReport {
  /** Rows that were acknowledged before the disk was full, after that, and when there was room again. */
  readonly acknowledged: readonly number[];
  readonly whenFull: readonly SeenError[];
  /** Reads while the disk was full. */
  readonly readWhenFull: number;
  /** Rows in the end, and what `PRAGMA integrity_check` says. */
  readonly stored: readonly number[];
  readonly integrity: string;
  readonly whenReadOnly: readonly SeenError[];
}

const [, , directory] = process.argv;
if (directory === undefined) throw new Error("usage: mounted-store DIRECTORY");
const clock = new ManualClock();

async function seen(call: () => Promise<unknown>): Promise<SeenError | undefined> {
  const start = performance.now();
  try {
    await call();
    return undefined;
  } catch (error) {
    const typed = error instanceof StoreError;
    return {
      typed,
      code: typed ? error.code : "",
      outcome: typed ? error.outcome : "",
      message: String(error),
      ms: performance.now() - start,
    };
  }
}

const uids = async (store: TaskStore): Promise<number[]> => {
  const { tasks } = await store.tasks.list({}, { limit: 100_000, reverse: true });
  return tasks.map(({ uid }) => uid);
};

const small = join(directory, "small");
mkdirSync(small);
execFileSync("mount", ["-t", "tmpfs", "-o", "size=4m", "tmpfs", small]);
const path = join(small, "miroir.db");
const ballast = join(small, "ballast");
writeFileSync(ballast, Buffer.alloc(1_500_000));

const store = await openSqliteTaskStore({ path, clock });
const fence = await lead(store);
const acknowledged: number[] = [];
const whenFull: SeenError[] = [];
let next = 0;
/** Two tasks at once, of which both or none may be stored. */
const writeOnce = async (): Promise<SeenError | undefined> => {
  const pair = [next, next + 1];
  next += 2;
  const error = await seen(() =>
    store.tasks.upsert(
      pair.map((uid) => task(uid, { customMetadata: "x".repeat(20_000) })),
      fence,
    ),
  );
  if (error === undefined) acknowledged.push(...pair);
  return error;
};
while (whenFull.length < 5) {
  const error = await writeOnce();
  if (error !== undefined) whenFull.push(error);
}
const readWhenFull = (await uids(store)).length;
rmSync(ballast);
for (let i = 0; i < 5; i++) {
  const error = await writeOnce();
  if (error !== undefined) throw new Error(`there is room, and yet: ${error.message}`);
}
await store.close();
const reopened = await openSqliteTaskStore({ path, clock });
const stored = await uids(reopened);
await reopened.close();
const db = new Database(path);
const integrity = String(db.pragma("integrity_check", { simple: true }));
db.close();

// The same file where nothing can be written, after a close and after a crash.
const whenReadOnly: SeenError[] = [];
execFileSync("mount", ["-o", "remount,ro", small]);
clock.advance(60_000);
const error = await seen(async () => {
  const refused = await openSqliteTaskStore({ path, clock });
  await refused.tasks.upsert([task(1)], await lead(refused, "another"));
});
if (error !== undefined) whenReadOnly.push(error);
const missing = await seen(() => openSqliteTaskStore({ path: join(small, "new.db"), clock }));
if (missing !== undefined) whenReadOnly.push(missing);

const report: MountReport = { acknowledged, whenFull, readWhenFull, stored, integrity, whenReadOnly };
process.stdout.write(JSON.stringify(report));
