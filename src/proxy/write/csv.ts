import { isUtf8 } from "node:buffer";
import { parseRustFloat, parseRustInteger, printFloat } from "./serde-value.js";

/** A CSV body that Meilisearch would refuse; the message is the inner part of its own. */
export class CsvError extends Error {
  override readonly name = "CsvError";
}

/** Turns a CSV body into documents as it arrives. */
export interface CsvReader {
  /** Takes the next bytes; gives the documents that they complete, as JSON objects. */
  push(chunk: Buffer): Buffer[];
  /** Tells that the body is complete. */
  end(): Buffer[];
}

const QUOTE = 0x22;
const CARRIAGE_RETURN = 0x0d;
const LINE_FEED = 0x0a;

type Column = { readonly name: string; readonly type: "string" | "number" | "boolean" };
type State = "record-start" | "field-start" | "field" | "quoted" | "quote-in-quoted";

/**
 * Reads CSV with the leniency and the typed headers (`name:number`, `name:boolean`, `name:string`) of Meilisearch:
 * the first record names the columns, empty lines are skipped, an empty string becomes null, and of two columns with
 * one name the later one counts.
 *
 * Both methods throw {@link CsvError}; after an error the reader must not be used again.
 *
 * @param delimiter one ASCII character
 * @param maxRecordBytes size beyond which a record is refused, so that memory stays bounded (invariant 12)
 */
export function createCsvReader(delimiter: string, maxRecordBytes: number): CsvReader {
  return new Reader(delimiter.charCodeAt(0), maxRecordBytes);
}

class Reader implements CsvReader {
  private state: State = "record-start";
  private columns: readonly Column[] | undefined;
  /** The finished fields of the open record. */
  private fields: Buffer[] = [];
  /** The bytes of the open field. */
  private field: Buffer;
  private fieldLength = 0;
  private recordBytes = 0;
  /** Position behind everything read, and where the open record began to be read. */
  private byte = 0;
  private line = 1;
  private recordByte = 0;
  private recordLine = 1;
  private records = 0;
  private documents = 0;
  private bomChecked = 0;

  constructor(
    private readonly delimiter: number,
    private readonly maxRecordBytes: number,
  ) {
    this.field = Buffer.allocUnsafe(4_096);
  }

  push(chunk: Buffer): Buffer[] {
    const out: Buffer[] = [];
    for (const byte of this.withoutBom(chunk)) this.take(byte, out);
    return out;
  }

  end(): Buffer[] {
    const out: Buffer[] = [];
    if (this.bomChecked > 0 && this.bomChecked < 3) {
      const held = Buffer.from([0xef, 0xbb, 0xbf]).subarray(0, this.bomChecked);
      this.bomChecked = 3;
      for (const byte of held) this.take(byte, out);
    }
    if (this.state !== "record-start") {
      this.finishField();
      this.finishRecord(out);
    }
    return out;
  }

  /** Drops a byte order mark in front of the body, wherever the chunks are cut. */
  private withoutBom(chunk: Buffer): Buffer {
    if (this.bomChecked >= 3) return chunk;
    const mark = [0xef, 0xbb, 0xbf];
    let at = 0;
    while (this.bomChecked < 3 && at < chunk.length && chunk[at] === mark[this.bomChecked]) {
      at++;
      this.bomChecked++;
    }
    if (this.bomChecked === 3) {
      this.byte += 3;
      this.recordByte = this.byte;
      return chunk.subarray(at);
    }
    if (at === chunk.length) return chunk.subarray(at);
    const held = Buffer.from(mark.slice(0, this.bomChecked - at));
    this.bomChecked = 3;
    return held.length === 0 ? chunk : Buffer.concat([held, chunk]);
  }

  private take(byte: number, out: Buffer[]): void {
    this.byte++;
    if (byte === LINE_FEED) this.line++;
    const terminator = byte === LINE_FEED || byte === CARRIAGE_RETURN;
    switch (this.state) {
      case "record-start":
        if (terminator) return;
        this.state = "field-start";
        this.takeFieldStart(byte, terminator, out);
        return;
      case "field-start":
        this.takeFieldStart(byte, terminator, out);
        return;
      case "field":
        this.takeInField(byte, terminator, out);
        return;
      case "quoted":
        if (byte === QUOTE) this.state = "quote-in-quoted";
        else this.copy(byte);
        return;
      case "quote-in-quoted":
        if (byte === QUOTE) {
          this.copy(byte);
          this.state = "quoted";
          return;
        }
        this.takeInField(byte, terminator, out);
        return;
    }
  }

  private takeFieldStart(byte: number, terminator: boolean, out: Buffer[]): void {
    if (byte === QUOTE) {
      this.state = "quoted";
      return;
    }
    this.takeInField(byte, terminator, out);
  }

  private takeInField(byte: number, terminator: boolean, out: Buffer[]): void {
    if (byte === this.delimiter) {
      this.finishField();
      this.state = "field-start";
      return;
    }
    if (terminator) {
      this.finishField();
      this.finishRecord(out);
      return;
    }
    this.copy(byte);
    this.state = "field";
  }

  private copy(byte: number): void {
    if (this.fieldLength === this.field.length) {
      const grown = Buffer.allocUnsafe(this.field.length * 2);
      this.field.copy(grown, 0, 0, this.fieldLength);
      this.field = grown;
    }
    this.field[this.fieldLength++] = byte;
    this.recordBytes++;
    if (this.recordBytes > this.maxRecordBytes) {
      throw new CsvError(`record ${this.records} is larger than ${this.maxRecordBytes} bytes`);
    }
  }

  private finishField(): void {
    this.fields.push(Buffer.from(this.field.subarray(0, this.fieldLength)));
    this.fieldLength = 0;
  }

  private finishRecord(out: Buffer[]): void {
    const fields = this.fields;
    this.checkUtf8(fields);
    if (this.columns === undefined) {
      this.columns = fields.map((field) => parseHeader(field.toString("utf8")));
    } else {
      if (fields.length !== this.columns.length) {
        throw new CsvError(
          `CSV error: record ${this.records} (line: ${this.recordLine}, byte: ${this.recordByte}): found record with ${fields.length} fields, but the previous record has ${this.columns.length} fields`,
        );
      }
      this.documents++;
      out.push(documentOf(this.columns, fields, this.documents));
    }
    this.records++;
    this.fields = [];
    this.recordBytes = 0;
    this.state = "record-start";
    this.recordByte = this.byte;
    this.recordLine = this.line;
  }

  private checkUtf8(fields: readonly Buffer[]): void {
    const bad = fields.findIndex((field) => !isUtf8(field));
    if (bad === -1) return;
    throw new CsvError(
      `CSV parse error: record ${this.records} (line ${this.recordLine}, field: ${bad}, byte: ${this.recordByte}): invalid utf-8: invalid UTF-8 in field ${bad} near byte index ${validUpTo(fields[bad] ?? Buffer.alloc(0))}`,
    );
  }
}

/** Bytes in front of the first one that is no UTF-8. */
function validUpTo(bytes: Buffer): number {
  let good = 0;
  for (let end = 1; end <= bytes.length; end++) {
    if (isUtf8(bytes.subarray(good, end))) good = end;
    else if (end - good >= 4) return good;
  }
  return good;
}

function parseHeader(header: string): Column {
  const colon = header.lastIndexOf(":");
  const type = colon === -1 ? "" : header.slice(colon + 1);
  if (type === "string" || type === "number" || type === "boolean") {
    return { name: header.slice(0, colon), type };
  }
  return { name: header, type: "string" };
}

function documentOf(columns: readonly Column[], fields: readonly Buffer[], line: number): Buffer {
  const members = new Map<string, string>();
  columns.forEach((column, i) => {
    members.set(column.name, valueText(column, (fields[i] ?? Buffer.alloc(0)).toString("utf8"), line));
  });
  const parts = [...members].map(([name, value]) => `${JSON.stringify(name)}:${value}`);
  return Buffer.from(`{${parts.join(",")}}`);
}

function valueText(column: Column, value: string, line: number): string {
  if (column.type === "string") return value === "" ? "null" : JSON.stringify(value);
  const trimmed = value.trim();
  if (trimmed === "") return "null";
  if (column.type === "boolean") {
    if (trimmed === "true" || trimmed === "false") return trimmed;
    throw new CsvError(
      `Error parsing boolean ${JSON.stringify(value)} at line ${line}: provided string was not \`true\` or \`false\``,
    );
  }
  const integer = parseRustInteger(trimmed);
  if (integer !== undefined) return integer;
  const float = parseRustFloat(trimmed);
  if (float !== undefined) return printFloat(float);
  throw new CsvError(`Error parsing number ${JSON.stringify(value)} at line ${line}: invalid float literal`);
}
