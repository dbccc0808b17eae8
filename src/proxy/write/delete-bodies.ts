import type { Readable } from "node:stream";
import { arrayElements, objectMembers } from "../../json/members.js";
import { JsonSyntaxError } from "../../json/scan.js";
import { validateJson } from "../../json/validate.js";
import { standInsInFilter } from "../../merge/injected-fields.js";
import { didYouMean } from "../http/did-you-mean.js";
import { checkContentType } from "../http/request-body.js";
import { decodedChunks } from "./receive-documents.js";
import { badRequest, invalid, malformedJson, missingPayload, payloadTooLarge } from "./refusals.js";
import { printSerdeValue, readSerdeValue, type SerdeValue } from "./serde-value.js";

/** A JSON body that has to be held whole. */
export interface JsonBodySource {
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
  readonly body: Readable;
}

/**
 * A whole JSON body, decompressed and valid.
 *
 * @param checkFirst refuses what Meilisearch refuses before it finds the body malformed
 * @throws MeilisearchError as Meilisearch words it
 */
export async function readJson(
  source: JsonBodySource,
  maxBytes: number,
  checkFirst: (body: Buffer) => void = () => undefined,
): Promise<Buffer> {
  checkContentType(source.contentType, ["application/json"]);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of decodedChunks(source.body, source.contentEncoding, maxBytes)) {
    size += chunk.length;
    if (size > maxBytes) throw payloadTooLarge(maxBytes);
    chunks.push(chunk);
  }
  if (size === 0) throw missingPayload("json");
  const body = Buffer.concat(chunks, size);
  checkFirst(body);
  try {
    validateJson(body);
  } catch (error) {
    if (error instanceof JsonSyntaxError) throw malformedJson(error.message);
    throw error;
  }
  return body;
}

/**
 * The ids of a `delete-batch` body as text: strings as they are, everything else as Meilisearch prints it.
 *
 * @throws MeilisearchError where the body is no array
 */
export function readIds(body: Buffer): readonly string[] {
  const value = readSerdeValueKind(body);
  if (value !== undefined) throw noSequence(value.found, value.column);
  return arrayElements(body).map((element) => {
    const id = readSerdeValue(body, element.start, element.end);
    return id.kind === "string" ? id.value : printSerdeValue(id);
  });
}

/**
 * A map is refused at its first character, whatever follows.
 *
 * @throws MeilisearchError
 */
export function refuseMap(body: Buffer): void {
  if (body.find((byte) => byte > 0x20) === 0x7b) throw noSequence("map", 0);
}

function noSequence(found: string, column: number) {
  return badRequest(
    `Json deserialize error: invalid type: ${found}, expected a sequence at line 1 column ${column}`,
  );
}

function readSerdeValueKind(body: Buffer): { readonly found: string; readonly column: number } | undefined {
  const text = body.toString("utf8").trimStart();
  if (text.startsWith("[")) return undefined;
  const value = readSerdeValue(body);
  const column = body.length;
  switch (value.kind) {
    case "string":
      return { found: `string ${JSON.stringify(value.value)}`, column };
    case "integer":
      return { found: `integer \`${value.text}\``, column };
    case "float":
      return { found: `floating point \`${printSerdeValue(value)}\``, column };
    case "boolean":
      return { found: `boolean \`${value.value}\``, column };
    default:
      return { found: "null", column };
  }
}

/** A client's filter: as it goes to nodes, and as the task's details print it. */
export interface DeleteFilter {
  /** JSON text. As the client sent it, but for Miroir's own fields, under which the client's name for them hides. */
  readonly nodeJson: string;
  readonly printed: string;
}

/**
 * The filter of a `documents/delete` body, if its shape can be a filter.
 *
 * @throws MeilisearchError as Meilisearch words it; syntax is left to a node
 */
export function readDeleteFilter(body: Buffer): DeleteFilter {
  const value = readSerdeValue(body);
  if (value.kind !== "object") {
    throw badRequest(`Invalid value type: expected an object, but found ${foundKind(value)}`);
  }
  let filter: SerdeValue | undefined;
  let raw = "";
  for (const member of objectMembers(body)) {
    if (member.key !== "filter")
      throw badRequest(
        `Unknown field \`${member.key}\`: ${didYouMean(member.key, ["filter"])}expected one of \`filter\``,
      );
    filter = readSerdeValue(body, member.valueStart, member.valueEnd);
    raw = body.toString("utf8", member.valueStart, member.valueEnd);
  }
  if (filter === undefined) throw invalid("missing_document_filter", "Missing field `filter`");
  checkFilterShape(filter);
  return filterOf(filter, raw);
}

/** The filter that is the value between two places of a valid JSON text, whatever its shape. */
export function clientFilter(body: Buffer, start: number, end: number): DeleteFilter {
  return filterOf(readSerdeValue(body, start, end), body.toString("utf8", start, end));
}

function filterOf(filter: SerdeValue, raw: string): DeleteFilter {
  const nodeJson =
    raw.includes("_miroir_") || raw.includes("\\u") ? printSerdeValue(withStandIns(filter)) : raw;
  return { nodeJson, printed: printSerdeValue(filter) };
}

function checkFilterShape(filter: SerdeValue): void {
  const wrong = (expected: string, found: SerdeValue) =>
    invalid(
      "invalid_document_filter",
      `Invalid syntax for the filter parameter: \`expected ${expected}, found: ${printSerdeValue(found)}\`.`,
    );
  if (filter.kind !== "string" && filter.kind !== "array") throw wrong("String, Array", filter);
  const outer = filter.kind === "string" ? [filter] : filter.items;
  for (const item of outer) {
    if (item.kind !== "string" && item.kind !== "array") throw wrong("String, [String]", item);
    if (item.kind !== "array") continue;
    const odd = item.items.find((inner) => inner.kind !== "string");
    if (odd !== undefined) throw wrong("String", odd);
  }
  const texts = outer.flatMap((item) => (item.kind === "array" ? item.items : [item]));
  if (texts.every((text) => text.kind === "string" && text.value.trim() === "")) {
    throw invalid("invalid_document_filter", "Sending an empty filter is forbidden.");
  }
}

function withStandIns(filter: SerdeValue): SerdeValue {
  if (filter.kind === "string") return { kind: "string", value: standInsInFilter(filter.value) };
  return filter.kind === "array" ? { kind: "array", items: filter.items.map(withStandIns) } : filter;
}

function foundKind(value: SerdeValue): string {
  const text = printSerdeValue(value);
  switch (value.kind) {
    case "null":
      return "null";
    case "array":
      return `an array: \`${text}\``;
    case "integer":
      return `a ${value.negative ? "negative" : "positive"} integer: \`${text}\``;
    case "float":
      return `a number: \`${text}\``;
    case "boolean":
      return `a boolean: \`${text}\``;
    default:
      return `a string: \`${text}\``;
  }
}
