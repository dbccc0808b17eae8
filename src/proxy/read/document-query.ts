import { arrayElements, objectMembers } from "../../json/members.js";
import type { JsonValue } from "../../merge/index.js";
import { splitCommaSeparated } from "../http/query-parameters.js";
import { MAX_U64, sizeOf, sortExpressions } from "./search-query.js";

/** What a list of documents is asked with. */
export interface DocumentQuery {
  readonly offset: number;
  readonly limit: number;
  /** Undefined for all. */
  readonly fields: readonly string[] | undefined;
  readonly retrieveVectors: boolean;
  /** Raw JSON of each id, digits and all; undefined for no restriction. */
  readonly ids: readonly Buffer[] | undefined;
  readonly filter: JsonValue | undefined;
  readonly sort: readonly string[];
}

const DEFAULTS: DocumentQuery = {
  offset: 0,
  limit: 20,
  fields: undefined,
  retrieveVectors: false,
  ids: undefined,
  filter: undefined,
  sort: [],
};

/**
 * Reads the body of `POST …/documents/fetch`; undefined where a member is unknown or not of its type: a node then
 * says what is wrong.
 *
 * @param body valid JSON
 */
export function documentQueryOf(body: Buffer): DocumentQuery | undefined {
  let query = DEFAULTS;
  const start = body.findIndex((byte) => byte > 0x20);
  if (body[start] !== 0x7b) return undefined;
  for (const member of objectMembers(body, start)) {
    const raw = body.subarray(member.valueStart, member.valueEnd);
    if (member.key === "ids") {
      if (raw[0] === 0x5b) {
        query = { ...query, ids: arrayElements(raw).map(({ start: from, end }) => raw.subarray(from, end)) };
      } else if (raw.toString() === "null") query = { ...query, ids: undefined };
      else return undefined;
      continue;
    }
    // Parsed, `1.0` would look like the integer that Meilisearch asks for.
    if ((member.key === "offset" || member.key === "limit") && !isPlainInteger(raw.toString()))
      return undefined;
    const change = readMember(member.key, JSON.parse(raw.toString("utf8")) as JsonValue);
    if (change === undefined) return undefined;
    query = { ...query, ...change };
  }
  return query;
}

/** Reads the query string of `GET …/documents`; undefined where a name is unknown or a value cannot be read. */
export function documentQueryOfQuery(text: string): DocumentQuery | undefined {
  let query = DEFAULTS;
  for (const [name, value] of new Map(new URLSearchParams(text))) {
    const change = readParameter(name, value);
    if (change === undefined) return undefined;
    query = { ...query, ...change };
  }
  return query;
}

function isPlainInteger(raw: string): boolean {
  return /^[0-9]+$/.test(raw) && BigInt(raw) <= MAX_U64;
}

function readMember(name: string, value: JsonValue): Partial<DocumentQuery> | undefined {
  switch (name) {
    case "offset":
    case "limit":
      return typeof value === "number" && Number.isInteger(value) && value >= 0
        ? { [name]: value }
        : undefined;
    case "fields":
      if (value === null) return { fields: undefined };
      return isTexts(value) ? { fields: value } : undefined;
    case "retrieveVectors":
      return typeof value === "boolean" ? { retrieveVectors: value } : undefined;
    case "filter":
      return { filter: value === null ? undefined : value };
    case "useNetwork":
      return value === null ? {} : undefined;
    case "sort":
      if (value === null) return { sort: [] };
      return isTexts(value) ? { sort: value } : undefined;
    default:
      return undefined;
  }
}

function readParameter(name: string, value: string): Partial<DocumentQuery> | undefined {
  switch (name) {
    case "offset":
    case "limit": {
      const size = sizeOf(value);
      return size === undefined ? undefined : { [name]: size };
    }
    case "fields": {
      const fields = splitCommaSeparated(value);
      return { fields: fields.includes("*") ? undefined : fields };
    }
    case "retrieveVectors":
      return value === "true" || value === "false" ? { retrieveVectors: value === "true" } : undefined;
    case "ids":
      return { ids: splitCommaSeparated(value).map((id) => Buffer.from(JSON.stringify(id))) };
    case "filter":
      return { filter: jsonOrText(value) };
    case "sort":
      return { sort: sortExpressions(value) };
    default:
      return undefined;
  }
}

function jsonOrText(value: string): JsonValue {
  try {
    return JSON.parse(value) as JsonValue;
  } catch {
    return value;
  }
}

function isTexts(value: JsonValue): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}
