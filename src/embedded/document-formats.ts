import { parse as parseCsv } from "csv-parse/sync";
import { type Document, printDocument } from "./documents.js";
import { ApiError } from "./errors.js";
import { ExactJsonParser, type ExactValue, JsonSyntaxError } from "./exact-json.js";

/** The formats in which documents are accepted, by content type. */
export const DOCUMENT_FORMATS = {
  "application/json": "json",
  "application/x-ndjson": "ndjson",
  "text/csv": "csv",
} as const;
/** A format of documents. */
export type DocumentFormat = (typeof DOCUMENT_FORMATS)[keyof typeof DOCUMENT_FORMATS];

/**
 * Reads a body of documents.
 *
 * @throws ApiError `missing_payload` or `malformed_payload`, or `internal` where an array holds anything but
 *   objects (which is what Meilisearch answers).
 */
export function readDocuments(body: string, format: DocumentFormat, delimiter: string): Document[] {
  if (body === "") throw new ApiError("missing_payload", `A ${format} payload is missing.`);
  if (format === "csv") return readCsv(body, delimiter);
  try {
    return format === "json" ? readJson(body) : readNdjson(body);
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    throw malformed(format, error.message);
  }
}

function malformed(format: DocumentFormat, reason: string): ApiError {
  return new ApiError(
    "malformed_payload",
    `The \`${format}\` payload provided is malformed. \`Couldn't serialize document value: ${reason}\`.`,
  );
}

function readJson(body: string): Document[] {
  const parser = new ExactJsonParser(body);
  const first = parser.peek();
  if (first === "{") {
    const document = parser.members();
    parser.end();
    return [document];
  }
  if (first !== "[") {
    parser.value();
    parser.end();
    throw malformed("json", "data are neither an object nor a list of objects");
  }
  const items = parser.items();
  parser.end();
  return items.map((item) => toDocument(item, 1));
}

function readNdjson(body: string): Document[] {
  const parser = new ExactJsonParser(body);
  const documents: Document[] = [];
  while (!parser.atEnd()) {
    if (parser.peek() === "{") documents.push(parser.members());
    else {
      const item = parser.value();
      documents.push(toDocument(item, Array.isArray(item.value) ? 0 : item.text.length));
    }
  }
  return documents;
}

function notAMap(found: string, column: number): ApiError {
  return new ApiError("internal", `invalid type: ${found}, expected a map at line 1 column ${column}`);
}

function toDocument(item: ExactValue, column: number): Document {
  if (typeof item.value !== "object" || item.value === null || Array.isArray(item.value)) {
    throw notAMap(describe(item), column);
  }
  return new ExactJsonParser(item.text).members();
}

function describe(item: ExactValue): string {
  const { value } = item;
  if (value === null) return "null";
  if (Array.isArray(value)) return "sequence";
  if (typeof value === "number") {
    return Number.isInteger(value) && !item.text.includes(".")
      ? `integer \`${item.text}\``
      : `floating point \`${item.text}\``;
  }
  return typeof value === "string" ? `string ${item.text}` : `boolean \`${item.text}\``;
}

type CsvType = "string" | "number" | "boolean";

function readCsv(body: string, delimiter: string): Document[] {
  let rows: string[][];
  try {
    rows = parseCsv(body, {
      delimiter,
      relax_column_count: true,
      skip_empty_lines: true,
      relax_quotes: true,
    }) as string[][];
  } catch (error) {
    throw csvError(error instanceof Error ? error.message : String(error));
  }
  const [head = [], ...records] = rows;
  const columns = head.map((title) => {
    const match = /^(.*):(string|number|boolean)$/.exec(title);
    return match === null
      ? { name: title, type: "string" as CsvType }
      : { name: match[1] ?? "", type: match[2] as CsvType };
  });
  let offset = Buffer.byteLength(head.join(delimiter)) + 1;
  return records.map((record, i) => {
    if (record.length !== columns.length) {
      throw csvError(
        `record ${i + 1} (line: ${i + 2}, byte: ${offset}): found record with ${record.length} fields, but the previous record has ${columns.length} fields`,
      );
    }
    offset += Buffer.byteLength(record.join(delimiter)) + 1;
    return new Map(columns.map(({ name, type }, c) => [name, csvValue(record[c] ?? "", type, name, i + 1)]));
  });
}

function csvError(reason: string): ApiError {
  return new ApiError(
    "malformed_payload",
    `The \`csv\` payload provided is malformed: \`CSV error: ${reason}\`.`,
  );
}

function csvValue(cell: string, type: CsvType, column: string, line: number): ExactValue {
  const text = cell.trim();
  if (text === "" && type !== "string") return { value: null, text: "null" };
  if (type === "string")
    return cell === "" ? { value: null, text: "null" } : { value: cell, text: JSON.stringify(cell) };
  if (type === "boolean") {
    if (text !== "true" && text !== "false") {
      throw new ApiError(
        "malformed_payload",
        `The \`csv\` payload provided is malformed: \`Error parsing boolean "${text}" at line ${line}: provided string was not \`true\` or \`false\``,
      );
    }
    return { value: text === "true", text };
  }
  if (!Number.isFinite(Number(text))) {
    throw new ApiError(
      "malformed_payload",
      `The \`csv\` payload provided is malformed: \`Error parsing number "${text}" at line ${line} for column ${column}: invalid float literal\`.`,
    );
  }
  return new ExactJsonParser(/^-?\d+$/.test(text) ? text : String(Number(text))).value();
}

/** Prints documents one to a line, as a task's payload. */
export function printDocuments(documents: readonly Document[]): string {
  return documents.map((document) => printDocument(document)).join("\n");
}
