import { MeilisearchError, parseErrorBody } from "../../meilisearch/errors.js";
import { apiError, notReady, notUnderstood } from "../http/api-errors.js";
import { mapBounded } from "./bounded.js";
import { combinedHeaders } from "./degradation.js";
import {
  createFederatedSearch,
  type FederatedSearchDependencies,
  MAX_CONCURRENT_QUERIES,
} from "./federated-search.js";
import { insideQuery } from "./multi-search-errors.js";
import type { MultiSearchQuery, MultiSearchRequest } from "./multi-search-query.js";
import { otherServersNotAsked } from "./network-queries.js";
import type { NodeRefusals } from "./node-refusals.js";
import type { ReadAnswer, SearchService } from "./search.js";

/** What a multi-search carries besides its queries. */
export interface MultiSearchOptions {
  /** The body as the client sent it, which nodes judge where something is wrong with it. */
  readonly original: Buffer;
  /** Whether results are to say which index and query they are of. */
  readonly includeMetadata: boolean;
}

/** Runs several searches in one request, each for itself or as one list of hits. */
export interface MultiSearchService {
  /**
   * The answer that one Meilisearch with all documents would give (invariant 10).
   *
   * @param request undefined where the body is not sound; Meilisearch's reason is then looked for at a node
   * @throws MeilisearchError the first query's that fails
   */
  search(
    request: MultiSearchRequest | undefined,
    options: MultiSearchOptions,
    signal: AbortSignal,
  ): Promise<ReadAnswer>;
}

/** What a multi-search service works with. */
export interface MultiSearchDependencies extends FederatedSearchDependencies {
  readonly search: SearchService;
}

/** A service that searches single indexes through `search`, and merges federated searches itself. */
export function createMultiSearchService(dependencies: MultiSearchDependencies): MultiSearchService {
  const { search, refusals, topology } = dependencies;
  const federated = createFederatedSearch(dependencies);
  return {
    async search(request, options, signal) {
      if (topology.current() === undefined) throw notReady();
      if (request === undefined) {
        const judged = { method: "POST", path: "/multi-search", body: options.original } as const;
        const response = await refusals.verdict(judged, signal);
        const body = response && parseErrorBody(response.body);
        if (response !== undefined && body !== undefined && body.code !== "index_not_found") {
          throw new MeilisearchError(response.status, body);
        }
        throw notUnderstood();
      }
      const { federation, queries } = request;
      if (federation !== undefined) return federated.search(queries, federation, options, signal);
      const answers = await mapBounded(queries, MAX_CONCURRENT_QUERIES, async (query, at) => {
        try {
          if (query.federationOptions !== undefined) throw federationOptionsWithoutFederation();
          const isQuestionable = query.isQuestionable || query.network !== undefined;
          if (isQuestionable) await refuseWhereNodesDo(refusals, query, signal);
          if (query.network?.useNetwork === true) throw otherServersNotAsked();
          return await searchOne(search, query, options.includeMetadata, signal);
        } catch (error) {
          throw insideQuery(at, error);
        }
      });
      const bodies = answers.map((answer, at) => result(queries[at]?.indexUid ?? "", answer.body));
      return {
        body: printResults(bodies),
        headers: combinedHeaders(answers.map((answer) => answer.headers)),
      };
    },
  };
}

function searchOne(
  search: SearchService,
  { indexUid, parameters }: MultiSearchQuery,
  includeMetadata: boolean,
  signal: AbortSignal,
): Promise<ReadAnswer> {
  const original = { method: "POST", path: "/search", body: JSON.stringify(parameters) } as const;
  return search.search(indexUid, { parameters, original, includeMetadata }, signal);
}

/** @throws MeilisearchError what a node says of the query alone, if it says anything */
async function refuseWhereNodesDo(
  refusals: NodeRefusals,
  query: MultiSearchQuery,
  signal: AbortSignal,
): Promise<void> {
  const body = `{"queries":[${query.text.toString("utf8")}]}`;
  const response = await refusals.verdict({ method: "POST", path: "/multi-search", body }, signal);
  const error = response && parseErrorBody(response.body);
  if (response === undefined || error === undefined || error.code === "index_not_found") return;
  const message = error.message.replace(/^Inside `\.queries\[0\]`: /, "");
  throw new MeilisearchError(response.status, { ...error, message });
}

function federationOptionsWithoutFederation(): MeilisearchError {
  return apiError(
    400,
    "invalid_multi_search_federation_options",
    "Using `federationOptions` is not allowed in a non-federated search.\n - Hint: remove `federationOptions` from the query or add `federation` to the request.",
  );
}

/** An answer as a result: its bytes behind the index's name. */
function result(indexUid: string, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`{"indexUid":${JSON.stringify(indexUid)},`), body.subarray(1)]);
}

const REQUEST_UID = Buffer.from('"requestUid":"');

/** One request has one name: that of the first result. */
function printResults(results: readonly Buffer[]): Buffer {
  const [first] = results;
  const name = first === undefined ? undefined : requestUidOf(first);
  const chunks: Buffer[] = [Buffer.from('{"results":[')];
  for (const [at, one] of results.entries()) {
    if (at > 0) chunks.push(Buffer.from(","));
    const own = requestUidOf(one);
    if (name === undefined || own === undefined || first === undefined) chunks.push(one);
    else {
      const uid = first.subarray(name.start, name.end);
      chunks.push(one.subarray(0, own.start), uid, one.subarray(own.end));
    }
  }
  chunks.push(Buffer.from("]}"));
  return Buffer.concat(chunks);
}

/** Where the answer's own `requestUid` stands: inside a string its quotes would be escaped, and hits come before it. */
function requestUidOf(body: Buffer): { start: number; end: number } | undefined {
  const at = body.lastIndexOf(REQUEST_UID);
  if (at === -1) return undefined;
  const start = at + REQUEST_UID.length;
  return { start, end: body.indexOf(0x22, start) };
}
