import { createHash } from "node:crypto";
import { cp, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { packagedMigrations, readMigrations } from "../../../src/store/sqlite/migrations.js";
import { openSqliteTaskStore } from "../../../src/store/sqlite/sqlite-task-store.js";
import {
  StoreAlteredError,
  StoreCorruptError,
  StoreError,
  StoreForeignError,
  StoreTooNewError,
  StoreUnavailableError,
  taskUid,
} from "../../../src/store/task-store.js";
import { lead, ManualClock, task } from "./harness.js";

const clock = new ManualClock();
const packaged = readMigrations(packagedMigrations);
/** The file of a migration that comes after those of this program. */
const laterFile = `${String(packaged.length + 1).padStart(3, "0")}_more.sql`;

describe("SQLite schema", () => {
  let directory: string;
  let path: string;
  let migrations: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "miroir-schema-"));
    path = join(directory, "data", "miroir.db");
    migrations = join(directory, "migrations");
    await cp(packagedMigrations, migrations, { recursive: true });
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  const open = (from: string = packagedMigrations) => openSqliteTaskStore({ path, clock, migrations: from });
  const openAndClose = async (from?: string) => (await open(from)).close();
  const digest = async () =>
    createHash("sha256")
      .update(await readFile(path))
      .digest("hex");
  const versions = () => {
    const db = new Database(path, { readonly: true });
    const rows = db.prepare("SELECT version, name, applied_at FROM schema_version ORDER BY version").all();
    db.close();
    return rows;
  };

  it("is made in a fresh place, readable by its owner alone, and recorded", async () => {
    await openAndClose();
    expect(versions()).toEqual(
      packaged.map(({ version, name }) => ({ version, name, applied_at: clock.now() })),
    );
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it("is left alone when it is up to date", async () => {
    const store = await open();
    await store.tasks.upsert([task(1)], await lead(store));
    await store.close();
    const before = versions();
    clock.advance(1_000);
    const again = await open();
    expect(await again.tasks.get(taskUid(1))).toEqual(task(1));
    await again.close();
    expect(versions()).toEqual(before);
  });

  it("grows by what a later program adds, keeping the rows", async () => {
    const store = await open();
    await store.tasks.upsert([task(1)], await lead(store));
    await store.close();
    await writeFile(join(migrations, laterFile), "CREATE TABLE more (id INTEGER PRIMARY KEY) STRICT;");
    const later = await open(migrations);
    expect(await later.tasks.get(taskUid(1))).toEqual(task(1));
    await later.close();
    expect(versions().slice(packaged.length)).toMatchObject([{ version: packaged.length + 1, name: "more" }]);
  });

  it("is refused untouched where a later program wrote it", async () => {
    await writeFile(join(migrations, laterFile), "CREATE TABLE more (id INTEGER PRIMARY KEY) STRICT;");
    await openAndClose(migrations);
    const before = await digest();
    const refusal = await open().catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(StoreTooNewError);
    const [theirs, ours] = [packaged.length + 1, packaged.length];
    expect(String(refusal)).toContain(
      `has schema version ${theirs}, this program knows versions up to ${ours}`,
    );
    expect(String(refusal)).toContain("Run the Miroir release that wrote it");
    expect(await digest()).toBe(before);
  });

  it("is refused untouched where a migration it records has another text", async () => {
    await openAndClose();
    const before = await digest();
    const file = join(migrations, "001_core.sql");
    await writeFile(file, `${await readFile(file, "utf8")}-- changed\n`);
    await writeFile(join(migrations, laterFile), "CREATE TABLE more (id INTEGER PRIMARY KEY) STRICT;");
    const refusal = await open(migrations).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(StoreAlteredError);
    expect(String(refusal)).toMatch(/migration 1 \(core\).*left untouched/s);
    expect(await digest()).toBe(before);
  });

  it("is refused untouched where its record has gaps", async () => {
    await openAndClose();
    const db = new Database(path);
    db.exec("DELETE FROM schema_version; INSERT INTO schema_version VALUES (0, 'x', 'y', 1)");
    db.close();
    await expect(open()).rejects.toBeInstanceOf(StoreAlteredError);
  });

  it("is not bothered by line ends", async () => {
    await openAndClose();
    const file = join(migrations, "001_core.sql");
    await writeFile(file, (await readFile(file, "utf8")).replaceAll("\n", "\r\n"));
    await expect(openAndClose(migrations)).resolves.toBeUndefined();
  });

  it("keeps nothing of a migration that fails", async () => {
    await openAndClose();
    await writeFile(join(migrations, laterFile), "CREATE TABLE more (id INTEGER); SELECT nonsense;");
    await expect(open(migrations)).rejects.toBeInstanceOf(StoreError);
    expect(versions()).toHaveLength(packaged.length);
    await writeFile(join(migrations, laterFile), "CREATE TABLE more (id INTEGER) STRICT;");
    await openAndClose(migrations);
    expect(versions()).toHaveLength(packaged.length + 1);
  });

  it("is not put into another program's database, nor over another file", async () => {
    await mkdir(join(directory, "data"));
    const db = new Database(path);
    db.exec("CREATE TABLE theirs (x)");
    db.close();
    const before = await digest();
    await expect(open()).rejects.toBeInstanceOf(StoreForeignError);
    expect(await digest()).toBe(before);
    await writeFile(path, "a letter, not a database\n".repeat(100));
    const text = await digest();
    await expect(open()).rejects.toBeInstanceOf(StoreForeignError);
    expect(await digest()).toBe(text);
  });

  it("says where it cannot be created", async () => {
    await writeFile(join(directory, "data"), "a file where a directory should be");
    const refusal = await open().catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(StoreUnavailableError);
    expect(refusal).toMatchObject({ outcome: "certainly-aborted" });
    expect(String(refusal)).toContain(path);
  });

  it("reports damage as such", async () => {
    const store = await open();
    const fence = await lead(store);
    for (let batch = 0; batch < 5; batch++) {
      await store.tasks.upsert(
        Array.from({ length: 500 }, (_, index) => task(batch * 500 + index)),
        fence,
      );
    }
    await store.close();
    const bytes = await readFile(path);
    bytes.fill(0xa5, 8_192);
    await writeFile(path, bytes);
    const read = async () => {
      const damaged = await open();
      try {
        return await damaged.tasks.list({}, { limit: 10_000 });
      } finally {
        await damaged.close();
      }
    };
    await expect(read()).rejects.toBeInstanceOf(StoreCorruptError);
  });

  it("works in memory too", async () => {
    const store = await openSqliteTaskStore({ path: ":memory:", clock });
    await store.tasks.upsert([task(1)], await lead(store));
    expect(await store.tasks.get(taskUid(1))).toEqual(task(1));
    await store.close();
  });
});
