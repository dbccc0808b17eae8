import { findMember } from "../../json/members.js";
import type { JsonValue, SearchParameters } from "../../merge/index.js";
import { ParameterFault, splitCommaSeparated, unsigned64 } from "../http/query-parameters.js";
import { parseRustFloat } from "../write/serde-value.js";

/**
 * The parameters of a search body, or undefined where a member is unknown or not of its type: a node then says
 * what is wrong. Members that only nodes read are passed on for them to judge.
 *
 * @param body the parsed body
 * @param text the body as it was sent, which alone tells `1` from `1.0`
 */
export function searchParametersOf(body: unknown, text: Buffer): SearchParameters | undefined {
  if (typeof body !== "object" || body === null || Array.isArray(body)) return undefined;
  for (const name of SIZES) {
    if (name in body && !isPlainInteger(text, name)) return undefined;
  }
  for (const [name, value] of Object.entries(body)) {
    const accepts = Object.hasOwn(MEMBERS, name) ? MEMBERS[name] : undefined;
    if (accepts === undefined || !accepts(value)) return undefined;
  }
  return body as SearchParameters;
}

/**
 * The parameters of a search given as query string, read by Meilisearch's rules for `GET`, or undefined where a
 * name is unknown or a value cannot be read.
 */
export function searchParametersOfQuery(query: string): SearchParameters | undefined {
  const parameters: Record<string, JsonValue> = {};
  let embedder: string | undefined;
  let ratioText: string | undefined;
  for (const [name, text] of new Map(new URLSearchParams(query))) {
    if (name === "hybridEmbedder") embedder = text;
    else if (name === "hybridSemanticRatio") ratioText = text;
    else if (name === "personalizeUserContext") parameters.personalize = { userContext: text };
    else {
      const read = Object.hasOwn(QUERY_READERS, name) ? QUERY_READERS[name] : undefined;
      const value = read?.(text);
      if (value === undefined) return undefined;
      parameters[name] = value;
    }
  }
  if (embedder === undefined) {
    return ratioText === undefined && parameters.vector === undefined ? parameters : undefined;
  }
  if (ratioText === undefined) return { ...parameters, hybrid: { embedder } };
  const semanticRatio = finite(parseRustFloat(ratioText));
  return semanticRatio === undefined ? undefined : { ...parameters, hybrid: { embedder, semanticRatio } };
}

/**
 * The elements of a `sort` parameter. Commas separate them, but not those inside of `_geoPoint(…)`.
 */
export function sortExpressions(text: string): string[] {
  const expressions: string[] = [];
  let insidePoint = false;
  for (const piece of text.replace(/^"+|"+$/g, "").split(",")) {
    const part = piece.trim();
    if (!part.startsWith("_geoPoint(") && insidePoint) {
      expressions.push(`${expressions.pop() ?? ""},${part}`);
      if (part.endsWith("):asc") || part.endsWith("):desc")) insidePoint = false;
      continue;
    }
    insidePoint = part.startsWith("_geoPoint(");
    expressions.push(part);
  }
  return expressions;
}

/** A size as a query string gives it; undefined where Meilisearch reads none. */
export function sizeOf(text: string): number | undefined {
  const size = unsigned64(text);
  return size instanceof ParameterFault ? undefined : size;
}

/** The greatest integer that Meilisearch reads as one. */
export const MAX_U64 = 0xffff_ffff_ffff_ffffn;

/** Members that Meilisearch takes as integers alone. */
const SIZES = ["offset", "limit", "page", "hitsPerPage"] as const;

/** Whether a member of an object is written as an integer that Meilisearch reads, or as `null`. */
export function isPlainInteger(text: Buffer, name: string): boolean {
  const member = findMember(text, name);
  if (member === undefined) return false;
  const raw = text.toString("latin1", member.valueStart, member.valueEnd);
  return raw === "null" || (/^[0-9]+$/.test(raw) && BigInt(raw) <= MAX_U64);
}

type Accepts = (value: unknown) => boolean;

const anything: Accepts = () => true;
const isText: Accepts = (value) => typeof value === "string";
const isBoolean: Accepts = (value) => typeof value === "boolean";
const isNumber: Accepts = (value) => typeof value === "number";
const isSize: Accepts = (value) => typeof value === "number" && Number.isInteger(value) && value >= 0;
const isTexts: Accepts = (value) => Array.isArray(value) && value.every(isText);
const isHybrid: Accepts = (value) =>
  typeof value === "object" && value !== null && "embedder" in value && typeof value.embedder === "string";

function optional(accepts: Accepts): Accepts {
  return (value) => value === null || accepts(value);
}

const MEMBERS: Readonly<Record<string, Accepts>> = {
  q: optional(isText),
  offset: isSize,
  limit: isSize,
  page: optional(isSize),
  hitsPerPage: optional(isSize),
  attributesToRetrieve: optional(isTexts),
  attributesToCrop: optional(isTexts),
  cropLength: anything,
  cropMarker: anything,
  attributesToHighlight: optional(isTexts),
  highlightPreTag: anything,
  highlightPostTag: anything,
  showMatchesPosition: isBoolean,
  filter: anything,
  sort: optional(isTexts),
  distinct: optional(isText),
  facets: optional(isTexts),
  matchingStrategy: anything,
  attributesToSearchOn: optional(isTexts),
  rankingScoreThreshold: optional(isNumber),
  locales: anything,
  hybrid: optional(isHybrid),
  vector: optional((value) => Array.isArray(value) && value.every(isNumber)),
  retrieveVectors: isBoolean,
  media: anything,
  personalize: anything,
  useNetwork: (value) => value === null || value === false,
  showRankingScore: isBoolean,
  showRankingScoreDetails: isBoolean,
  showPerformanceDetails: anything,
};

type QueryReader = (text: string) => JsonValue | undefined;

const text: QueryReader = (value) => value;
const list: QueryReader = splitCommaSeparated;
const threshold: QueryReader = (value) => {
  const number = parseRustFloat(value);
  // No score lies below what is no number.
  return Number.isNaN(number) ? null : finite(number);
};
const boolean: QueryReader = (value) => (value === "true" ? true : value === "false" ? false : undefined);

/** A filter that reads as JSON is that JSON; anything else is one expression. */
const filter: QueryReader = (value) => {
  try {
    return JSON.parse(value) as JsonValue;
  } catch {
    return value;
  }
};

const vector: QueryReader = (value) => {
  const numbers = splitCommaSeparated(value).map((part) => finite(parseRustFloat(part)));
  return numbers.every((number) => number !== undefined) ? numbers : undefined;
};

function finite(number: number | undefined): number | undefined {
  return Number.isFinite(number) ? number : undefined;
}

const QUERY_READERS: Readonly<Record<string, QueryReader>> = {
  q: text,
  offset: sizeOf,
  limit: sizeOf,
  page: sizeOf,
  hitsPerPage: sizeOf,
  attributesToRetrieve: list,
  attributesToCrop: list,
  cropLength: sizeOf,
  cropMarker: text,
  attributesToHighlight: list,
  highlightPreTag: text,
  highlightPostTag: text,
  showMatchesPosition: boolean,
  filter,
  sort: sortExpressions,
  distinct: text,
  facets: list,
  matchingStrategy: text,
  attributesToSearchOn: list,
  rankingScoreThreshold: threshold,
  locales: list,
  vector,
  retrieveVectors: boolean,
  showRankingScore: boolean,
  showRankingScoreDetails: boolean,
  showPerformanceDetails: boolean,
};
