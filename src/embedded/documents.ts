import { ApiError } from "./errors.js";
import { ExactJsonParser, type ExactValue, type JsonObject, type JsonValue } from "./exact-json.js";

/** A document: its top-level members, each with its value and its exact text. */
export type Document = ReadonlyMap<string, ExactValue>;

/** Prints a document's members in `order`, or in their own. */
export function printDocument(document: Document, order: Iterable<string> = document.keys()): string {
  const members: string[] = [];
  for (const name of order) {
    const member = document.get(name);
    if (member !== undefined) members.push(`${JSON.stringify(name)}:${member.text}`);
  }
  return `{${members.join(",")}}`;
}

/** Parses a stored document. */
export function parseDocument(text: string): Document {
  return new ExactJsonParser(text).members();
}

/** The value at a dotted path; a member whose own name holds dots comes first. */
export function valueAtPath(document: Document, path: string): ExactValue | undefined {
  const whole = document.get(path);
  if (whole !== undefined) return whole;
  const [first = "", ...rest] = path.split(".");
  let value = document.get(first)?.value;
  for (const name of rest) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    value = (value as JsonObject)[name];
  }
  return rest.length === 0 || value === undefined ? undefined : { value, text: JSON.stringify(value) };
}

const VALID_KEY = /^[A-Za-z0-9_-]{1,511}$/;

/**
 * The external id of a document: integers as their decimal digits, strings without surrounding space.
 *
 * @throws ApiError `missing_document_id` or `invalid_document_id`.
 */
export function documentKey(document: Document, primaryKey: string): string {
  const id = valueAtPath(document, primaryKey);
  if (id === undefined) {
    throw new ApiError(
      "missing_document_id",
      `Document doesn't have a \`${primaryKey}\` attribute: \`${printDocument(document)}\`.`,
    );
  }
  if (typeof id.value === "number" && /^-?\d+$/.test(id.text)) return id.text;
  if (typeof id.value === "string" && VALID_KEY.test(id.value.trim())) return id.value.trim();
  throw new ApiError(
    "invalid_document_id",
    `Document identifier \`${id.text}\` is invalid. A document identifier can be of type integer or string, only composed of alphanumeric characters (a-z A-Z 0-9), hyphens (-) and underscores (_), and can not be more than 511 bytes.`,
  );
}

/**
 * Infers the primary key from a document: the one field whose name ends in `id`, whatever its case.
 *
 * @throws ApiError where there is none or more than one.
 */
export function inferPrimaryKey(document: Document | undefined): string {
  const candidates = [...(document?.keys() ?? [])].filter((name) => name.toLowerCase().endsWith("id")).sort();
  const [first, second] = candidates;
  if (first === undefined) {
    throw new ApiError(
      "index_primary_key_no_candidate_found",
      "The primary key inference failed as the engine did not find any field ending with `id` in its name. Please specify the primary key manually using the `primaryKey` query parameter.",
    );
  }
  if (second !== undefined) {
    throw new ApiError(
      "index_primary_key_multiple_candidates_found",
      `The primary key inference failed as the engine found ${candidates.length} fields ending with \`id\` in their names: '${first}' and '${second}'. Please specify the primary key manually using the \`primaryKey\` query parameter.`,
    );
  }
  return first;
}

/** A place on Earth. */
export interface GeoPoint {
  readonly lat: number;
  readonly lng: number;
}

/** Reads a coordinate: a number, or a string that holds one. */
function coordinate(value: JsonValue | undefined): number | undefined {
  if (typeof value === "number") return value;
  if (typeof value === "string" && value.trim() !== "" && Number.isFinite(Number(value)))
    return Number(value);
  return undefined;
}

/**
 * Reads `_geo`.
 *
 * @returns `undefined` where the document has none.
 * @throws ApiError `invalid_document_geo_field` in Meilisearch's words.
 */
export function geoPoint(document: Document, key: string): GeoPoint | undefined {
  const geo = document.get("_geo");
  if (geo === undefined || geo.value === null) return undefined;
  const fail = (reason: string) => new ApiError("invalid_document_geo_field", reason);
  const id = JSON.stringify(key);
  if (typeof geo.value !== "object" || Array.isArray(geo.value)) {
    throw fail(
      `The \`_geo\` field in the document with the id: \`${id}\` is not an object. Was expecting an object with the \`_geo.lat\` and \`_geo.lng\` fields but instead got \`${geo.text}\`.`,
    );
  }
  const { lat, lng, ...rest } = geo.value;
  if (lat === undefined && lng === undefined) {
    throw fail(
      `Could not find latitude nor longitude in the document with the id: \`${id}\`. Was expecting \`_geo.lat\` and \`_geo.lng\` fields.`,
    );
  }
  if (lat === undefined) {
    throw fail(
      `Could not find latitude in the document with the id: \`${id}\`. Was expecting a \`_geo.lat\` field.`,
    );
  }
  if (lng === undefined) {
    throw fail(
      `Could not find longitude in the document with the id: \`${id}\`. Was expecting a \`_geo.lng\` field.`,
    );
  }
  if (Object.keys(rest).length > 0) {
    throw fail(
      `The \`_geo\` field in the document with the id: \`${id}\` contains the following unexpected fields: \`${JSON.stringify(rest)}\`.`,
    );
  }
  const [latitude, longitude] = [coordinate(lat), coordinate(lng)];
  if (latitude === undefined && longitude === undefined) {
    throw fail(
      `Could not parse latitude nor longitude in the document with the id: \`${id}\`. Was expecting finite numbers but instead got \`${JSON.stringify(lat)}\` and \`${JSON.stringify(lng)}\`.`,
    );
  }
  if (latitude === undefined) {
    throw fail(
      `Could not parse latitude in the document with the id: \`${id}\`. Was expecting a finite number but instead got \`${JSON.stringify(lat)}\`.`,
    );
  }
  if (longitude === undefined) {
    throw fail(
      `Could not parse longitude in the document with the id: \`${id}\`. Was expecting a finite number but instead got \`${JSON.stringify(lng)}\`.`,
    );
  }
  return { lat: latitude, lng: longitude };
}
