import { existsSync, statSync } from "node:fs";
import { resolve } from "node:path";
import type Database from "better-sqlite3";
import type { Clock } from "../../runtime/world.js";
import { StoreError, StoreUnavailableError } from "../errors.js";
import { leaseScope } from "../ids.js";
import {
  type CheckProgress,
  FindingList,
  maxFindings,
  type SchemaState,
  type StoreCheck,
  type StoreInspection,
} from "../inspect.js";
import type { TransferTable } from "../transfer.js";
import { openDatabase, translateError } from "./connection.js";
import { packagedMigrations, readMigrations, readSchemaVersion } from "./migrations.js";
import { countLiveRows } from "./transfer.js";

/** The part of `inspectStore` for a SQLite file. */
export function inspectSqliteStore(file: string, clock: Pick<Clock, "now">): StoreInspection {
  const path = resolve(file);
  const schema = schemaOf(path);
  const found = { backend: "sqlite", location: file, schema, bytes: sizeOf(path), warnings: [] } as const;
  if (schema.kind === "absent" || schema.kind === "refused") {
    return { ...found, software: undefined, rows: undefined, leader: undefined };
  }
  return reading(path, "look at the store", (db) => ({
    ...found,
    software: `SQLite ${String(db.prepare("SELECT sqlite_version()").pluck().get())}`,
    rows: rowsOf(db, clock.now()),
    leader: leaderOf(db, clock.now()),
  }));
}

/** The part of `checkStore` for a SQLite file. */
export function checkSqliteStore(file: string, onProgress: (progress: CheckProgress) => void): StoreCheck {
  const path = resolve(file);
  const findings = new FindingList();
  const parts = [
    ["the file", checkFile],
    ["references between rows", checkReferences],
    ["counts of tasks", checkTaskCounts],
    ["waiting events", checkOverflow],
  ] as const;
  return reading(path, "check the store", (db) => {
    for (const [at, [part, check]] of parts.entries()) {
      onProgress({ part, done: at, total: parts.length });
      check(db, findings);
    }
    onProgress({ part: "everything", done: parts.length, total: parts.length });
    return findings.result();
  });
}

/** Runs `body` on one snapshot through a connection that cannot write. */
function reading<T>(path: string, operation: string, body: (db: Database.Database) => T): T {
  const db = openDatabase(path, { readonly: true });
  try {
    return db.transaction(() => body(db))();
  } catch (error) {
    throw translateError(error, operation, path, "certainly-aborted");
  } finally {
    db.close();
  }
}

function schemaOf(path: string): SchemaState {
  if (!existsSync(path) || sizeOf(path) === 0) return { kind: "absent" };
  const migrations = readMigrations(packagedMigrations);
  try {
    const version = readSchemaVersion(path, migrations);
    if (version === 0) return { kind: "absent" };
    if (version === migrations.length) return { kind: "current", version };
    const pending = migrations.slice(version).map((migration) => `${migration.version} ${migration.name}`);
    return { kind: "behind", version, known: migrations.length, pending };
  } catch (error) {
    if (!(error instanceof StoreError) || error instanceof StoreUnavailableError) throw error;
    return { kind: "refused", reason: error.message };
  }
}

/** The database and the log beside it. */
function sizeOf(path: string): number {
  return [path, `${path}-wal`].reduce((sum, file) => sum + (existsSync(file) ? statSync(file).size : 0), 0);
}

function rowsOf(db: Database.Database, now: number): Partial<Record<TransferTable, number>> {
  const tables = new Set(db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").pluck().all());
  return countLiveRows(
    (sql) => db.prepare<[{ now: number }], { n: number }>(sql).get({ now })?.n ?? 0,
    (table) => tables.has(table),
  );
}

function leaderOf(db: Database.Database, now: number): StoreInspection["leader"] {
  const scope = leaseScope("leader");
  const lease = db
    .prepare<[string], { holder: string | null; term: number; expiresAt: number }>(
      "SELECT holder, term, expires_at AS expiresAt FROM leader_lease WHERE scope = ?",
    )
    .get(scope);
  if (lease === undefined || lease.holder === null) return undefined;
  const { holder, term, expiresAt } = lease;
  return { scope, holder, term, expiresAt, live: expiresAt > now };
}

function checkFile(db: Database.Database, findings: FindingList): void {
  const lines = db
    .prepare(`PRAGMA integrity_check(${maxFindings + 1})`)
    .pluck()
    .all() as string[];
  for (const detail of lines) if (detail !== "ok") findings.add({ kind: "damaged-file", detail });
}

function checkReferences(db: Database.Database, findings: FindingList): void {
  interface Orphan {
    table: string;
    rowid: number | null;
    parent: string;
  }
  for (const orphan of db.prepare<[], Orphan>("PRAGMA foreign_key_check").iterate()) {
    const { table, parent, rowid } = orphan;
    findings.add({ kind: "orphan", table, id: rowid === null ? "(without a rowid)" : String(rowid), parent });
  }
}

function checkTaskCounts(db: Database.Database, findings: FindingList): void {
  interface Counted {
    status: string;
    type: string;
    index_uid: string;
    recorded: number;
    counted: number;
  }
  const kinds = db.prepare<[], Counted>(
    `WITH counted AS (SELECT status, type, index_uid, count(*) AS n FROM tasks GROUP BY 1, 2, 3)
     SELECT status, type, index_uid, coalesce(task_counts.n, 0) AS recorded, coalesce(counted.n, 0) AS counted
     FROM counted FULL JOIN task_counts USING (status, type, index_uid)`,
  );
  for (const { status, type, index_uid, recorded, counted } of kinds.iterate()) {
    findings.examined(counted);
    if (recorded === counted) continue;
    const of = `${status} tasks of type ${type} in index ${JSON.stringify(index_uid)}`;
    findings.add({ kind: "wrong-count", table: "tasks", of, recorded, counted });
  }
  const uids = db
    .prepare<[], { next: number; above: number }>(
      `SELECT (SELECT coalesce(max(next_uid), 0) FROM task_uids) AS next,
              (SELECT coalesce(max(uid) + 1, 0) FROM tasks) AS above`,
    )
    .get();
  if (uids !== undefined && uids.next < uids.above) {
    findings.add({
      kind: "wrong-count",
      table: "task_uids",
      of: "task uids given out",
      recorded: uids.next,
      counted: uids.above,
    });
  }
}

function checkOverflow(db: Database.Database, findings: FindingList): void {
  interface Sink {
    sink: string;
    events: number;
    bytes: number;
    countedEvents: number;
    countedBytes: number;
  }
  const sinks = db.prepare<[], Sink>(
    `SELECT cdc_sinks.sink, cdc_sinks.events, cdc_sinks.bytes, count(payload) AS countedEvents,
            coalesce(sum(length(payload)), 0) AS countedBytes
     FROM cdc_sinks LEFT JOIN cdc_overflow USING (sink) GROUP BY cdc_sinks.sink`,
  );
  for (const { sink, events, bytes, countedEvents, countedBytes } of sinks.iterate()) {
    findings.examined(countedEvents);
    const wrong = (of: string, recorded: number, counted: number): void => {
      if (recorded === counted) return;
      findings.add({
        kind: "wrong-count",
        table: "cdc_overflow",
        of: `${of} for ${sink}`,
        recorded,
        counted,
      });
    };
    wrong("events", events, countedEvents);
    wrong("bytes", bytes, countedBytes);
  }
}
