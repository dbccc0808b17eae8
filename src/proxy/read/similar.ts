import { arrayElements, findMember } from "../../json/members.js";
import { filterWithShards, type JsonValue } from "../../merge/index.js";
import { standInsInAnyFilter } from "../../merge/injected-fields.js";
import {
  mergeSimilar,
  nearestAsk,
  type SimilarAnswer,
  type SimilarParameters,
  similarAsk,
  similarityRule,
} from "../../merge/similar.js";
import type { ShardHasher } from "../../placement/shard.js";
import { DEFAULT_RANKING_RULES } from "../../settings/canonical-settings.js";
import { apiError, featureNotAvailable, shardUnavailable } from "../http/api-errors.js";
import type { IndexView } from "../topology/topology-view.js";
import { combinedHeaders, readHeaders } from "./degradation.js";
import { indexFacts } from "./index-facts.js";
import { clientError } from "./node-refusals.js";
import type { ReadAnswer, SearchDependencies } from "./search.js";
import { type IndexRequest, NodeRefusedError } from "./shard-read.js";
import { soundRequest } from "./sound-request.js";

/** A client's request for similar documents. */
export interface SimilarRequest {
  readonly parameters: SimilarParameters;
  /** The document's id, as text. */
  readonly id: string;
  /** What the client may see of documents: another one is not found. */
  readonly documentFilter: JsonValue | undefined;
}

/** Finds documents that are similar to one. */
export interface SimilarService {
  /**
   * The answer that one Meilisearch with all documents would give (invariant 10).
   *
   * @param request undefined where the request is not sound; Meilisearch's reason is then looked for at a node
   * @param original the request as the client sent it
   * @throws MeilisearchError
   */
  similar(
    indexUid: string,
    request: SimilarRequest | undefined,
    original: IndexRequest,
    signal: AbortSignal,
  ): Promise<ReadAnswer>;
}

/** What a service for similar documents works with. */
export interface SimilarDependencies extends SearchDependencies {
  readonly hasher: ShardHasher;
}

/** Searches through `reader`. */
export function createSimilarService(dependencies: SimilarDependencies): SimilarService {
  const { refusals } = dependencies;
  return {
    async similar(indexUid, request, original, signal) {
      await soundRequest(dependencies, indexUid, request !== undefined, original, signal);
      if (request === undefined) throw new TypeError("a request that is not sound was taken for one");
      try {
        return await similarDocuments(dependencies, indexUid, request, signal);
      } catch (error) {
        if (error instanceof NodeRefusedError) throw await refusals.refusal(error, indexUid, original);
        throw error;
      }
    },
  };
}

async function similarDocuments(
  dependencies: SimilarDependencies,
  indexUid: string,
  request: SimilarRequest,
  signal: AbortSignal,
): Promise<ReadAnswer> {
  const { reader, hasher, unavailableShardPolicy } = dependencies;
  const { parameters, id, documentFilter } = request;
  const filter = parameters.filter === undefined ? undefined : standInsInAnyFilter(parameters.filter);
  const narrowed = (shards: readonly number[] | null): JsonValue | undefined =>
    shards === null ? filter : filterWithShards(filter, shards);
  const homeOf = (index: IndexView): number => hasher.shardOf(id, index.shards);

  if (documentFilter !== undefined && documentFilter !== null) {
    await checkVisible(dependencies, indexUid, request, standInsInAnyFilter(documentFilter), signal);
  }
  // The document's own shard comes first: it has the vector, and a node that holds it names every fault in Meilisearch's order.
  const first = await reader.read(
    indexUid,
    {
      requests: (ask) => [
        { method: "POST", path: "/similar", body: trial(parameters, id, narrowed(ask.filter)) },
        { method: "POST", path: "/documents/fetch", body: documentAsk(id) },
      ],
    },
    signal,
    (index) => [homeOf(index)],
  );
  const firstHeaders = readHeaders(first, "error");
  const document = documentIn(first.answers[0]?.responses[1]?.body);
  if (document === undefined) throw notFound(id);
  const vector = vectorIn(document, parameters.embedder);

  const isHome = (shards: readonly number[], index: IndexView): boolean => shards.includes(homeOf(index));
  const result = await reader.read(
    indexUid,
    {
      requests: ({ shards, filter: served }, _parts, index) => {
        const facts = indexFacts(index);
        if (isHome(shards, index)) {
          return [
            { method: "POST", path: "/similar", body: similarAsk(parameters, facts, id, narrowed(served)) },
          ];
        }
        const body =
          vector === undefined
            ? JSON.stringify({ filter: narrowed(served), limit: 0 })
            : nearestAsk(parameters, facts, vector, rankOf(index), narrowed(served));
        return [{ method: "POST", path: "/search", body }];
      },
    },
    signal,
  );
  const answers: SimilarAnswer[] = result.answers.map(({ ask, responses }) => ({
    body: responses[0]?.body ?? Buffer.from("{}"),
    isRanked: isHome(ask.shards, result.index),
  }));
  const headers = combinedHeaders([firstHeaders, readHeaders(result, unavailableShardPolicy)]);
  return { body: mergeSimilar(parameters, indexFacts(result.index), id, answers), headers };
}

/** No document can be called that; a node complains of it once it has read both filters, and before it evaluates them. */
const IMPOSSIBLE_ID = " ";

/**
 * Refuses a request that a tenant token keeps from the document, or whose token has a filter that is none, where
 * Meilisearch does: behind what is wrong with the request's words, in front of what its filter names.
 *
 * @throws MeilisearchError
 */
async function checkVisible(
  { reader, hasher }: SimilarDependencies,
  indexUid: string,
  { parameters, id }: SimilarRequest,
  documentFilter: JsonValue,
  signal: AbortSignal,
): Promise<void> {
  const bodies = [
    ["/similar", trial(parameters, IMPOSSIBLE_ID, documentFilter)],
    ["/similar", trial(parameters, IMPOSSIBLE_ID, parameters.filter)],
    ["/documents/fetch", documentAsk(id)],
    ["/documents/fetch", documentAsk(id, documentFilter)],
  ] as const;
  const { index, missing, answers } = await reader.read(
    indexUid,
    {
      requests: () => bodies.map(([path, body]) => ({ method: "POST", path, body })),
      toleratesRefusal: () => true,
    },
    signal,
    (current) => [hasher.shardOf(id, current.shards)],
  );
  const [ofToken, ofRequest, document, visible] = answers[0]?.responses ?? [];
  if (ofToken === undefined || ofRequest === undefined || document === undefined || visible === undefined) {
    throw shardUnavailable(missing);
  }
  const [tokenFault, fault, filterFault] = [ofToken, ofRequest, visible].map((response) =>
    response.status < 400 ? undefined : clientError(response, index.physicalName, indexUid, index),
  );
  if (tokenFault !== undefined && tokenFault.body.code !== "invalid_similar_id") {
    if (tokenFault.body.code !== "invalid_similar_filter") throw tokenFault;
    throw apiError(400, tokenFault.body.code, `Index \`${indexUid}\`: ${tokenFault.body.message}`);
  }
  if (fault !== undefined && fault.body.code !== "invalid_similar_id") throw fault;
  if (documentIn(document.body) === undefined) throw notFound(id);
  if (filterFault !== undefined) throw apiError(400, "invalid_search_filter", filterFault.body.message);
  if (documentIn(visible.body) === undefined) throw notFound(id);
}

/** Everything that can be wrong with the request, and no hits. */
function trial(parameters: SimilarParameters, id: string, filter: JsonValue | undefined): string {
  return JSON.stringify({ ...parameters, id, filter, offset: 0, limit: 0, attributesToRetrieve: [] });
}

function documentAsk(id: string, filter?: JsonValue): string {
  return JSON.stringify({ ids: [id], filter, fields: ["_vectors"], retrieveVectors: true, limit: 1 });
}

function rankOf(index: IndexView): "first" | "later" {
  const { rankingRules } = index.settings;
  const rank = similarityRule(Array.isArray(rankingRules) ? rankingRules.map(String) : DEFAULT_RANKING_RULES);
  if (rank !== "never") return rank;
  throw featureNotAvailable(
    "`/similar` under these ranking rules",
    "Similar documents of a fleet are found by a vector search, and the index's ranking rules have no rule in whose place one ranks. Add `words` to `rankingRules`.",
  );
}

function notFound(id: string) {
  return apiError(400, "not_found_similar_id", `Document \`${id}\` not found.`);
}

function documentIn(body: Buffer | undefined): Buffer | undefined {
  if (body === undefined) return undefined;
  const results = findMember(body, "results");
  const [first] = results === undefined ? [] : arrayElements(body, results.valueStart);
  return first && body.subarray(first.start, first.end);
}

/** The document's vector, as JSON text; the first where it has several. */
function vectorIn(document: Buffer, embedder: string): string | undefined {
  const vectors = findMember(document, "_vectors");
  const own = vectors && findMember(document, embedder, vectors.valueStart);
  const embeddings = own && findMember(document, "embeddings", own.valueStart);
  const [first] = embeddings === undefined ? [] : arrayElements(document, embeddings.valueStart);
  return first && document.toString("latin1", first.start, first.end);
}
