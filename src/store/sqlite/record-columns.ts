import { StoreCorruptError } from "../errors.js";
import type { ColumnReader } from "../row-format.js";

/** A row as SQLite gives it. */
export type SqlRecord = Readonly<Record<string, unknown>>;

/** Reads a record's columns. */
export class RecordColumns implements ColumnReader {
  readonly #record: SqlRecord;
  readonly #what: string;

  /** `what` names the row in messages. */
  constructor(record: SqlRecord, what: string) {
    this.#record = record;
    this.#what = what;
  }

  text(column: string): string {
    const value = this.#record[column];
    if (typeof value !== "string") throw this.corrupt(column, "is not text");
    return value;
  }

  textOrNull(column: string): string | null {
    return this.#record[column] === null ? null : this.text(column);
  }

  integer(column: string): number {
    const value = this.#record[column];
    // Those above 2^53 lost digits on their way, and are none that this program wrote.
    if (typeof value !== "number" || !Number.isSafeInteger(value)) {
      throw this.corrupt(column, "is not an integer below 2^53");
    }
    return value;
  }

  integerOrNull(column: string): number | null {
    return this.#record[column] === null ? null : this.integer(column);
  }

  corrupt(column: string, problem: string): StoreCorruptError {
    return new StoreCorruptError(`column ${column} of ${this.#what} ${problem}`);
  }
}
