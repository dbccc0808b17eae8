import { createHash } from "node:crypto";
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type Database from "better-sqlite3";
import {
  StoreAlteredError,
  StoreCorruptError,
  StoreForeignError,
  StoreTooNewError,
  StoreUnavailableError,
} from "../errors.js";
import { openDatabase, sqliteCode, translateError } from "./connection.js";

/** Marks a SQLite file as a Miroir store: "Mirr" in ASCII. */
const applicationId = 0x4d697272;

/** A store that is larger than this has been created. */
const maxUncreatedBytes = 65_536;

/** One numbered step of the schema. */
export interface Migration {
  /** From 1, without gaps. */
  readonly version: number;
  readonly name: string;
  readonly sql: string;
  /** SHA-256 of the text, in hexadecimal, whatever its line ends. */
  readonly checksum: string;
}

/** The migrations that come with the package. Works from the sources and from the build alike. */
export const packagedMigrations = fileURLToPath(new URL("../../../migrations/", import.meta.url));

/** Reads `NNN_name.sql` files, in order. */
export function readMigrations(directory: string): readonly Migration[] {
  const migrations: Migration[] = [];
  for (const file of readdirSync(directory).sort()) {
    const match = /^(\d{3})_(\w+)\.sql$/.exec(file);
    if (match?.[1] === undefined || match[2] === undefined) continue;
    const version = Number(match[1]);
    if (version !== migrations.length + 1) {
      throw new Error(`${directory} has ${file} where migration ${migrations.length + 1} is due.`);
    }
    const sql = readFileSync(`${directory}/${file}`, "utf8").replaceAll("\r\n", "\n");
    migrations.push({
      version,
      name: match[2],
      sql,
      checksum: createHash("sha256").update(sql).digest("hex"),
    });
  }
  if (migrations.length === 0) throw new Error(`${directory} holds no migrations; reinstall Miroir.`);
  return migrations;
}

/**
 * Creates the store where there is none, and brings its schema up to date in one transaction. What does not
 * fit is refused before anything is written.
 */
export function migrate(path: string, migrations: readonly Migration[], now: number): void {
  createFile(path);
  if (statSync(path).size > 0) readSchemaVersion(path, migrations);
  const db = openDatabase(path);
  try {
    db.pragma("journal_mode = WAL");
    db.pragma("synchronous = FULL");
    applyMigrations(db, path, migrations, now);
  } catch (error) {
    throw translateError(error, "bring the schema up to date", path, "certainly-aborted");
  } finally {
    db.close();
  }
}

/** Applies what is missing to an open database. */
export function applyMigrations(
  db: Pick<Database.Database, "prepare" | "exec" | "pragma" | "transaction">,
  location: string,
  migrations: readonly Migration[],
  now: number,
): void {
  const apply = db.transaction(() => {
    // Looked at again under the lock: another process may have migrated meanwhile.
    const applied = checkSchema(db, location, migrations);
    const pending = migrations.slice(applied);
    if (pending.length === 0) return;
    db.pragma(`application_id = ${applicationId}`);
    db.exec(`CREATE TABLE IF NOT EXISTS schema_version (
      version INTEGER PRIMARY KEY,
      name TEXT NOT NULL,
      checksum TEXT NOT NULL,
      applied_at INTEGER NOT NULL
    ) STRICT`);
    const record = db.prepare<[number, string, string, number]>(
      "INSERT INTO schema_version (version, name, checksum, applied_at) VALUES (?, ?, ?, ?)",
    );
    for (const migration of pending) {
      db.exec(migration.sql);
      record.run(migration.version, migration.name, migration.checksum, now);
    }
  });
  apply.immediate();
}

/** How many of `migrations` the store has; throws where it has others. */
function checkSchema(
  db: Pick<Database.Database, "prepare" | "pragma">,
  location: string,
  migrations: readonly Migration[],
): number {
  const tables = db
    .prepare<[], { name: string }>("SELECT name FROM sqlite_schema WHERE type = 'table'")
    .all()
    .map((row) => row.name);
  const id = db.pragma("application_id", { simple: true });
  if (tables.length === 0 && id === 0) return 0;
  if (id !== applicationId || !tables.includes("schema_version")) {
    throw new StoreForeignError(location, "it is a SQLite database of another program");
  }
  const recorded = db
    .prepare<[], { version: number; name: string; checksum: string }>(
      "SELECT version, name, checksum FROM schema_version ORDER BY version",
    )
    .all();
  const newest = recorded.at(-1)?.version ?? 0;
  if (newest > migrations.length) throw new StoreTooNewError(location, newest, migrations.length);
  for (const [index, row] of recorded.entries()) {
    const migration = migrations[index];
    if (migration === undefined || row.version !== migration.version) {
      throw new StoreAlteredError(location, `it records migration ${row.version} where ${index + 1} is due`);
    }
    if (row.checksum !== migration.checksum) {
      throw new StoreAlteredError(
        location,
        `migration ${row.version} (${row.name}) was applied with checksum ${row.checksum.slice(0, 12)}…, ` +
          `this program carries ${migration.checksum.slice(0, 12)}…`,
      );
    }
  }
  return recorded.length;
}

/**
 * How many of `migrations` an existing file has; throws where it has others. Looks through a read-only connection, so
 * that a refusal leaves the file as it was.
 */
export function readSchemaVersion(path: string, migrations: readonly Migration[]): number {
  const db = openDatabase(path, { readonly: true });
  try {
    return checkSchema(db, path, migrations);
  } catch (error) {
    const code = sqliteCode(error);
    if (code === "SQLITE_READONLY_ROLLBACK") return readVersionOfCopy(path, migrations);
    if (code === "SQLITE_NOTADB") {
      throw new StoreForeignError(path, "the file is not a SQLite database", { cause: error });
    }
    if (code === "SQLITE_ERROR") {
      throw new StoreCorruptError(`${path} has no readable schema_version table`, { cause: error });
    }
    throw translateError(error, "read the schema version", path, "certainly-aborted");
  } finally {
    db.close();
  }
}

/**
 * `readSchemaVersion` of a file beside which a rollback journal lies. Miroir leaves one where it is killed while it
 * creates the store, which then has a page or two; what it was can be seen only after the journal is played back, so
 * that is done to a copy.
 */
function readVersionOfCopy(path: string, migrations: readonly Migration[]): number {
  if (statSync(path).size > maxUncreatedBytes) {
    throw new StoreForeignError(
      path,
      "it is a SQLite database that another program left in the middle of a change",
    );
  }
  const directory = mkdtempSync(join(tmpdir(), "miroir-inspect-"));
  try {
    const copy = join(directory, "copy.db");
    copyFileSync(path, copy);
    // It may be gone by now: another process has played it back.
    if (existsSync(`${path}-journal`)) copyFileSync(`${path}-journal`, `${copy}-journal`);
    const db = openDatabase(copy);
    try {
      return checkSchema(db, path, migrations);
    } finally {
      db.close();
    }
  } catch (error) {
    throw translateError(error, "read the schema version", path, "certainly-aborted");
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Creates an empty file that only its owner reads: the store holds what the nodes' keys protect. */
function createFile(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    closeSync(openSync(path, "a", 0o600));
  } catch (error) {
    // A store on a read-only mount still gets the checks below, and SQLite's own reason.
    if (existsSync(path) && statSync(path).isFile()) return;
    throw new StoreUnavailableError(
      `The store ${path} cannot be created. Check the path and the permissions of its directory.`,
      "certainly-aborted",
      { cause: error },
    );
  }
}
