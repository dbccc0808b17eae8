import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { z } from "zod";
import { LineTooLongError, linesOf } from "../runtime/lines.js";
import { type StoreRowCounts, type TransferRecord, type TransferTable, transferTables } from "./transfer.js";

/** What the first line of an export calls itself. */
export const EXPORT_FORMAT = "miroir-store";
/** The version of the format that this program writes and reads. */
export const EXPORT_VERSION = 1;

/** Bytes of the longest line that is read. */
const MAX_LINE = 256 * 1024 * 1024;
/** Characters that are collected before they are handed on. */
const CHUNK = 256 * 1024;

const countsSchema = z.partialRecord(z.enum(transferTables), z.number().int().min(0));

const headerSchema = z.object({
  format: z.literal(EXPORT_FORMAT),
  version: z.number().int().min(1),
  createdAt: z.iso.datetime(),
  backend: z.enum(["sqlite", "redis"]),
  schemaVersion: z.number().int().min(1),
  /** Rows by table when the export began. */
  rows: countsSchema,
});

const recordSchema = z.strictObject({
  table: z.enum(transferTables),
  row: z.record(z.string(), z.unknown()),
});

const footerSchema = z.strictObject({
  end: z.literal(EXPORT_FORMAT),
  /** Rows by table, as they were written. */
  rows: countsSchema,
  /** Of every byte between the first and the last line, in hexadecimal. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});

/** The first line of an export. */
export type ExportHeader = z.output<typeof headerSchema>;
/** The last line of an export: a file without it was cut off. */
export type ExportFooter = z.output<typeof footerSchema>;

/** A file is not a whole export; the message says in what way, and where. */
export class ExportFaultError extends Error {
  override readonly name = "ExportFaultError";
}

/**
 * An export as text, in chunks that end with a line: the header, a line for each record, the footer. `onRow` is called after
 * each record; `onEnd` with the footer.
 */
export async function* writeExport(
  header: Omit<ExportHeader, "format" | "version">,
  records: AsyncIterable<TransferRecord>,
  hooks: { readonly onRow?: (rows: number) => void; readonly onEnd?: (footer: ExportFooter) => void } = {},
): AsyncGenerator<string> {
  yield `${JSON.stringify({ format: EXPORT_FORMAT, version: EXPORT_VERSION, ...header })}\n`;
  const hash = createHash("sha256");
  const counts = emptyCounts();
  let rows = 0;
  let chunk = "";
  for await (const { table, row } of records) {
    chunk += `${JSON.stringify({ table, row })}\n`;
    counts[table] += 1;
    hooks.onRow?.(++rows);
    if (chunk.length < CHUNK) continue;
    hash.update(chunk);
    yield chunk;
    chunk = "";
  }
  hash.update(chunk);
  const footer: ExportFooter = { end: EXPORT_FORMAT, rows: counts, sha256: hash.digest("hex") };
  yield `${chunk}${JSON.stringify(footer)}\n`;
  hooks.onEnd?.(footer);
}

/** What {@link readExport} gives: the header first, then the records. */
export type ExportPart =
  | { readonly kind: "header"; readonly header: ExportHeader }
  | { readonly kind: "record"; readonly record: TransferRecord }
  /** The last part; a file without it rejects. */
  | { readonly kind: "footer"; readonly footer: ExportFooter };

/**
 * Reads an export. Memory does not grow with it.
 *
 * @throws ExportFaultError where the file is of another kind or version, damaged, or cut off. What was given before may
 * come from a damaged file: read to the end before anything is done with it.
 */
export async function* readExport(path: string): AsyncGenerator<ExportPart> {
  const hash = createHash("sha256");
  const counts = emptyCounts();
  let footer: ExportFooter | undefined;
  let number = 0;
  let bytes = 0;
  for await (const line of fileLines(path)) {
    number += 1;
    bytes += line.length;
    if (footer !== undefined)
      throw new ExportFaultError(`line ${number} comes after the last line of an export`);
    const value = parse(line, number);
    if (number === 1) {
      yield { kind: "header", header: headerOf(value) };
    } else if (isFooter(value)) {
      footer = checked(footerSchema, value, number);
    } else {
      hash.update(line);
      const record = checked(recordSchema, value, number);
      counts[record.table] += 1;
      yield { kind: "record", record };
    }
  }
  if (number === 0) throw new ExportFaultError("it is empty");
  if (footer === undefined) {
    throw new ExportFaultError(
      `it was cut off: it ends after line ${number} (${bytes} bytes) without the last line`,
    );
  }
  for (const table of transferTables) {
    const expected = footer.rows[table] ?? 0;
    if (counts[table] === expected) continue;
    throw new ExportFaultError(`it holds ${counts[table]} rows of ${table}, its last line says ${expected}`);
  }
  if (hash.digest("hex") !== footer.sha256) {
    throw new ExportFaultError("its rows are not those that were written: the SHA-256 is another one");
  }
  yield { kind: "footer", footer };
}

/** The records alone. */
export async function* recordsOf(path: string): AsyncGenerator<TransferRecord> {
  for await (const part of readExport(path)) if (part.kind === "record") yield part.record;
}

/** All rows of all tables. */
export function totalRows(rows: Readonly<Partial<StoreRowCounts>>): number {
  return Object.values(rows).reduce((sum, count) => sum + count, 0);
}

function emptyCounts(): Record<TransferTable, number> {
  return Object.fromEntries(transferTables.map((table) => [table, 0])) as Record<TransferTable, number>;
}

/** The lines of a file. @throws ExportFaultError */
async function* fileLines(path: string): AsyncGenerator<Buffer> {
  try {
    yield* linesOf(createReadStream(path, { highWaterMark: 1024 * 1024 }), MAX_LINE);
  } catch (error) {
    if (error instanceof LineTooLongError) throw new ExportFaultError(error.message, { cause: error });
    throw error;
  }
}

function parse(line: Buffer, number: number): unknown {
  if (line.at(-1) !== 10) throw new ExportFaultError(`it was cut off in line ${number}`);
  try {
    return JSON.parse(line.toString("utf8"));
  } catch (error) {
    throw new ExportFaultError(`line ${number} is not JSON`, { cause: error });
  }
}

function headerOf(value: unknown): ExportHeader {
  if (typeof value !== "object" || value === null || !("format" in value) || value.format !== EXPORT_FORMAT) {
    throw new ExportFaultError(
      `it is not an export of a store: its first line does not say "format":"${EXPORT_FORMAT}"`,
    );
  }
  const header = checked(headerSchema, value, 1);
  if (header.version > EXPORT_VERSION) {
    throw new ExportFaultError(
      `it has version ${header.version} of the format, this program knows ${EXPORT_VERSION}; use the release that wrote it`,
    );
  }
  return header;
}

function isFooter(value: unknown): boolean {
  return typeof value === "object" && value !== null && "end" in value;
}

function checked<T>(schema: z.ZodType<T>, value: unknown, number: number): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new ExportFaultError(
    `line ${number}: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "not as expected"}`,
  );
}
