import { arrayElements, findMember } from "../../json/members.js";
import type { JsonValue, SearchParameters } from "../../merge/index.js";
import { indexUidFault } from "../http/api-errors.js";
import { isPlainInteger, searchParametersOf } from "./search-query.js";

/** One query of a multi-search. */
export interface MultiSearchQuery {
  readonly indexUid: string;
  /**
   * What is searched. Everything that nodes are asked for the query's sake is made from this, errors included: whoever narrows
   * what a client may see adds to its `filter`.
   */
  readonly parameters: SearchParameters;
  /** Undefined without `federationOptions`. */
  readonly federationOptions: { readonly weight: number } | undefined;
  /** Whether it asks for what a node may refuse although it is well-formed: a node then says why. */
  readonly isQuestionable: boolean;
  /** What it says of the experimental network; undefined where it says nothing. */
  readonly network: NetworkUse | undefined;
  /** The query as the client sent it. */
  readonly text: Buffer;
}

/** Which servers of the experimental network a query is for. */
export interface NetworkUse {
  /** The name of one. */
  readonly remote: string | undefined;
  /** Whether it is for all of them; undefined where it does not say. */
  readonly useNetwork: boolean | undefined;
  /** Whether it names its own place in another server's request. */
  readonly hasPosition: boolean;
}

/** How the hits of all queries become one list. */
export interface Federation {
  readonly pagination:
    | { readonly style: "offset"; readonly offset: number; readonly limit: number }
    | { readonly style: "page"; readonly page: number; readonly hitsPerPage: number };
  /** By index uid: names and patterns of facets; null for none. */
  readonly facetsByIndex: ReadonlyMap<string, readonly string[] | null>;
  readonly mergeFacets: { readonly maxValuesPerFacet: number | undefined } | undefined;
  /** Goes before each index's own distinct attribute; undefined for none. */
  readonly distinct: string | undefined;
  readonly showPerformanceDetails: boolean;
  /** `personalize` as JSON text, which nodes judge; undefined without it. */
  readonly personalize: string | undefined;
}

/** The body of a multi-search. */
export interface MultiSearchRequest {
  readonly queries: readonly MultiSearchQuery[];
  /** Undefined where each query has its own result. */
  readonly federation: Federation | undefined;
}

/**
 * Reads the body of a multi-search. Undefined where a member is unknown or not of its type: a node then says what is wrong.
 *
 * @param body the parsed body
 * @param text the body as it was sent, which alone tells `1` from `1.0`
 */
export function multiSearchRequestOf(body: unknown, text: Buffer): MultiSearchRequest | undefined {
  if (!isRecord(body) || !hasOnly(body, ["queries", "federation"])) return undefined;
  if (!Array.isArray(body.queries)) return undefined;
  const given = body.federation ?? undefined;
  const federation = given === undefined ? undefined : federationOf(given, memberValue(text, "federation"));
  if (given !== undefined && federation === undefined) return undefined;
  const list = memberValue(text, "queries");
  const spans = arrayElements(list);
  const queries: MultiSearchQuery[] = [];
  for (const [at, value] of (body.queries as readonly unknown[]).entries()) {
    const span = spans[at];
    const query = span && queryOf(value, list.subarray(span.start, span.end), federation);
    if (query === undefined) return undefined;
    queries.push(query);
  }
  return { queries, federation };
}

/** Members of a query for which `null` stands for being left out, unlike in a search of one index. */
const NULLABLE = ["offset", "limit", "showPerformanceDetails"];

function queryOf(
  value: unknown,
  text: Buffer,
  federation: Federation | undefined,
): MultiSearchQuery | undefined {
  if (!isRecord(value)) return undefined;
  const { indexUid, federationOptions, useNetwork = null, ...rest } = value;
  if (typeof indexUid !== "string" || indexUidFault(indexUid) !== undefined) return undefined;
  if (useNetwork !== null && typeof useNetwork !== "boolean") return undefined;
  const options = federationOptionsOf(federationOptions, text);
  if (options === "unknown") return undefined;
  for (const name of NULLABLE) if (rest[name] === null) delete rest[name];
  if (rest.showPerformanceDetails !== undefined && typeof rest.showPerformanceDetails !== "boolean") {
    return undefined;
  }
  const parameters = searchParametersOf(rest, text);
  if (parameters === undefined) return undefined;
  const isAllowed = federation === undefined || isAllowedInFederation(parameters, federation);
  const { remote, hasPosition = false } = options ?? {};
  const usesNetwork = useNetwork !== null || remote !== undefined || hasPosition;
  return {
    indexUid,
    parameters,
    federationOptions: options,
    isQuestionable: !isAllowed,
    network: usesNetwork ? { remote, useNetwork: useNetwork ?? undefined, hasPosition } : undefined,
    text,
  };
}

function federationOptionsOf(
  value: unknown,
  query: Buffer,
): { weight: number; remote: string | undefined; hasPosition: boolean } | undefined | "unknown" {
  if (value === null || value === undefined) return undefined;
  if (!isRecord(value) || !hasOnly(value, ["weight", "remote", "queryPosition"])) return "unknown";
  const { weight = 1, remote = null, queryPosition = null } = value;
  if (typeof weight !== "number" || weight < 0) return "unknown";
  if (remote !== null && typeof remote !== "string") return "unknown";
  const isPosition =
    queryPosition === null || isPlainInteger(memberValue(query, "federationOptions"), "queryPosition");
  if (!isPosition) return "unknown";
  return { weight, remote: remote ?? undefined, hasPosition: queryPosition !== null };
}

function federationOf(value: unknown, text: Buffer): Federation | undefined {
  if (!isRecord(value) || !hasOnly(value, FEDERATION_MEMBERS)) return undefined;
  const sizes = ["limit", "offset", "page", "hitsPerPage"];
  for (const name of sizes) {
    if (!(name in value)) continue;
    if (!isPlainInteger(text, name)) return undefined;
    if (value[name] === null && (name === "limit" || name === "offset")) return undefined;
  }
  const { mergeFacets = null, distinct = null, personalize = null, showPerformanceDetails = false } = value;
  if (typeof showPerformanceDetails !== "boolean" || !isPersonalize(personalize)) return undefined;
  if (distinct !== null && typeof distinct !== "string") return undefined;
  const facetsByIndex = facetsByIndexOf(value.facetsByIndex ?? {});
  if (facetsByIndex === undefined || value.facetsByIndex === null) return undefined;
  const merge = mergeFacetsOf(mergeFacets, text);
  if (merge === "unknown") return undefined;
  const { page = null, hitsPerPage = null, offset = 0, limit = DEFAULT_LIMIT } = value;
  return {
    pagination:
      page === null && hitsPerPage === null
        ? { style: "offset", offset: Number(offset), limit: Number(limit) }
        : { style: "page", page: Number(page ?? 1), hitsPerPage: Number(hitsPerPage ?? DEFAULT_LIMIT) },
    facetsByIndex,
    mergeFacets: merge,
    distinct: distinct ?? undefined,
    showPerformanceDetails,
    personalize: personalize === null ? undefined : JSON.stringify(personalize),
  };
}

function isPersonalize(value: unknown): boolean {
  if (value === null) return true;
  return isRecord(value) && hasOnly(value, ["userContext"]) && typeof value.userContext === "string";
}

const DEFAULT_LIMIT = 20;

const FEDERATION_MEMBERS = [
  "limit",
  "offset",
  "page",
  "hitsPerPage",
  "facetsByIndex",
  "mergeFacets",
  "distinct",
  "showPerformanceDetails",
  "personalize",
];

function facetsByIndexOf(value: unknown): ReadonlyMap<string, readonly string[] | null> | undefined {
  if (!isRecord(value)) return undefined;
  const facets = new Map<string, readonly string[] | null>();
  for (const [uid, list] of Object.entries(value)) {
    const isList = Array.isArray(list) && list.every((item) => typeof item === "string");
    if (indexUidFault(uid) !== undefined || (list !== null && !isList)) return undefined;
    facets.set(uid, isList ? list : null);
  }
  return facets;
}

function mergeFacetsOf(value: unknown, federation: Buffer): Federation["mergeFacets"] | "unknown" {
  if (value === null) return undefined;
  if (!isRecord(value) || !hasOnly(value, ["maxValuesPerFacet"])) return "unknown";
  const { maxValuesPerFacet = null } = value;
  if (maxValuesPerFacet === null) return { maxValuesPerFacet: undefined };
  if (!isPlainInteger(memberValue(federation, "mergeFacets"), "maxValuesPerFacet")) return "unknown";
  return { maxValuesPerFacet: Number(maxValuesPerFacet) };
}

/** What belongs to the federation as a whole may not stand in its queries. */
function isAllowedInFederation(query: SearchParameters, federation: Federation): boolean {
  const { offset, limit, page, hitsPerPage, facets, personalize, showPerformanceDetails, distinct } = query;
  const excluded: readonly (JsonValue | undefined)[] = [
    offset,
    limit,
    page,
    hitsPerPage,
    personalize,
    showPerformanceDetails,
    federation.distinct === undefined ? null : distinct,
  ];
  return excluded.every((value) => value === null || value === undefined) && (facets ?? []).length === 0;
}

function hasOnly(value: Readonly<Record<string, unknown>>, names: readonly string[]): boolean {
  return Object.keys(value).every((name) => names.includes(name));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The text of a member of an object that has it. */
function memberValue(object: Buffer, name: string): Buffer {
  const member = findMember(object, name);
  return member === undefined ? EMPTY : object.subarray(member.valueStart, member.valueEnd);
}

const EMPTY = Buffer.from("{}");
