import { ApiError } from "../errors.js";
import type { JsonObject } from "../exact-json.js";
import { compareBytes } from "../filter/evaluate.js";
import { normalizeFacet } from "../filter/facet-values.js";
import type { IndexState } from "../index-state.js";
import { parseQuery } from "../search/query.js";
import { findCandidates } from "../search/rank.js";
import { printAnswer, scopeOf, search } from "../search/search.js";
import { readSearch, SEARCH_MEMBERS, searchFromParameters } from "../search/search-query.js";
import { typoDistance } from "../search/typos.js";
import { matchingRule, sortedUnique } from "../settings.js";
import * as check from "../validate.js";
import { existingIndex, objectBody, type Reply, type RequestContext, type Route } from "./context.js";

function multiSearch(context: RequestContext): Reply {
  const body = objectBody(context);
  check.refuseUnknown(body, ["queries", "federation"], { path: "", code: "bad_request" });
  if (body.queries === undefined) throw new ApiError("bad_request", "Missing field `queries`");
  if (body.federation !== undefined && body.federation !== null) {
    throw new ApiError("feature_not_enabled", "the embedded node does not serve federated searches");
  }
  const queries = check.asArray(body.queries, { path: ".queries", code: "bad_request" });
  const parsed = queries.map((query, i) => {
    const path = `.queries[${i}]`;
    const object = check.asObject(query, { path, code: "bad_request" });
    if (object.indexUid === undefined)
      throw new ApiError("missing_index_uid", `Missing field \`indexUid\` inside \`${path}\``);
    const uid = check.asString(object.indexUid, { path: `${path}.indexUid`, code: "invalid_index_uid" });
    const { indexUid: _, ...rest } = object;
    return { uid, path, request: readSearch(rest as JsonObject, path, ["indexUid"]) };
  });
  const results = parsed.map(({ uid, path, request }) => {
    if (!context.access.allows("search", uid)) {
      throw new ApiError(
        "invalid_api_key",
        `Inside \`${path}\`: The API key cannot acces the index \`${uid}\`, authorized indexes are ${JSON.stringify(context.access.indexes)}.`,
      );
    }
    try {
      return printAnswer(
        search(context.node.catalog.get(uid), request),
        `"indexUid":${JSON.stringify(uid)},`,
      );
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      throw new MultiSearchError(error, path);
    }
  });
  return { status: 200, json: `{"results":[${results.join(",")}]}` };
}

/** An error of one query of a multi-search: always a 400, and its message says which query. */
class MultiSearchError extends ApiError {
  constructor(error: ApiError, path: string) {
    super(error.code, `Inside \`${path}\`: ${error.message}`);
  }

  override get status(): number {
    return 400;
  }
}

const FACET_SEARCH_MEMBERS = ["facetQuery", "facetName", "exhaustiveFacetCount"];

function facetSearch(context: RequestContext): Reply {
  const started = performance.now();
  const index = existingIndex(context);
  const body = objectBody(context);
  check.refuseUnknown(body, [...FACET_SEARCH_MEMBERS, ...SEARCH_MEMBERS], { path: "", code: "bad_request" });
  if (body.facetName === undefined)
    throw new ApiError("missing_facet_search_facet_name", "Missing field `facetName`");
  const name = check.asString(body.facetName, {
    path: ".facetName",
    code: "invalid_facet_search_facet_name",
  });
  const query =
    body.facetQuery === undefined || body.facetQuery === null
      ? null
      : check.asString(body.facetQuery, { path: ".facetQuery", code: "invalid_facet_search_query" });
  assertFacetSearchable(index, name);
  const rest = Object.fromEntries(
    Object.entries(body).filter(([member]) => !FACET_SEARCH_MEMBERS.includes(member)),
  );
  const request = readSearch(rest);
  const scope = scopeOf(index, request);
  const ids =
    request.q === undefined
      ? [...scope.universe]
      : findCandidates(scope, parseQuery(scope, request.q), request.matchingStrategy).ids;
  const counts = new Map<string, { label: string; count: number }>();
  for (const id of ids) {
    const values = index.facetsOf(id, name);
    for (const [i, value] of values.strings.entries()) {
      if (query !== null && !matchesFacetQuery(index, value, query)) continue;
      const entry = counts.get(value);
      if (entry === undefined) counts.set(value, { label: values.originals[i] ?? value, count: 1 });
      else entry.count++;
    }
  }
  const { maxValuesPerFacet, sortFacetValuesBy } = index.settings.faceting;
  const hits = [...counts].sort(([a], [b]) => compareBytes(a, b)).map(([, entry]) => entry);
  if ((sortFacetValuesBy[name] ?? sortFacetValuesBy["*"]) === "count") hits.sort((a, b) => b.count - a.count);
  const facetHits = hits.slice(0, maxValuesPerFacet).map(({ label, count }) => ({ value: label, count }));
  const processingTimeMs = Math.floor(performance.now() - started);
  return { status: 200, json: JSON.stringify({ facetHits, facetQuery: query, processingTimeMs }) };
}

function assertFacetSearchable(index: IndexState, name: string): void {
  if (!index.settings.facetSearch) {
    throw new ApiError("facet_search_disabled", "The facet search is disabled for this index");
  }
  if (matchingRule(index.rules, name)?.rule.facetSearch === true) return;
  const patterns = sortedUnique(
    index.rules.filter((rule) => rule.facetSearch).flatMap((rule) => rule.patterns),
  );
  throw new ApiError(
    "invalid_facet_search_facet_name",
    `Attribute \`${name}\` is not facet-searchable. ${
      patterns.length === 0
        ? "This index does not have configured facet-searchable attributes."
        : `Available facet-searchable attributes patterns are: \`${patterns.join(", ")}\`.`
    } To make it facet-searchable add it to the \`filterableAttributes\` index settings.`,
  );
}

/** Whether a facet value has a word that begins with the query, within the allowed typos. */
function matchesFacetQuery(index: IndexState, value: string, query: string): boolean {
  const wanted = normalizeFacet(query).replace(/\p{Mn}/gu, "");
  const rules = index.settings.typoTolerance;
  const sizes = rules.minWordSizeForTypos;
  const allowed =
    !rules.enabled || wanted.length < sizes.oneTypo ? 0 : wanted.length < sizes.twoTypos ? 1 : 2;
  const plain = value.replace(/\p{Mn}/gu, "");
  if (plain.startsWith(wanted)) return true;
  const words = index.text.tokenizer.tokenize(plain).filter((token) => token.kind === "word");
  return (
    words.some((word) => plain.slice(word.start).startsWith(wanted)) ||
    (allowed > 0 && typoDistance(wanted, plain, allowed, true) <= allowed)
  );
}

/** Searches of one index and of several. */
export const SEARCH_ROUTES: readonly Route[] = [
  {
    method: "POST",
    path: "/indexes/:uid/search",
    action: "search",
    handle: (context) => {
      const index = existingIndex(context);
      return { status: 200, json: printAnswer(search(index, readSearch(objectBody(context)))) };
    },
  },
  {
    method: "GET",
    path: "/indexes/:uid/search",
    action: "search",
    handle: (context) => {
      const index = existingIndex(context);
      return {
        status: 200,
        json: printAnswer(search(index, readSearch(searchFromParameters(context.query)))),
      };
    },
  },
  { method: "POST", path: "/indexes/:uid/facet-search", action: "search", handle: facetSearch },
  { method: "POST", path: "/multi-search", action: "search", handle: multiSearch },
];
