import { MeilisearchError, parseErrorBody } from "../../meilisearch/errors.js";
import {
  type FacetOrder,
  facetOrderOf,
  type JsonObject,
  type RankedQuery,
  rankingIncompatibility,
} from "../../merge/index.js";
import { apiError, indexNotFound, notUnderstood } from "../http/api-errors.js";
import type { IndexView, TopologyView } from "../topology/topology-view.js";
import { filterableNames, indexFacts } from "./index-facts.js";
import { inconsistentFacetOrder, insideFacets, insideQuery } from "./multi-search-errors.js";
import type { Federation, MultiSearchQuery } from "./multi-search-query.js";
import { clientError, type NodeRefusals } from "./node-refusals.js";

/** A federated search, its queries in the order in which Meilisearch runs them. */
export interface FederatedRequest {
  readonly view: TopologyView;
  readonly federation: Federation;
  /** In the order of index uids. */
  readonly indexes: readonly FederatedIndex[];
}

/** The queries of a federated search to one index. */
export interface FederatedIndex {
  readonly uid: string;
  /** Undefined where the catalogue does not hold it. */
  readonly index: IndexView | undefined;
  readonly queries: readonly PlacedQuery[];
  /** Names and patterns of facets; null for none. */
  readonly facets: readonly string[] | null;
}

/** A query and its place in the request. */
export type PlacedQuery = MultiSearchQuery & { readonly position: number };

/** Groups the queries of a federated search by index. */
export function federatedRequest(
  view: TopologyView,
  queries: readonly MultiSearchQuery[],
  federation: Federation,
): FederatedRequest {
  const byIndex = new Map<string, PlacedQuery[]>();
  for (const [position, query] of queries.entries()) {
    const own = byIndex.get(query.indexUid) ?? [];
    own.push({ ...query, position });
    byIndex.set(query.indexUid, own);
  }
  const indexes = [...byIndex.keys()].sort().map((uid) => ({
    uid,
    index: view.indexes.get(uid),
    queries: byIndex.get(uid) ?? [],
    facets: federation.facetsByIndex.get(uid) ?? null,
  }));
  return { view, federation, indexes };
}

/**
 * What can be told to be wrong with a federated search without asking a node. Meilisearch may have something else to complain of first: see
 * {@link findFault}.
 */
export function plainFault(request: FederatedRequest): unknown {
  const { indexes, view, federation } = request;
  const missing = indexes.find(({ index }) => index === undefined);
  if (missing !== undefined) return insideQuery(positionOf(missing), indexNotFound(missing.uid));
  const incompatible = incompatibility(request);
  if (incompatible !== undefined) return incompatible.error;
  for (const uid of unusedIndexes(request)) {
    if (!view.indexes.has(uid)) return insideFacets(uid, indexNotFound(uid), false);
  }
  if (federation.mergeFacets === undefined) return undefined;
  return facetOrderFaults(request).values().next().value;
}

/** Indexes of which facets are asked for, but nothing else; in the order of their uids. */
export function unusedIndexes({ federation, indexes }: FederatedRequest): string[] {
  const used = new Set(indexes.map(({ uid }) => uid));
  return [...federation.facetsByIndex.keys()].filter((uid) => !used.has(uid)).sort();
}

/**
 * What a node says of the facets of an index that no query searches.
 *
 * @returns undefined where it has nothing against them
 */
export async function unusedFacetsFault(
  refusals: NodeRefusals,
  index: IndexView,
  facets: readonly string[] | null,
  signal: AbortSignal,
): Promise<MeilisearchError | undefined> {
  if (facets === null) return undefined;
  const facetsByIndex = { [index.physicalName]: facets };
  return judged(refusals, index, { federation: { facetsByIndex }, queries: [] }, signal);
}

/**
 * What a node says of personalized results, which Miroir does not make: nodes would have to see all hits.
 *
 * @returns undefined where they are not asked for
 */
export async function personalizationFault(
  refusals: NodeRefusals,
  { personalize }: Federation,
  signal: AbortSignal,
): Promise<MeilisearchError | undefined> {
  if (personalize === undefined) return undefined;
  const body = `{"queries":[],"federation":{"personalize":${personalize}}}`;
  const response = await refusals.verdict({ method: "POST", path: "/multi-search", body }, signal);
  const error = response && parseErrorBody(response.body);
  return response && error ? new MeilisearchError(response.status, error) : notUnderstood();
}

/**
 * Looks for what Meilisearch would complain of, in its order: the body as a whole, then index by index and query by query. Every
 * query is judged by a node that holds its index, alone, since nodes know other names and one ranking rule more.
 *
 * @param original the body as the client sent it
 * @returns undefined where nothing is wrong
 */
export async function findFault(
  refusals: NodeRefusals,
  request: FederatedRequest,
  original: Buffer,
  signal: AbortSignal,
): Promise<unknown> {
  const whole = { method: "POST", path: "/multi-search", body: original } as const;
  const response = await refusals.verdict(whole, signal);
  const body = response && parseErrorBody(response.body);
  if (response !== undefined && body !== undefined && body.code !== "index_not_found") {
    return new MeilisearchError(response.status, body);
  }
  const incompatible = incompatibility(request);
  const orderFaults =
    request.federation.mergeFacets === undefined ? new Map<string, unknown>() : facetOrderFaults(request);
  for (const federated of request.indexes) {
    const { index, uid, facets } = federated;
    const first = positionOf(federated);
    if (index === undefined) return insideQuery(first, indexNotFound(uid));
    const orderFault = orderFaults.get(uid);
    if (orderFault !== undefined) return orderFault;
    for (const query of federated.queries) {
      if (incompatible?.position === query.position) return incompatible.error;
      const fault = await queryFault(refusals, index, query, request.federation, null, signal);
      if (fault !== undefined) return fault;
    }
    const [query] = federated.queries;
    if (facets === null || query === undefined) continue;
    const fault = await queryFault(refusals, index, query, request.federation, facets, signal);
    if (fault !== undefined) return fault;
  }
  for (const uid of unusedIndexes(request)) {
    const index = request.view.indexes.get(uid);
    if (index === undefined) return insideFacets(uid, indexNotFound(uid), false);
    const orderFault = orderFaults.get(uid);
    if (orderFault !== undefined) return orderFault;
    const facets = request.federation.facetsByIndex.get(uid) ?? null;
    const fault = await unusedFacetsFault(refusals, index, facets, signal);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function positionOf({ queries }: FederatedIndex): number {
  return queries[0]?.position ?? 0;
}

async function queryFault(
  refusals: NodeRefusals,
  index: IndexView,
  { position, parameters }: PlacedQuery,
  { distinct }: Federation,
  facets: readonly string[] | null,
  signal: AbortSignal,
): Promise<MeilisearchError | undefined> {
  const federation = { limit: 0, distinct, facetsByIndex: { [index.physicalName]: facets } };
  const queries = [{ ...parameters, indexUid: index.physicalName }];
  const error = await judged(refusals, index, { federation, queries }, signal);
  if (error === undefined) return undefined;
  const message = error.body.message.replace(/^Inside `\.queries\[0\]`/, `Inside \`.queries[${position}]\``);
  return new MeilisearchError(error.status, { ...error.body, message });
}

/** What a node that holds an index says to a multi-search of that index alone. */
async function judged(
  refusals: NodeRefusals,
  index: IndexView,
  body: JsonObject,
  signal: AbortSignal,
): Promise<MeilisearchError | undefined> {
  const request = { method: "POST", path: "/multi-search", body: JSON.stringify(body) } as const;
  const response = await refusals.verdict(request, signal, index);
  if (response === undefined || parseErrorBody(response.body)?.code === "index_not_found") return undefined;
  return clientError(response, index.physicalName, index.uid, index);
}

/** The query that cannot be compared with those in front of it. */
function incompatibility({
  indexes,
}: FederatedRequest): { readonly position: number; readonly error: unknown } | undefined {
  const ranked = indexes.flatMap(({ index, queries }) =>
    index === undefined ? [] : queries.map((query) => rankedQuery(index, query)),
  );
  const found = rankingIncompatibility(ranked);
  if (found === undefined) return undefined;
  const error = apiError(400, "invalid_multi_search_query_ranking_rules", found.message);
  return { position: found.position, error: insideQuery(found.position, error) };
}

function rankedQuery(index: IndexView, { position, parameters }: PlacedQuery): RankedQuery {
  const { rankingRules } = index.settings;
  const { q, sort, hybrid, vector, media, matchingStrategy } = parameters;
  const ratio = hybrid?.semanticRatio ?? 0.5;
  const isEmpty = (q ?? "").trim() === "";
  const hasInput = !isEmpty || (vector ?? null) !== null || (media ?? null) !== null;
  const isVector = (hybrid ?? null) !== null && ratio !== 0 && hasInput && (ratio === 1 || isEmpty);
  return {
    position,
    indexUid: index.uid,
    rankingRules: Array.isArray(rankingRules) ? rankingRules.map(String) : [],
    sort: sort ?? null,
    matchesAllWords: matchingStrategy === "all",
    kind: isVector ? "vector" : (q ?? "") === "" ? "placeholder" : "keyword",
  };
}

/** By index uid: what is wrong with the order of its facets, beside those of the indexes in front of it. */
function facetOrderFaults(request: FederatedRequest): Map<string, unknown> {
  const orders = new Map<string, { indexUid: string; order: FacetOrder }>();
  const faults = new Map<string, unknown>();
  const { indexes, view, federation } = request;
  const used = indexes.map(({ uid, index, facets, queries }) => ({
    uid,
    index,
    facets,
    first: queries[0]?.position,
  }));
  const unused = unusedIndexes(request).map((uid) => ({
    uid,
    index: view.indexes.get(uid),
    facets: federation.facetsByIndex.get(uid) ?? null,
    first: undefined,
  }));
  for (const { uid, index, facets, first } of [...used, ...unused]) {
    if (index === undefined || facets === null) continue;
    for (const facet of filterableNames(index, facets)) {
      const order = facetOrderOf(indexFacts(index), facet);
      const before = orders.get(facet);
      if (before === undefined) orders.set(facet, { indexUid: uid, order });
      else if (before.order !== order && !faults.has(uid)) {
        const conflict = inconsistentFacetOrder(facet, before, { indexUid: uid, order });
        const fault = insideFacets(uid, conflict, first !== undefined);
        faults.set(uid, first === undefined ? fault : insideQuery(first, fault));
      }
    }
  }
  return faults;
}
