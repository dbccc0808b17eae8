import {
  type AnsweredQuery,
  facetOrderOf,
  facetsWithout,
  type IndexFacets,
  type IndexFacts,
  indexFacets,
  type MergedIndex,
  mergeIndexes,
  mergeIndexFacets,
  mergeQueries,
  planFederatedQuery,
  printFederatedAnswer,
  type SearchParameters,
  totalAndFacets,
  type Union,
  unionAsks,
  unionOf,
} from "../../merge/index.js";
import { notReady, notUnderstood } from "../http/api-errors.js";
import type { TopologySource } from "../topology/topology-view.js";
import { mapBounded } from "./bounded.js";
import { combinedHeaders, type ReadHeaders, readHeaders } from "./degradation.js";
import {
  type FederatedIndex,
  type FederatedRequest,
  federatedRequest,
  findFault,
  type PlacedQuery,
  personalizationFault,
  plainFault,
  unusedFacetsFault,
  unusedIndexes,
} from "./federated-faults.js";
import { indexFacts } from "./index-facts.js";
import type { Federation, MultiSearchQuery } from "./multi-search-query.js";
import { placeInNetwork } from "./network-queries.js";
import type { NodeRefusals } from "./node-refusals.js";
import type { ReadAnswer } from "./search.js";
import { askParts, mergedRun, runSearch } from "./search-run.js";
import { NodeRefusedError } from "./shard-read.js";
import type { ShardReader } from "./shard-reader.js";

/** What a federated search works with. */
export interface FederatedSearchDependencies {
  readonly topology: TopologySource;
  readonly reader: ShardReader;
  readonly refusals: NodeRefusals;
  readonly unavailableShardPolicy: "partial" | "error";
  /** Names a request that no node was asked for. */
  readonly newRequestUid: () => string;
}

/** Searches several indexes, or one several times, and makes one list of all hits. */
export interface FederatedSearch {
  /**
   * Asks every part of every query's index for its hits up to the page's end, merges the parts of each query, and then the queries, both
   * as one Meilisearch does (invariant 10).
   *
   * @throws MeilisearchError
   */
  search(
    queries: readonly MultiSearchQuery[],
    federation: Federation,
    options: { readonly original: Buffer; readonly includeMetadata: boolean },
    signal: AbortSignal,
  ): Promise<ReadAnswer>;
}

/** Queries of one request under way at once. */
export const MAX_CONCURRENT_QUERIES = 8;

/** Searches through `reader`. */
export function createFederatedSearch(dependencies: FederatedSearchDependencies): FederatedSearch {
  const { topology, refusals } = dependencies;
  return {
    async search(queries, federation, { original, includeMetadata }, signal) {
      const view = topology.current();
      if (view === undefined) throw notReady();
      const request = federatedRequest(view, queries, federation);
      const { self, fault: networkFault, judged } = placeInNetwork(view, queries, original);
      const fault =
        networkFault ??
        plainFault(request) ??
        (queries.some(({ isQuestionable }) => isQuestionable) ? notUnderstood() : undefined) ??
        (await unusedFault(refusals, request, signal)) ??
        (await personalizationFault(refusals, federation, signal));
      if (fault !== undefined) throw (await findFault(refusals, request, judged, signal)) ?? fault;
      try {
        return await run(dependencies, request, { includeMetadata, self }, signal);
      } catch (error) {
        if (!(error instanceof NodeRefusedError)) throw error;
        const found = await findFault(refusals, request, judged, signal);
        if (found !== undefined) throw found;
        const index = [...view.indexes.values()].find(
          ({ physicalName }) => physicalName === error.physicalName,
        );
        const uid = index?.uid ?? error.physicalName;
        throw await refusals.refusal(error, uid, { method: "POST", path: "/search", body: "{}" });
      }
    },
  };
}

async function unusedFault(
  refusals: NodeRefusals,
  request: FederatedRequest,
  signal: AbortSignal,
): Promise<unknown> {
  for (const uid of unusedIndexes(request)) {
    const index = request.view.indexes.get(uid);
    const facets = request.federation.facetsByIndex.get(uid) ?? null;
    const fault = index && (await unusedFacetsFault(refusals, index, facets, signal));
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** A query with its answer. */
type Answered = AnsweredQuery & {
  readonly position: number;
  readonly asked: SearchParameters;
  readonly namesServer: boolean;
  readonly weight: number;
  readonly headers: ReadHeaders;
};

/** Everything that one index contributes. */
type AnsweredIndex = {
  readonly uid: string;
  readonly facts: IndexFacts;
  readonly merged: MergedIndex;
  readonly union: Union;
};

async function run(
  dependencies: FederatedSearchDependencies,
  { indexes, federation }: FederatedRequest,
  { includeMetadata, self }: { readonly includeMetadata: boolean; readonly self: string | undefined },
  signal: AbortSignal,
): Promise<ReadAnswer> {
  const all = indexes.flatMap((federated) => federated.queries.map((query) => ({ federated, query })));
  const answered = await mapBounded(all, MAX_CONCURRENT_QUERIES, ({ federated, query }) =>
    answerQuery(dependencies, federated, query, federation, includeMetadata, signal),
  );
  const perIndex = await mapBounded(indexes, MAX_CONCURRENT_QUERIES, ({ uid, queries }) => {
    const positions = new Set(queries.map((query) => query.position));
    const own = answered.filter(({ position }) => positions.has(position));
    return answerIndex(dependencies, uid, own, federation, signal);
  });
  const distinct = answered.find(({ plan }) => federation.distinct !== undefined && plan.distinct !== null);
  const { skip, take } = pageOf(federation);
  const page = mergeIndexes(
    perIndex.map(({ merged }) => merged),
    skip,
    take,
    distinct?.plan.distinct ?? null,
  );
  const lost = page.rejected.reduce((sum, hits) => sum + hits.length, 0);
  const matched = perIndex.reduce((sum, { union }) => sum + union.total, 0);
  const inOrder = [...answered].sort((a, b) => a.position - b.position);
  const body = printFederatedAnswer({
    hits: page.hits,
    queries: inOrder,
    pagination: federation.pagination,
    total: Math.max(0, matched - lost),
    facets: facetsOf(perIndex, page.rejected, federation),
    includeMetadata,
    server: self,
    requestUid: dependencies.newRequestUid(),
  });
  return { body, headers: combinedHeaders(answered.map(({ headers }) => headers)) };
}

async function answerQuery(
  { reader, unavailableShardPolicy }: FederatedSearchDependencies,
  { facets, queries }: FederatedIndex,
  { indexUid, position, parameters, federationOptions, network }: PlacedQuery,
  federation: Federation,
  includeMetadata: boolean,
  signal: AbortSignal,
): Promise<Answered> {
  const { skip, take } = pageOf(federation);
  const end = skip + take;
  const query: SearchParameters = {
    ...parameters,
    ...(federation.pagination.style === "page" ? { page: 1, hitsPerPage: end } : { offset: 0, limit: end }),
    facets: facets ?? undefined,
    distinct: federation.distinct ?? parameters.distinct,
    showPerformanceDetails: federation.showPerformanceDetails ? true : undefined,
  };
  // Documents that several queries match count once in facets, which takes their values.
  const needed = queries.length > 1 ? (facets ?? []).filter((facet) => !facet.includes("*")) : [];
  const search = await runSearch(
    reader,
    { indexUid, plan: (index) => planFederatedQuery(query, indexFacts(index), needed), includeMetadata },
    signal,
  );
  return {
    position,
    asked: parameters,
    namesServer: network?.remote !== undefined,
    weight: federationOptions?.weight ?? 1,
    plan: search.plan,
    merged: mergedRun(search),
    headers: readHeaders(search.result, unavailableShardPolicy),
  };
}

async function answerIndex(
  { reader }: FederatedSearchDependencies,
  uid: string,
  queries: readonly Answered[],
  federation: Federation,
  signal: AbortSignal,
): Promise<AnsweredIndex> {
  const [first] = queries;
  if (first === undefined) throw new RangeError(`index ${uid} was not searched`);
  const { plan } = first;
  const merged = mergeQueries(
    queries.map(({ position, weight, merged: own }) => ({ position, weight, hits: own.page })),
    plan.end,
    federation.distinct === undefined ? null : plan.distinct,
  );
  const answers = await mapBounded(unionAsks(queries), MAX_CONCURRENT_QUERIES, async (ask) => ({
    ask,
    parts: (await askParts(reader, uid, ask, signal)).parts,
  }));
  const union = unionOf(queries, merged.rejected, answers, (round) => {
    const { total, facets } = totalAndFacets(round);
    return { total, facets: first.merged.facets === undefined ? undefined : facets };
  });
  return { uid, facts: plan.facts, merged, union };
}

/** Facets by index, or those of all indexes made one; undefined where there are none. */
function facetsOf(
  indexes: readonly AnsweredIndex[],
  rejected: readonly (readonly Parameters<typeof facetsWithout>[1][number][])[],
  { facetsByIndex, mergeFacets }: Federation,
): ReadonlyMap<string, IndexFacets> | IndexFacets | undefined {
  const shown = new Map<string, IndexFacets>();
  for (const [at, { uid, union, facts }] of indexes.entries()) {
    const asked = facetsByIndex.get(uid) ?? null;
    if (asked === null) continue;
    const facets = indexFacets(union, facts) ?? { values: new Map(), stats: "{}" };
    shown.set(uid, mergeFacets === undefined ? facetsWithout(facets, rejected[at] ?? []) : facets);
  }
  if (mergeFacets === undefined || shown.size === 0) return mergeFacets === undefined ? shown : undefined;
  const facts = indexes.find(({ uid }) => shown.has(uid))?.facts;
  const orders = new Map(
    indexes.flatMap(({ uid, facts: own }) =>
      [...(shown.get(uid)?.values.keys() ?? [])].map((name) => [name, facetOrderOf(own, name)] as const),
    ),
  );
  const merged = mergeIndexFacets(
    [...shown.values()],
    (attribute) => orders.get(attribute) ?? (facts === undefined ? "alpha" : facetOrderOf(facts, attribute)),
    mergeFacets.maxValuesPerFacet,
  );
  return facetsWithout(merged, rejected.flat());
}

function pageOf({ pagination }: Federation): { skip: number; take: number } {
  if (pagination.style === "offset") return { skip: pagination.offset, take: pagination.limit };
  const { page, hitsPerPage } = pagination;
  return page === 0 ? { skip: 0, take: 0 } : { skip: (page - 1) * hitsPerPage, take: hitsPerPage };
}
