import { removeMembers, setMember } from "../json/edit.js";
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
  readonly queries: readonly (AnsweredQuery & {
    readonly asked: SearchParameters;
    /** Whether it asks for {@link FederatedAnswer.server} by name. */
    readonly namesServer: boolean;
  })[];
  readonly pagination: Pagination;
  readonly total: number;
  /** By index uid, in order; or those of all indexes made one. */
  readonly facets: ReadonlyMap<string, IndexFacets> | IndexFacets | undefined;
  readonly includeMetadata: boolean;
  /** What this server is called in a network of servers; undefined where no query is for one of them. */
  readonly server: string | undefined;
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
  if (answer.includeMetadata)
    rest.push(`"metadata":[${queries.map((query) => metadataOf(query, answer.server)).join(",")}]`);
  if (answer.server !== undefined) rest.push('"remoteErrors":{}');
  if (queries.some(({ plan }) => plan.kind !== "keyword")) {
    rest.push(`"semanticHitCount":${answer.hits.filter(({ hit }) => isSemantic(hit)).length}`);
  }
  const [details] = merged.flatMap((one) => passedOn(one, "performanceDetails") ?? []);
  if (details !== undefined) rest.push(`"performanceDetails":${details}`);
  return printBody(answer, rest);
}

function metadataOf(
  { plan, merged, namesServer }: FederatedAnswer["queries"][number],
  server: string | undefined,
): string {
  const metadata = Buffer.from(clientMetadata(plan, Buffer.from(passedOn(merged, "metadata") ?? "{}")));
  if (server === undefined) return metadata.toString("utf8");
  // Meilisearch looks for the primary key under the name that the query gave, where its own indexes are not.
  const known = namesServer ? removeMembers(metadata, (key) => key === "primaryKey") : metadata;
  return setMember(known, "remote", JSON.stringify(server)).toString("utf8");
}

function printBody({ hits, queries, server }: FederatedAnswer, rest: readonly string[]): Buffer {
  const views = new Map<number, ClientView>();
  const remote = server === undefined ? "" : `,"remote":${JSON.stringify(server)}`;
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
    const json = `{"indexUid":${uid},"queriesPosition":${position},"weightedRankingScore":${printDouble(score)}${remote}}`;
    if (at > 0) chunks.push(COMMA);
    chunks.push(clientHit(hit.bytes, view, { key: "_federation", json }));
  }
  chunks.push(Buffer.from(`],${rest.join(",")}}`));
  return Buffer.concat(chunks);
}

const COMMA = Buffer.from(",");
