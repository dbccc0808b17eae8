import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { expect, it } from "vitest";
import { packagedMigrations } from "../../../src/store/sqlite/migrations.js";
import { expectConsistentTasks } from "./sqlite-consistency.js";

it("a history from before there were zones and counts by canceler is found by them", async () => {
  const directory = await mkdtemp(join(tmpdir(), "miroir-history-"));
  const path = join(directory, "miroir.db");
  try {
    const db = new Database(path);
    const [core = "", ...later] = (await readdir(packagedMigrations))
      .filter((name) => name.endsWith(".sql"))
      .sort();
    db.exec(await readFile(join(packagedMigrations, core), "utf8"));
    db.exec(`
      WITH RECURSIVE uids (uid) AS (SELECT 0 UNION ALL SELECT uid + 1 FROM uids WHERE uid < 5000)
      INSERT INTO tasks (uid, index_uid, type, status, enqueued_at, started_at, finished_at, canceled_by)
      SELECT uid * 3, 'movies', 'documentDeletion', iif(uid % 7 = 0, 'canceled', 'succeeded'), uid * 10 - 100,
        iif(uid % 5 = 0, NULL, uid * 10 + 3), uid * 10 + uid * 7919 % 997, iif(uid % 7 = 0, uid % 2, NULL) FROM uids`);
    for (const file of later) db.exec(await readFile(join(packagedMigrations, file), "utf8"));
    expect(db.prepare("SELECT count(*) AS n FROM task_zones").get()).toEqual({ n: 15 });
    db.close();
    expectConsistentTasks(path);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
