import { ApiError } from "../errors.js";
import type { JsonObject, JsonValue } from "../exact-json.js";
import * as check from "../validate.js";

/** A search as asked. */
export interface SearchQuery {
  readonly q: string | undefined;
  readonly vector: readonly number[] | undefined;
  readonly hybrid: { readonly semanticRatio: number; readonly embedder: string } | undefined;
  readonly offset: number;
  readonly limit: number;
  readonly page: number | undefined;
  readonly hitsPerPage: number | undefined;
  readonly attributesToRetrieve: readonly string[] | undefined;
  readonly retrieveVectors: boolean;
  readonly attributesToCrop: readonly string[] | undefined;
  readonly cropLength: number;
  readonly cropMarker: string;
  readonly attributesToHighlight: readonly string[] | undefined;
  readonly highlightPreTag: string;
  readonly highlightPostTag: string;
  readonly showMatchesPosition: boolean;
  readonly showRankingScore: boolean;
  readonly showRankingScoreDetails: boolean;
  readonly filter: JsonValue;
  readonly sort: readonly string[] | undefined;
  readonly distinct: string | undefined;
  readonly facets: readonly string[] | undefined;
  readonly matchingStrategy: "last" | "all" | "frequency";
  readonly attributesToSearchOn: readonly string[] | undefined;
  readonly rankingScoreThreshold: number | undefined;
}

/** The members of a search body, in the order in which Meilisearch lists them. */
export const SEARCH_MEMBERS = [
  "q",
  "offset",
  "limit",
  "page",
  "hitsPerPage",
  "attributesToRetrieve",
  "attributesToCrop",
  "cropLength",
  "cropMarker",
  "attributesToHighlight",
  "highlightPreTag",
  "highlightPostTag",
  "showMatchesPosition",
  "filter",
  "sort",
  "distinct",
  "facets",
  "matchingStrategy",
  "attributesToSearchOn",
  "rankingScoreThreshold",
  "locales",
  "hybrid",
  "vector",
  "retrieveVectors",
  "media",
  "personalize",
  "useNetwork",
  "showRankingScore",
  "showRankingScoreDetails",
  "showPerformanceDetails",
] as const;

/** Where a body's members stand (`""` or `.queries[0]`), for errors. */
function placeOf(path: string, name: string): check.Place {
  const snake = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return { path: `${path}.${name}`, code: `invalid_search_${snake}` };
}

/**
 * Reads a search body.
 *
 * @throws ApiError naming the member that is wrong.
 */
export function readSearch(body: JsonObject, path = "", extra: readonly string[] = []): SearchQuery {
  check.refuseUnknown(body, [...extra, ...SEARCH_MEMBERS], { path, code: "bad_request" });
  const read = <T>(name: string, as: (value: JsonValue, place: check.Place) => T): T | undefined => {
    const value = body[name];
    return value === undefined || value === null ? undefined : as(value, placeOf(path, name));
  };
  const hybrid = read("hybrid", readHybrid);
  const vector = read("vector", (value, place) =>
    check.asArray(value, place).map((item, i) => check.asNumber(item, check.below(place, i))),
  );
  if (vector !== undefined && hybrid === undefined) {
    throw new ApiError(
      "missing_search_hybrid",
      "Invalid request: missing `hybrid` parameter when `vector` or `media` are present.",
    );
  }
  return {
    q: read("q", check.asString),
    vector,
    hybrid,
    offset: read("offset", check.asPositiveInteger) ?? 0,
    limit: read("limit", check.asPositiveInteger) ?? 20,
    page: read("page", check.asPositiveInteger),
    hitsPerPage: read("hitsPerPage", check.asPositiveInteger),
    attributesToRetrieve: read("attributesToRetrieve", check.asStrings),
    retrieveVectors: read("retrieveVectors", check.asBoolean) ?? false,
    attributesToCrop: read("attributesToCrop", check.asStrings),
    cropLength: read("cropLength", check.asPositiveInteger) ?? 10,
    cropMarker: read("cropMarker", check.asString) ?? "…",
    attributesToHighlight: read("attributesToHighlight", check.asStrings),
    highlightPreTag: read("highlightPreTag", check.asString) ?? "<em>",
    highlightPostTag: read("highlightPostTag", check.asString) ?? "</em>",
    showMatchesPosition: read("showMatchesPosition", check.asBoolean) ?? false,
    showRankingScore: read("showRankingScore", check.asBoolean) ?? false,
    showRankingScoreDetails: read("showRankingScoreDetails", check.asBoolean) ?? false,
    filter: body.filter ?? null,
    sort: read("sort", check.asStrings),
    distinct: read("distinct", check.asString),
    facets: read("facets", check.asStrings),
    matchingStrategy:
      read("matchingStrategy", (value, place) => check.asOneOf(value, ["last", "all", "frequency"], place)) ??
      "last",
    attributesToSearchOn: read("attributesToSearchOn", check.asStrings),
    rankingScoreThreshold: read("rankingScoreThreshold", (value, place) => {
      const threshold = check.asNumber(value, place);
      if (threshold >= 0 && threshold <= 1) return threshold;
      throw check.invalidValue(
        "the value of `rankingScoreThreshold` is invalid, expected a float between `0.0` and `1.0`.",
        place,
      );
    }),
  };
}

function readHybrid(value: JsonValue, place: check.Place): { semanticRatio: number; embedder: string } {
  const at = { ...place, code: "invalid_search_hybrid_query" };
  const object = check.asObject(value, at);
  check.refuseUnknown(object, ["semanticRatio", "embedder"], at);
  if (object.embedder === undefined || object.embedder === null) {
    throw new ApiError("invalid_search_hybrid_query", `Missing field \`embedder\` inside \`${place.path}\``);
  }
  const embedder = check.asString(object.embedder, {
    path: `${place.path}.embedder`,
    code: "invalid_search_embedder",
  });
  const ratioAt = { path: `${place.path}.semanticRatio`, code: "invalid_search_semantic_ratio" };
  const semanticRatio = check.asNumber(object.semanticRatio ?? 0.5, ratioAt);
  if (semanticRatio < 0 || semanticRatio > 1) {
    throw check.invalidValue(
      "the value of `semanticRatio` is invalid, expected a float between `0.0` and `1.0`.",
      ratioAt,
    );
  }
  return { semanticRatio, embedder };
}

const LISTS = new Set([
  "attributesToRetrieve",
  "attributesToCrop",
  "attributesToHighlight",
  "facets",
  "attributesToSearchOn",
  "sort",
]);
const INTEGERS = new Set(["offset", "limit", "page", "hitsPerPage", "cropLength"]);
const FLAGS = new Set([
  "showMatchesPosition",
  "showRankingScore",
  "showRankingScoreDetails",
  "showPerformanceDetails",
  "retrieveVectors",
]);
const GET_ONLY = ["hybridEmbedder", "hybridSemanticRatio", "personalizeUserContext"];
/** The parameters of a `GET` search: objects are spelt out. */
const PARAMETERS: readonly string[] = SEARCH_MEMBERS.flatMap((name) => {
  if (name === "hybrid") return ["hybridEmbedder", "hybridSemanticRatio"];
  if (name === "personalize") return ["personalizeUserContext"];
  return name === "media" ? [] : [name];
});

/** Turns the parameters of a `GET` search into the body of a `POST` one. */
export function searchFromParameters(query: URLSearchParams): JsonObject {
  const body: JsonObject = {};
  for (const [name, text] of query) {
    if (!PARAMETERS.includes(name)) {
      const list = PARAMETERS.map((option) => `\`${option}\``).join(", ");
      throw new ApiError("bad_request", `Unknown parameter \`${name}\`: expected one of ${list}`);
    }
    const { code } = placeOf("", name);
    if (LISTS.has(name))
      body[name] = name === "sort" ? splitSort(text) : text.split(",").map((item) => item.trim());
    else if (INTEGERS.has(name)) {
      if (!/^\d+$/.test(text))
        throw parameterError(name, code, `could not parse \`${text}\` as a positive integer`);
      body[name] = Number(text);
    } else if (FLAGS.has(name)) {
      if (text !== "true" && text !== "false") {
        throw parameterError(
          name,
          code,
          `could not parse \`${text}\` as a boolean, expected either \`true\` or \`false\``,
        );
      }
      body[name] = text === "true";
    } else if (name === "rankingScoreThreshold") body[name] = Number(text);
    else if (name === "vector") body[name] = text.split(",").map(Number);
    else if (name === "filter") body[name] = filterParameter(text);
    else if (!GET_ONLY.includes(name)) body[name] = text;
  }
  const embedder = query.get("hybridEmbedder");
  if (embedder !== null) {
    body.hybrid = { embedder, semanticRatio: Number(query.get("hybridSemanticRatio") ?? 0.5) };
  }
  return body;
}

function parameterError(name: string, code: string, message: string): ApiError {
  return new ApiError(code, `Invalid value in parameter \`${name}\`: ${message}`);
}

function filterParameter(text: string): JsonValue {
  try {
    const value: unknown = JSON.parse(text);
    if (Array.isArray(value)) return value as JsonValue[];
  } catch {
    // Not JSON: the parameter is the filter itself.
  }
  return text;
}

/** Splits `a:asc,_geoPoint(1,2):desc` at the commas between criteria. */
function splitSort(text: string): string[] {
  return text.split(/,(?![^(]*\))/).map((item) => item.trim());
}
