import { InvalidArgumentError, type StoreCorruptError } from "./errors.js";
import { hasUnpairedSurrogate } from "./ids.js";

/** The longest name, in UTF-16 code units, as `String.length` counts. */
const maxNameLength = 512;

/** A row's columns as they are stored, named as in SQL. On Redis null is an absent field. */
export type RowColumns = Readonly<Record<string, string | number | null>>;

/** Reads a stored row's columns; each rejects what no version of this program wrote with `StoreCorruptError`. */
export interface ColumnReader {
  text(column: string): string;
  textOrNull(column: string): string | null;
  integer(column: string): number;
  integerOrNull(column: string): number | null;
  /** The error for a column that says something impossible. */
  corrupt(column: string, problem: string): StoreCorruptError;
}

/** How the rows of a table that has one text as its key are kept: the same on every backend. */
export interface RowFormat<Row> {
  /** What one row is called in messages, with its article: `a canary`. */
  readonly one: string;
  /** What several are called: `canaries`. */
  readonly many: string;
  /** The column that names a row. */
  readonly key: string;
  /** All columns, the key's among them. */
  readonly columns: readonly string[];
  /** Columns that keep their first value when a row is replaced. */
  readonly kept: readonly string[];
  idOf(row: Row): string;
  /** Refuses, with `InvalidArgumentError`, a row that a backend could not give back as it is. */
  check(row: Row): void;
  encode(row: Row): RowColumns;
  decode(columns: ColumnReader): Row;
}

/** Refuses what cannot name anything: names have 1 to 512 characters that UTF-8 can hold. */
export function checkName(value: string, what: string): void {
  if (typeof value !== "string" || value.length === 0 || value.length > maxNameLength) {
    throw new InvalidArgumentError(`${what} has 1 to ${maxNameLength} characters.`);
  }
  if (hasUnpairedSurrogate(value)) {
    throw new InvalidArgumentError(`${what} is text that UTF-8 can hold; it has half of a surrogate pair.`);
  }
}

/** A column that holds 0 or 1. */
export function readFlag(columns: ColumnReader, column: string): boolean {
  const value = columns.integer(column);
  if (value !== 0 && value !== 1) throw columns.corrupt(column, `holds ${value}, neither 0 nor 1`);
  return value === 1;
}

/** A column that holds an integer of at least `min`. */
export function readAtLeast(columns: ColumnReader, column: string, min: number): number {
  const value = columns.integer(column);
  if (value < min) throw columns.corrupt(column, `holds ${value}, which is below ${min}`);
  return value;
}
