import { StoreCorruptError } from "../errors.js";

/** A row as Redis gives it: names and values in turn. */
export type FlatRow = readonly unknown[];

/** Reads a row's fields; rejects what no version of this program wrote with `StoreCorruptError`. */
export class RowFields {
  readonly #fields = new Map<string, unknown>();
  readonly #what: string;

  /** `what` names the row in messages: `the session "x"`. */
  constructor(flat: unknown, what: string) {
    this.#what = what;
    if (!Array.isArray(flat)) throw new StoreCorruptError(`${what} is not a list of fields`);
    for (let i = 0; i + 1 < flat.length; i += 2) this.#fields.set(String(flat[i]), flat[i + 1]);
  }

  /** Text that must be there. */
  text(field: string): string {
    const value = this.textOrNull(field);
    if (value === null) throw this.corrupt(field, "is missing");
    return value;
  }

  /** Text, or null where the field is absent. */
  textOrNull(field: string): string | null {
    const value = this.#fields.get(field);
    if (value === undefined) return null;
    return Buffer.isBuffer(value) ? value.toString("utf8") : String(value);
  }

  /** An integer that must be there. */
  integer(field: string): number {
    const value = this.integerOrNull(field);
    if (value === null) throw this.corrupt(field, "is missing");
    return value;
  }

  /** An integer, or null where the field is absent. */
  integerOrNull(field: string): number | null {
    const text = this.textOrNull(field);
    if (text === null) return null;
    const value = Number(text);
    if (!/^-?\d+$/.test(text) || !Number.isSafeInteger(value)) {
      throw this.corrupt(field, `holds "${text.slice(0, 40)}", not an integer`);
    }
    return value;
  }

  /** Bytes that must be there; the row must have been read as bytes. */
  bytes(field: string): Uint8Array {
    const value = this.#fields.get(field);
    if (!Buffer.isBuffer(value)) throw this.corrupt(field, "is missing");
    return new Uint8Array(value);
  }

  /** The error for a field that says something impossible. */
  corrupt(field: string, problem: string): StoreCorruptError {
    return new StoreCorruptError(`field ${field} of ${this.#what} ${problem}`);
  }
}

/** The fields of a hash: null is an absent field. */
export function presentFields(
  row: Readonly<Record<string, string | number | Buffer | null>>,
): Record<string, string | number | Buffer> {
  const fields: Record<string, string | number | Buffer> = {};
  for (const [name, value] of Object.entries(row)) if (value !== null) fields[name] = value;
  return fields;
}
