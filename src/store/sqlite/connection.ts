import Database from "better-sqlite3";
import {
  FencedError,
  StoreClosedError,
  StoreCorruptError,
  StoreError,
  type StoreOutcome,
  StoreUnavailableError,
} from "../errors.js";
import type { FaultPoint, StoreFaults } from "../faults.js";
import type { FencingToken } from "../task-store.js";

/** How long a statement waits for another process's lock. */
const busyTimeoutMs = 5_000;

/** Whether a commit waits until the disk has it: `FULL` does, `NORMAL` leaves that to the next checkpoint. */
export type Synchronous = "FULL" | "NORMAL";

/** How a connection is made. */
export interface ConnectionOptions {
  /** The file's size in pages of 4,096 bytes beyond which it does not grow, as on a full disk; no limit unless given. */
  readonly maxPages?: number;
  /** For tests only. */
  readonly faults?: StoreFaults;
}

interface LeaseRecord {
  holder: string | null;
  term: number;
}

/**
 * One SQLite connection. All its work is synchronous, so that no transaction is ever open while other code
 * runs.
 */
export class Connection {
  readonly #db: Database.Database;
  readonly #location: string;
  readonly #faults: StoreFaults | undefined;
  #operation = "";
  readonly #begin: Database.Statement<[]>;
  readonly #beginWrite: Database.Statement<[]>;
  readonly #commit: Database.Statement<[]>;
  readonly #rollback: Database.Statement<[]>;
  #readLease: Database.Statement<[string], LeaseRecord> | undefined;

  /** Takes over `db`, whose file is at `location`; closes it where it cannot be used. */
  constructor(
    db: Database.Database,
    location: string,
    synchronous: Synchronous,
    { maxPages, faults }: ConnectionOptions = {},
  ) {
    this.#location = location;
    this.#faults = faults;
    this.#db = db;
    try {
      this.#db.pragma("journal_mode = WAL");
      this.#db.pragma(`synchronous = ${synchronous}`);
      this.#db.pragma("foreign_keys = ON");
      this.#db.pragma("journal_size_limit = 67108864");
      this.#db.pragma("temp_store = MEMORY");
      if (maxPages !== undefined) this.#db.pragma(`max_page_count = ${maxPages}`);
      this.#begin = this.#db.prepare<[]>("BEGIN");
      this.#beginWrite = this.#db.prepare<[]>("BEGIN IMMEDIATE");
      this.#commit = this.#db.prepare<[]>("COMMIT");
      this.#rollback = this.#db.prepare<[]>("ROLLBACK");
    } catch (error) {
      this.#db.close();
      throw translateError(error, "open the store", location, "certainly-aborted");
    }
  }

  /** Compiles a statement; kept by the caller for the connection's life. */
  prepare<Parameters extends unknown[], Row = unknown>(sql: string): Database.Statement<Parameters, Row> {
    const statement = this.#guard("compile a statement", () => this.#db.prepare<Parameters, Row>(sql));
    return this.#faults === undefined ? statement : this.#withFaults(statement);
  }

  /** Runs `body` on one snapshot of the store. */
  read<T>(operation: string, body: () => T): T {
    return this.#transaction(this.#begin, operation, false, body);
  }

  /** Runs `body` in a write transaction: all of it is stored, or nothing. */
  write<T>(operation: string, body: () => T): T {
    return this.#transaction(this.#beginWrite, operation, true, body);
  }

  /** `write`, after the same transaction has found the fence to be the current one (invariant 3). */
  fencedWrite<T>(operation: string, fence: FencingToken, body: () => T): T {
    return this.write(operation, () => {
      this.#readLease ??= this.#db.prepare<[string], LeaseRecord>(
        "SELECT holder, term FROM leader_lease WHERE scope = ?",
      );
      const lease = this.#readLease.get(fence.scope) ?? { holder: null, term: 0 };
      if (lease.holder !== fence.holder || lease.term !== fence.term) {
        throw new FencedError(fence.scope, fence.holder, fence.term, lease);
      }
      return body();
    });
  }

  /** Bytes of the database, without the log beside it. */
  bytes(): number {
    return this.#guard("measure the store", () => {
      const pages = this.#db.pragma("page_count", { simple: true }) as number;
      return pages * (this.#db.pragma("page_size", { simple: true }) as number);
    });
  }

  /** Writes the database anew, without the pages that are free. Every other connection waits for it. */
  vacuum(): void {
    this.#guard("compact the store", () => {
      this.#db.exec("VACUUM");
      this.#db.pragma("wal_checkpoint(TRUNCATE)");
    });
  }

  /** Closes the connection; closing twice does nothing. */
  close(): void {
    try {
      this.#db.close();
    } catch (error) {
      throw translateError(error, "close the store", this.#location, "certainly-aborted");
    }
  }

  #transaction<T>(begin: Database.Statement<[]>, operation: string, isWrite: boolean, body: () => T): T {
    if (!this.#db.open) throw new StoreClosedError();
    let outcome: StoreOutcome = "certainly-aborted";
    try {
      this.#operation = operation;
      if (isWrite) this.#fault("before-begin");
      begin.run();
      const result = body();
      if (isWrite) this.#fault("before-commit");
      // A commit that fails can still surface after a crash: its frames may have reached the log.
      if (isWrite) outcome = "maybe-executed";
      this.#commit.run();
      if (isWrite) this.#fault("after-commit");
      return result;
    } catch (error) {
      throw translateError(this.#abort(error), operation, this.#location, outcome);
    }
  }

  /** Ends the open transaction after `error`; returns what to report. */
  #abort(error: unknown): unknown {
    if (!this.#db.inTransaction) return error;
    try {
      this.#rollback.run();
      return error;
    } catch (rollbackError) {
      return new AggregateError([error, rollbackError], "a statement failed, and so did the rollback");
    }
  }

  #fault(point: FaultPoint): void {
    this.#faults?.at(point, this.#operation);
  }

  /** A statement that tells of itself before it runs. */
  #withFaults<Parameters extends unknown[], Row>(
    statement: Database.Statement<Parameters, Row>,
  ): Database.Statement<Parameters, Row> {
    return new Proxy(statement, {
      get: (target, property) => {
        const value: unknown = Reflect.get(target, property);
        if (typeof value !== "function") return value;
        return (...args: unknown[]) => {
          if (property === "run" && this.#db.inTransaction) this.#fault("between-statements");
          const result: unknown = value.apply(target, args);
          // `pluck` and its like return the statement itself.
          return result === target ? this.#withFaults(target) : result;
        };
      },
    });
  }

  #guard<T>(operation: string, body: () => T): T {
    if (!this.#db.open) throw new StoreClosedError();
    try {
      return body();
    } catch (error) {
      throw translateError(error, operation, this.#location, "certainly-aborted");
    }
  }
}

/** Opens the file itself; nothing is written yet. */
export function openDatabase(path: string, options: { readonly?: boolean } = {}): Database.Database {
  try {
    return new Database(path, {
      timeout: busyTimeoutMs,
      readonly: options.readonly ?? false,
      fileMustExist: path !== ":memory:",
    });
  } catch (error) {
    throw translateError(error, "open the store", path, "certainly-aborted");
  }
}

/** Says what an error of SQLite means for the caller; store errors pass unchanged. */
export function translateError(
  error: unknown,
  operation: string,
  location: string,
  outcome: StoreOutcome,
): Error {
  if (error instanceof StoreError) return error;
  const code = sqliteCode(error);
  if (code === undefined) {
    if (error instanceof AggregateError) {
      return new StoreUnavailableError(
        `Could not ${operation} in ${location}, nor undo what was begun. Restart Miroir; it recovers the store when it opens it.`,
        outcome,
        { cause: error },
      );
    }
    return error instanceof Error ? error : new Error(String(error));
  }
  if (code.startsWith("SQLITE_CORRUPT") || code === "SQLITE_NOTADB") {
    return new StoreCorruptError(`SQLite reports ${code} for ${location} (could not ${operation})`, {
      cause: error,
    });
  }
  return new StoreUnavailableError(`Could not ${operation} in ${location}: ${advice(code)}`, outcome, {
    cause: error,
  });
}

/** SQLite's extended result code; undefined for errors of other kinds. */
export function sqliteCode(error: unknown): string | undefined {
  return error instanceof Database.SqliteError ? error.code : undefined;
}

function advice(code: string): string {
  if (code.startsWith("SQLITE_BUSY") || code.startsWith("SQLITE_LOCKED")) {
    return `another process held the store for ${busyTimeoutMs} ms (${code}). Run one control process per store; repeat the call.`;
  }
  if (code === "SQLITE_FULL") return "the disk is full (SQLITE_FULL). Free some space; repeat the call.";
  if (code.startsWith("SQLITE_READONLY")) {
    return `the store cannot be written (${code}). Make the file, its directory and the mount writable.`;
  }
  if (code.startsWith("SQLITE_CANTOPEN")) {
    return `the file cannot be opened (${code}). Check the path, its directory and their permissions.`;
  }
  if (code.startsWith("SQLITE_IOERR")) {
    return `the disk reported an error (${code}). Check the disk, then restart Miroir.`;
  }
  return `SQLite reports ${code}. This is a fault in Miroir; please report it with this message.`;
}
