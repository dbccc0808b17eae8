import { type ClientView, clientHit, clientView } from "./client-hit.js";
import { printOrderedFacets } from "./facets.js";
import { type IndexFacets, printFacetsByIndex } from "./federated-facets.js";
import type { FederatedHit } from "./federated-merge.js";
import type { AnsweredQuery } from "./federated-union.js";
import { type Pagination, planSearch, type SearchPlan } from "./part-request.js";
import { printDouble } from "./print-double.js";
import { isSemantic } from "./score-segments.js";
import { clientMetadata, passedOn, processingTimeOf } from "./search-body.js";
import type { IndexFacts, SearchParameters } from "./search-parameters.js";

/**
 * A plan for one query of a federated search. It asks for scores, which hits are compared by, whether or not the client
 * wants to see them; {@link printFederatedAnswer} hides them again.
 *
 * @param needed attributes that the merge reads from hits
 */
export function planFederatedQuery(
  query: SearchParameters,
  facts: IndexFacts,
  needed: readonly string[],
): SearchPlan {
  return planSearch({ ...query, showRankingScore: true }, facts, "many", needed);
}

/** Everything that the answer to a federated search is printed from. */
export type FederatedAnswer = {
  readonly hits: readonly FederatedHit[];
  /** In the order of the request, with the client's own parameters. */
  readonly queries: readonly (AnsweredQuery & { readonly asked: SearchParameters })[];
  readonly pagination: Pagination;
  readonly total: number;
  /** By index uid, in order; or those of all indexes made one. */
  readonly facets: ReadonlyMap<string, IndexFacets> | IndexFacets | undefined;
  readonly includeMetadata: boolean;
  /** Names the request; used where no part's own name for it is known. */
  readonly requestUid: string;
};

/** Prints the members in Meilisearch's order; hits are copied byte for byte (invariant 14). */
export function printFederatedAnswer(answer: FederatedAnswer): Buffer {
  const { queries, pagination, total, facets } = answer;
  const merged = queries.map((query) => query.merged);
  const rest: string[] = [];
  if (queries.some(({ asked }) => asked.retrieveVectors === true)) {
    const vectors = queries.flatMap((query, at) => {
      const vector = query.asked.retrieveVectors === true ? passedOn(query.merged, "queryVector") : undefined;
      return vector === undefined ? [] : [`"${at}":${vector}`];
    });
    rest.push(`"queryVectors":{${vectors.join(",")}}`);
  }
  rest.push(`"processingTimeMs":${Math.max(0, ...merged.map(processingTimeOf))}`);
  if (pagination.style === "page") {
    const { page, hitsPerPage } = pagination;
    const pages = hitsPerPage === 0 ? 0 : Math.ceil(total / hitsPerPage);
    rest.push(`"hitsPerPage":${hitsPerPage},"page":${page},"totalPages":${pages},"totalHits":${total}`);
  } else {
    rest.push(`"limit":${pagination.limit},"offset":${pagination.offset},"estimatedTotalHits":${total}`);
  }
  if (facets !== undefined && "stats" in facets) {
    rest.push(`"facetDistribution":${printOrderedFacets(facets.values)},"facetStats":${facets.stats}`);
  } else if (facets !== undefined && facets.size > 0) {
    rest.push(`"facetsByIndex":${printFacetsByIndex(facets)}`);
  }
  const [requestUid] = merged.flatMap((one) => passedOn(one, "requestUid") ?? []);
  rest.push(`"requestUid":${requestUid ?? JSON.stringify(answer.requestUid)}`);
  if (answer.includeMetadata) rest.push(`"metadata":[${queries.map(metadataOf).join(",")}]`);
  if (queries.some(({ plan }) => plan.kind !== "keyword")) {
    rest.push(`"semanticHitCount":${answer.hits.filter(({ hit }) => isSemantic(hit)).length}`);
  }
  const [details] = merged.flatMap((one) => passedOn(one, "performanceDetails") ?? []);
  if (details !== undefined) rest.push(`"performanceDetails":${details}`);
  return printBody(answer, rest);
}

function metadataOf({ plan, merged }: FederatedAnswer["queries"][number]): string {
  return clientMetadata(plan, Buffer.from(passedOn(merged, "metadata") ?? "{}"));
}

function printBody({ hits, queries }: FederatedAnswer, rest: readonly string[]): Buffer {
  const views = new Map<number, ClientView>();
  const chunks: Buffer[] = [Buffer.from('{"hits":[')];
  for (const [at, { hit, position, score }] of hits.entries()) {
    const query = queries[position];
    if (query === undefined) throw new RangeError(`a hit belongs to query ${position}, which there is not`);
    const view = views.get(position) ?? {
      ...clientView(query.plan),
      showRankingScore: query.asked.showRankingScore === true,
    };
    views.set(position, view);
    const uid = JSON.stringify(query.plan.facts.uid);
    const json = `{"indexUid":${uid},"queriesPosition":${position},"weightedRankingScore":${printDouble(score)}}`;
    if (at > 0) chunks.push(COMMA);
    chunks.push(clientHit(hit.bytes, view, { key: "_federation", json }));
  }
  chunks.push(Buffer.from(`],${rest.join(",")}}`));
  return Buffer.concat(chunks);
}

const COMMA = Buffer.from(",");
