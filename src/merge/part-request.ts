import { type AttributeView, attributeView } from "./attribute-view.js";
import { standInForAttribute, standInsInFilter } from "./injected-fields.js";
import type { IndexFacts, JsonObject, JsonValue, SearchParameters } from "./search-parameters.js";
import { filterWithShards } from "./shard-filter.js";

/** `offset` and `limit` when the client gave no page, page numbers with exact totals when it did. */
export type Pagination =
  | { readonly style: "offset"; readonly offset: number; readonly limit: number }
  | { readonly style: "page"; readonly page: number; readonly hitsPerPage: number };

/**
 * What a part is asked for:
 *
 * - `page`: the best hits up to the page's end.
 * - `keyword`, `semantic`: the two halves of a hybrid search, up to the page's end.
 * - `universe`: no hits, only totals and facets of everything that matches, before `distinct` or a score
 *   threshold took anything away.
 * - `values`: the distinct attribute of every hit that can count towards an exact total.
 * - `ties`: as many hits as there are, for those in front of the page's last one, or tied with it, that the page does not show.
 */
export type AskRole = "page" | "keyword" | "semantic" | "universe" | "values" | "ties";

/** One search that every part is asked, still without the shards that it is to be narrowed to. */
export type Ask = { readonly role: AskRole; readonly body: JsonObject };

/** One client search turned into asks; everything that {@link mergeSearch} needs besides the answers. */
export type SearchPlan = {
  /** `one`: a single part covers the index and its answer only loses Miroir's fields. */
  readonly parts: "one" | "many";
  readonly kind: "keyword" | "semantic" | "hybrid";
  /** Send each to every part; their answers go to the merge in this order. */
  readonly asks: readonly Ask[];
  readonly query: SearchParameters;
  readonly facts: IndexFacts;
  readonly pagination: Pagination;
  /** First hit of the page, from 0. */
  readonly from: number;
  /** Behind the last hit of the page, within `maxTotalHits`; what every part is asked for. */
  readonly end: number;
  /** The attribute of which each value is shown once; null for none. */
  readonly distinct: string | null;
  readonly view: AttributeView;
  /** The facet that was added to the universe's ask to count distinct values, if it was not the client's. */
  readonly countsDistinctValues: boolean;
};

const DEFAULT_LIMIT = 20;
const DEFAULT_SEMANTIC_RATIO = 0.5;

/**
 * A ratio that makes a node run a hybrid search of which every semantic hit comes first: it then
 * highlights the query's words in semantic hits, which a purely semantic search does not do.
 */
const ALMOST_SEMANTIC = 0.999999;

/**
 * Turns a client's search into what each part is asked.
 *
 * @param query the client's validated parameters
 * @param parts `one` where a single part holds the whole index: its own answer is then the answer, unless it
 *   would count otherwise than a node without Miroir's rules; `many` by default
 * @param alsoNeeded attributes that hits have to hold besides, whatever the client wants to see
 */
export function planSearch(
  query: SearchParameters,
  facts: IndexFacts,
  parts: "one" | "many" = "many",
  alsoNeeded: readonly string[] = [],
): SearchPlan {
  const pagination = paginationOf(query);
  const { from, end } = pageBounds(pagination, facts.maxTotalHits);
  const kind = searchKind(query);
  const asked = query.distinct ?? facts.distinctAttribute;
  const distinct = asked === null ? null : standInForAttribute(asked);
  const countsDistinctValues =
    distinct !== null &&
    end > 0 &&
    (pagination.style === "offset" || kind !== "keyword") &&
    (query.distinct !== null && query.distinct !== undefined ? true : facts.distinctAttributeIsFilterable);
  // The sequence rule separates ties, which a node without it counts together.
  const isOne = parts === "one" && (!countsDistinctValues || kind === "hybrid");
  const needed = isOne ? [] : neededAttributes(query, facts, kind, distinct, alsoNeeded);
  const view = attributeView(query, facts.displayedAttributes, needed);
  const asks: Ask[] = isOne
    ? [{ role: "page", body: commonBody(query, view) }]
    : asksFor(query, view, pagination, end, kind, distinct, countsDistinctValues, facts);
  return {
    parts: isOne ? "one" : "many",
    kind,
    asks,
    query,
    facts,
    pagination,
    from,
    end,
    distinct,
    view,
    countsDistinctValues: !isOne && countsDistinctValues,
  };
}

/** Attributes that hits of several parts have to hold for the merge, whatever the client wants to see. */
function neededAttributes(
  query: SearchParameters,
  facts: IndexFacts,
  kind: SearchPlan["kind"],
  distinct: string | null,
  alsoNeeded: readonly string[],
): string[] {
  const needed = alsoNeeded.map(standInForAttribute);
  if (distinct !== null && !needed.includes(distinct)) needed.push(distinct);
  // Where all hits are on the page, facets under distinct are counted over them.
  for (const facet of distinct === null ? [] : (query.facets ?? []).map(standInForAttribute)) {
    if (!facet.includes("*") && !needed.includes(facet)) needed.push(facet);
  }
  if (kind === "hybrid" && facts.primaryKey !== null && !needed.includes(facts.primaryKey)) {
    needed.push(facts.primaryKey);
  }
  return needed;
}

/**
 * The body to send for `ask`.
 *
 * @param shards the shards that this part is to serve; null where the node holds nothing but shards that it
 *   should serve, and needs no filter (invariant 5)
 * @param most how many hits to ask for; as many as `ask` says unless given
 */
export function askBody(ask: Ask, shards: readonly number[] | null, most?: number): string {
  const body = most === undefined ? ask.body : withMost(ask.body, most);
  if (shards === null) return JSON.stringify(body);
  return JSON.stringify({ ...body, filter: filterWithShards(body.filter, shards) });
}

function withMost(body: JsonObject, most: number): JsonObject {
  return body.hitsPerPage === undefined ? { ...body, limit: most } : { ...body, hitsPerPage: most };
}

/** The weight of the semantic half of a hybrid search, rounded as Meilisearch holds it. */
export function semanticRatioOf(query: SearchParameters): number {
  return Math.fround(query.hybrid?.semanticRatio ?? DEFAULT_SEMANTIC_RATIO);
}

function paginationOf(query: SearchParameters): Pagination {
  const page = query.page ?? null;
  const hitsPerPage = query.hitsPerPage ?? null;
  if (page === null && hitsPerPage === null) {
    return { style: "offset", offset: query.offset ?? 0, limit: query.limit ?? DEFAULT_LIMIT };
  }
  return { style: "page", page: page ?? 1, hitsPerPage: hitsPerPage ?? DEFAULT_LIMIT };
}

function pageBounds(pagination: Pagination, maxTotalHits: number): { from: number; end: number } {
  let offset: number;
  let limit: number;
  if (pagination.style === "offset") {
    ({ offset, limit } = pagination);
  } else if (pagination.page === 0) {
    offset = 0;
    limit = 0;
  } else {
    offset = (pagination.page - 1) * pagination.hitsPerPage;
    limit = pagination.hitsPerPage;
  }
  return { from: offset, end: Math.min(offset + limit, maxTotalHits) };
}

/** Which search a node would run; the order of the conditions is Meilisearch's. */
function searchKind(query: SearchParameters): "keyword" | "semantic" | "hybrid" {
  const hybrid = query.hybrid ?? null;
  const isPlaceholder = (query.q ?? "").trim() === "";
  const hasMedia = query.media !== null && query.media !== undefined;
  const hasVector = query.vector !== null && query.vector !== undefined;
  if (hybrid === null) return "keyword";
  const ratio = semanticRatioOf(query);
  if (ratio === 0) return "keyword";
  if (!hasMedia && isPlaceholder && !hasVector) return "keyword";
  if (ratio === 1 || isPlaceholder) return "semantic";
  return "hybrid";
}

function asksFor(
  query: SearchParameters,
  view: AttributeView,
  pagination: Pagination,
  end: number,
  kind: SearchPlan["kind"],
  distinct: string | null,
  countsDistinctValues: boolean,
  facts: IndexFacts,
): Ask[] {
  const common = { ...commonBody(query, view), ...pageTo(pagination, end), showRankingScoreDetails: true };
  const asks: Ask[] =
    kind === "hybrid" ? hybridAsks(query, common, distinct) : [{ role: "page", body: common }];
  const hasThreshold = query.rankingScoreThreshold !== null && query.rankingScoreThreshold !== undefined;
  if (distinct !== null && pagination.style === "page" && kind === "keyword") {
    asks.push({ role: "values", body: valuesBody(common, distinct, facts) });
  }
  const countsAll = hasThreshold && pagination.style === "offset" && kind !== "hybrid" && end > 0;
  if (countsAll || countsDistinctValues) {
    const facets = (query.facets ?? []).map(standInForAttribute);
    if (countsDistinctValues && distinct !== null && !facets.includes(distinct)) facets.push(distinct);
    asks.push({ role: "universe", body: universeBody(query, common, kind, facets) });
  }
  return asks;
}

/** What every ask has in common: the client's query without Miroir's names, hidden attributes or a page. Mostly the query itself. */
function commonBody(query: SearchParameters, view: AttributeView): JsonObject {
  let body: Record<string, JsonValue | undefined> | undefined;
  const set = (name: keyof SearchParameters, value: JsonValue | undefined): void => {
    if (isSameList(query[name], value)) return;
    body ??= { ...query };
    body[name] = value;
  };
  set("attributesToRetrieve", view.toRetrieve);
  set("attributesToHighlight", view.attributesToHighlight);
  set("attributesToCrop", view.attributesToCrop);
  for (const name of LISTS) {
    const list = query[name];
    if (list !== null && list !== undefined) set(name, list.map(standInForAttribute));
  }
  if (typeof query.distinct === "string") set("distinct", standInForAttribute(query.distinct));
  if (query.filter !== null && query.filter !== undefined) set("filter", filterStandIns(query.filter));
  return body ?? query;
}

const LISTS = ["sort", "facets", "attributesToSearchOn"] as const;

function isSameList(a: JsonValue | undefined, b: JsonValue | undefined): boolean {
  if (a === b) return true;
  if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
  return a.every((value, at) => value === b[at]);
}

function filterStandIns(filter: JsonValue): JsonValue {
  if (typeof filter === "string") return standInsInFilter(filter);
  if (Array.isArray(filter)) return (filter as readonly JsonValue[]).map(filterStandIns);
  return filter;
}

function pageTo(pagination: Pagination, end: number): JsonObject {
  return pagination.style === "page"
    ? { page: 1, hitsPerPage: end, offset: undefined, limit: undefined }
    : { offset: 0, limit: end };
}

/** Leaves out of a body what only decides how hits are shown. */
export const NO_FORMATTING: JsonObject = {
  attributesToHighlight: undefined,
  attributesToCrop: undefined,
  showMatchesPosition: undefined,
  retrieveVectors: undefined,
  showRankingScore: undefined,
  showRankingScoreDetails: undefined,
};

function valuesBody(common: JsonObject, distinct: string, facts: IndexFacts): JsonObject {
  return {
    ...common,
    ...NO_FORMATTING,
    facets: undefined,
    attributesToRetrieve: [distinct],
    page: 1,
    hitsPerPage: facts.maxTotalHits,
  };
}

function universeBody(
  query: SearchParameters,
  common: JsonObject,
  kind: SearchPlan["kind"],
  facets: readonly string[],
): JsonObject {
  return {
    ...common,
    // Without hits to give, a hybrid search would find its keyword half good enough.
    hybrid: kind === "hybrid" ? { embedder: query.hybrid?.embedder ?? "", semanticRatio: 1 } : common.hybrid,
    ...NO_FORMATTING,
    attributesToRetrieve: [],
    rankingScoreThreshold: undefined,
    facets: facets.length > 0 ? facets : undefined,
    page: undefined,
    hitsPerPage: undefined,
    offset: 0,
    limit: 0,
  };
}

function hybridAsks(query: SearchParameters, common: JsonObject, distinct: string | null): Ask[] {
  const keyword = {
    ...common,
    hybrid: undefined,
    vector: undefined,
    media: undefined,
    showRankingScore: true,
  };
  const formats =
    (query.attributesToHighlight ?? []).length > 0 ||
    (query.attributesToCrop ?? []).length > 0 ||
    query.showMatchesPosition === true;
  const narrowed =
    distinct !== null || (query.rankingScoreThreshold !== null && query.rankingScoreThreshold !== undefined);
  const semantic = {
    ...common,
    hybrid: {
      embedder: query.hybrid?.embedder ?? "",
      semanticRatio: formats || narrowed ? ALMOST_SEMANTIC : 1,
    },
    showRankingScore: true,
  };
  return [
    { role: "keyword", body: keyword },
    { role: "semantic", body: semantic },
  ];
}
