import { randomUUID } from "node:crypto";
import { ApiError } from "../errors.js";
import { printFloat } from "../exact-json.js";
import { checkFilter, filterIds, parseFilterValue } from "../filter/evaluate.js";
import { distanceInMeters } from "../geo.js";
import type { IndexState } from "../index-state.js";
import { matchesPattern, sortedUnique } from "../settings.js";
import { facetDistribution } from "./facets.js";
import { cropLengths, formatDocument, Matcher, matchPositions } from "./format.js";
import { pathsAtLevel } from "./paths.js";
import { type ParsedQuery, parseQuery, type SearchScope } from "./query.js";
import {
  applyDistinct,
  distinctField,
  findCandidates,
  type RankedHit,
  type Ranking,
  rank,
  rulesFor,
} from "./rank.js";
import { renderDocument } from "./render.js";
import { globalScore, printDetails } from "./score.js";
import type { SearchQuery } from "./search-query.js";
import { parseSort, type SortCriterion } from "./sort.js";
import { vectorRanking } from "./vector-search.js";

/** A search's answer: members of the JSON object that Meilisearch sends, in its order. */
export interface SearchAnswer {
  readonly hits: readonly string[];
  /** The members after `hits`. */
  readonly rest: string;
}

/** Prints an answer. `head` are members to put first, such as a multi-search's `indexUid`. */
export function printAnswer(answer: SearchAnswer, head = ""): string {
  return `{${head}"hits":[${answer.hits.join(",")}],${answer.rest}}`;
}

/** What a search finds before it is cut to a page. */
interface Found {
  readonly ranking: Ranking;
  readonly query: ParsedQuery | undefined;
  readonly semanticHits: number | undefined;
}

/**
 * Searches an index.
 *
 * @throws ApiError as Meilisearch words it.
 */
export function search(index: IndexState, request: SearchQuery): SearchAnswer {
  const started = performance.now();
  const paged = request.page !== undefined || request.hitsPerPage !== undefined;
  const maxTotal = index.settings.pagination.maxTotalHits;
  const size = paged ? (request.hitsPerPage ?? 20) : request.limit;
  const page = request.page ?? 1;
  const wantedStart = paged ? (page === 0 ? 0 : (page - 1) * size) : request.offset;
  const start = Math.min(wantedStart, maxTotal);
  const end = page === 0 && paged ? 0 : Math.min(start + size, maxTotal);
  const sorts = readSorts(index, request);
  const scope = scopeOf(index, request);
  const distinct = distinctField(index, request.distinct);
  const facets = request.facets;
  // Names in `facets` are checked even where nothing is found.
  if (facets !== undefined) facetDistribution(index, [], facets);
  const found = find(
    index,
    scope,
    request,
    sorts,
    distinct,
    paged && request.rankingScoreThreshold !== undefined ? maxTotal : end,
  );
  const hits = found.ranking.hits.slice(start, end);
  let ids = [...found.ranking.candidates];
  if (paged && distinct !== undefined)
    ids = applyDistinct(
      index,
      ids.sort((a, b) => a - b),
      distinct,
    );
  // `maxTotalHits` limits the hits that can be reached, not the totals.
  const total = ids.length;
  const printer = new HitPrinter(index, request, found.query, sorts);
  const rest = [
    `"query":${JSON.stringify(request.q ?? "")}`,
    `"processingTimeMs":${Math.floor(performance.now() - started)}`,
    paged
      ? `"hitsPerPage":${size},"page":${page},"totalPages":${size === 0 ? 0 : Math.ceil(total / size)},"totalHits":${total}`
      : `"limit":${request.limit},"offset":${request.offset},"estimatedTotalHits":${total}`,
  ];
  if (facets !== undefined) {
    const result = facetDistribution(index, ids, facets);
    rest.push(`"facetDistribution":${result.distribution}`, `"facetStats":${result.stats}`);
  }
  rest.push(`"requestUid":"${randomUUID()}"`);
  if (found.semanticHits !== undefined) rest.push(`"semanticHitCount":${found.semanticHits}`);
  return { hits: hits.map((hit) => printer.print(hit)), rest: rest.join(",") };
}

function readSorts(index: IndexState, request: SearchQuery): SortCriterion[] {
  if (request.sort === undefined || request.sort.length === 0) return [];
  const prefix = `Index \`${index.uid}\`: `;
  const sorts = parseSort(index, request.sort, "invalid_search_sort", prefix);
  if (!index.settings.rankingRules.includes("sort")) {
    throw new ApiError(
      "invalid_search_sort",
      `${prefix}You must specify where \`sort\` is listed in the rankingRules setting to use the sort parameter at search time.`,
    );
  }
  return sorts;
}

/** The documents and fields that a search looks at. */
export function scopeOf(
  index: IndexState,
  request: Pick<SearchQuery, "filter" | "attributesToSearchOn">,
): SearchScope {
  const context = { code: "invalid_search_filter", prefix: `Index \`${index.uid}\`: ` } as const;
  const filter = parseFilterValue(request.filter, context);
  if (filter !== undefined) checkFilter(index, filter, context);
  return {
    text: index.text,
    settings: index.settings,
    universe: new Set(filterIds(index, filter, index.ids)),
    fields: searchedFields(index, request.attributesToSearchOn),
  };
}

function searchedFields(
  index: IndexState,
  asked: readonly string[] | undefined,
): ReadonlySet<number> | undefined {
  if (asked === undefined) return undefined;
  const { searchableAttributes } = index.settings;
  const all = searchableAttributes.includes("*");
  for (const name of asked) {
    if (
      all ||
      name === "*" ||
      name.includes("*") ||
      searchableAttributes.some((one) => matchesPattern(one, name))
    )
      continue;
    throw new ApiError(
      "invalid_search_attributes_to_search_on",
      `Index \`${index.uid}\`: Attribute \`${name}\` is not searchable. Available searchable attributes are: \`${sortedUnique(searchableAttributes).join(", ")}\`.`,
    );
  }
  if (asked.includes("*")) return undefined;
  const fields = index.text.fields.flatMap((name, field) =>
    asked.some((one) => matchesPattern(one, name)) ? [field] : [],
  );
  return new Set(fields);
}

function find(
  index: IndexState,
  scope: SearchScope,
  request: SearchQuery,
  sorts: readonly SortCriterion[],
  distinct: string | undefined,
  until: number,
): Found {
  const options = { until, distinct, threshold: request.rankingScoreThreshold };
  const { hybrid } = request;
  if (hybrid !== undefined) {
    const embedder = index.settings.embedders[hybrid.embedder];
    if (embedder === undefined) {
      throw new ApiError("invalid_search_embedder", `Cannot find embedder with name \`${hybrid.embedder}\`.`);
    }
    if (request.vector !== undefined && request.vector.length !== embedder.dimensions) {
      throw new ApiError(
        "invalid_vector_dimensions",
        `Invalid vector dimensions: expected: \`${embedder.dimensions}\`, found: \`${request.vector.length}\`.`,
      );
    }
  }
  const keyword = () => keywordSearch(index, scope, request, sorts, options);
  if (hybrid === undefined || hybrid.semanticRatio === 0) {
    const result = keyword();
    return { ...result, semanticHits: hybrid === undefined ? undefined : 0 };
  }
  // Without a vector to compare with, a `userProvided` embedder leaves the keyword half.
  if (request.vector === undefined) return { ...keyword(), semanticHits: 0 };
  const target = request.vector;
  const semantic = () => vectorRanking(index, scope, hybrid.embedder, target, sorts, options);
  if (hybrid.semanticRatio === 1 || request.q === undefined || request.q.trim() === "") {
    const ranking = semantic();
    const counted = ranking.hits.filter((hit) =>
      hit.details.some((detail) => detail.kind === "vector"),
    ).length;
    return { ranking, query: undefined, semanticHits: counted };
  }
  const words = keyword();
  if (isGoodEnough(words.ranking, until, hybrid.semanticRatio)) return { ...words, semanticHits: 0 };
  return { query: words.query, ...mergeHybrid(words.ranking, semantic(), hybrid.semanticRatio, until) };
}

/** Whether the keyword half alone fills the page with hits so good that the other half is not asked. */
function isGoodEnough(ranking: Ranking, until: number, semanticRatio: number): boolean {
  return (
    semanticRatio <= 0.5 &&
    ranking.hits.length >= until &&
    ranking.hits.every((hit) => globalScore(hit.details) > 0.9)
  );
}

function mergeHybrid(keyword: Ranking, semantic: Ranking, ratio: number, until: number) {
  const weighted = [
    ...keyword.hits.map((hit) => ({ hit, score: globalScore(hit.details) * (1 - ratio), semantic: false })),
    ...semantic.hits.map((hit) => ({ hit, score: globalScore(hit.details) * ratio, semantic: true })),
  ].sort((a, b) => b.score - a.score);
  const seen = new Set<number>();
  const merged = weighted.filter(({ hit }) => !seen.has(hit.id) && seen.add(hit.id)).slice(0, until);
  const candidates = new Set([...keyword.candidates, ...semantic.candidates]);
  return {
    ranking: { hits: merged.map(({ hit }) => hit), candidates },
    semanticHits: merged.filter((one) => one.semantic).length,
  };
}

function keywordSearch(
  index: IndexState,
  scope: SearchScope,
  request: SearchQuery,
  sorts: readonly SortCriterion[],
  options: {
    readonly until: number;
    readonly distinct: string | undefined;
    readonly threshold: number | undefined;
  },
): Found {
  const parsed = request.q === undefined ? undefined : parseQuery(scope, request.q);
  const strategy = request.matchingStrategy;
  const candidates = parsed === undefined ? undefined : findCandidates(scope, parsed, strategy);
  const ids = candidates?.ids ?? [...scope.universe];
  const query = parsed !== undefined && parsed.termCount > 0 ? parsed : undefined;
  const rules = rulesFor(scope, index, query, candidates?.order, strategy, sorts);
  const paths =
    query === undefined || candidates === undefined
      ? []
      : pathsAtLevel(query, candidates.order, 0, strategy === "all");
  return { ranking: rank(index, ids, paths, rules, options), query, semanticHits: undefined };
}

/** Prints hits as a request wants them. */
class HitPrinter {
  readonly #index: IndexState;
  readonly #request: SearchQuery;
  readonly #sorts: readonly SortCriterion[];
  readonly #matcher: Matcher;
  readonly #fields: readonly string[] | undefined;
  readonly #unified: boolean;

  constructor(
    index: IndexState,
    request: SearchQuery,
    query: ParsedQuery | undefined,
    sorts: readonly SortCriterion[],
  ) {
    this.#index = index;
    this.#request = request;
    this.#sorts = sorts;
    this.#matcher = new Matcher(index.text.tokenizer, query);
    this.#fields = retrievedFields(index, request.attributesToRetrieve);
    this.#unified = index.settings.rankingRules.includes("attribute");
  }

  print({ id, details }: RankedHit): string {
    const request = this.#request;
    const members: string[] = [];
    const body = renderDocument(
      this.#index,
      id,
      this.#fields,
      request.retrieveVectors && this.#wantsVectors(),
    );
    if (body !== "{}") members.push(body.slice(1, -1));
    const geo = this.#sorts.find((sort) => sort.kind === "geo");
    const point = this.#index.geo.get(id);
    const showsGeo = this.#fields === undefined || this.#fields.includes("_geo");
    if (geo?.kind === "geo" && point !== undefined && showsGeo) {
      members.push(`"_geoDistance":${Math.round(distanceInMeters(geo.point, point))}`);
    }
    const formatted = this.#formatted(id);
    if (formatted !== undefined) members.push(`"_formatted":${formatted}`);
    const document = this.#index.document(id);
    if (request.showMatchesPosition && document !== undefined) {
      const names = this.#index.fields.filter((name) => this.#isDisplayed(name));
      members.push(`"_matchesPosition":${matchPositions(document, names, this.#matcher)}`);
    }
    if (request.showRankingScore) members.push(`"_rankingScore":${printFloat(globalScore(details))}`);
    if (request.showRankingScoreDetails) {
      members.push(`"_rankingScoreDetails":${printDetails(details, this.#unified)}`);
    }
    return `{${members.join(",")}}`;
  }

  #wantsVectors(): boolean {
    const asked = this.#request.attributesToRetrieve;
    return asked === undefined || asked.includes("*") || asked.includes("_vectors");
  }

  #isDisplayed(name: string): boolean {
    const displayed = this.#index.settings.displayedAttributes;
    return displayed.includes("*") || displayed.some((one) => matchesPattern(one, name));
  }

  #formatted(id: number): string | undefined {
    const { attributesToHighlight: highlight, attributesToCrop: crop } = this.#request;
    if (highlight === undefined && crop === undefined) return undefined;
    const lengths = cropLengths(crop ?? [], this.#request.cropLength);
    const covers = (list: readonly string[] | undefined, path: string) =>
      list?.some((one) => matchesPattern(one, path)) ?? false;
    const shown = (name: string) =>
      this.#isDisplayed(name) &&
      name !== "_vectors" &&
      (this.#fields === undefined ||
        this.#fields.some((field) => field === name || field.startsWith(`${name}.`)) ||
        covers(highlight, name) ||
        lengths(name) !== undefined);
    const document = this.#index.document(id);
    if (document === undefined) return undefined;
    return formatDocument(
      document,
      this.#index.fields,
      { shown, highlight: (path) => covers(highlight, path), cropLength: lengths },
      this.#matcher,
      {
        preTag: this.#request.highlightPreTag,
        postTag: this.#request.highlightPostTag,
        cropMarker: this.#request.cropMarker,
      },
    );
  }
}

/** The fields to print: asked for and displayed; `undefined` for all. */
function retrievedFields(
  index: IndexState,
  asked: readonly string[] | undefined,
): readonly string[] | undefined {
  const displayed = index.settings.displayedAttributes;
  const everything = displayed.includes("*");
  if (asked === undefined || asked.includes("*")) return everything ? undefined : displayed;
  return everything ? asked : asked.filter((name) => displayed.some((one) => matchesPattern(one, name)));
}
