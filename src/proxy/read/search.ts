import { mergeSearch, planSearch, printAnswer, type SearchParameters } from "../../merge/index.js";
import type { ShardHasher } from "../../placement/shard.js";
import { apiError, checkedIndexUid, indexNotFound, notReady } from "../http/api-errors.js";
import type { IndexView, TopologySource } from "../topology/topology-view.js";
import { type ReadHeaders, readHeaders } from "./degradation.js";
import { DocumentSizes } from "./document-sizes.js";
import { frequencyQueryOf, searchByFrequency } from "./frequency-search.js";
import { indexFacts } from "./index-facts.js";
import { shardsOfFilter } from "./key-filter.js";
import type { NodeRefusals } from "./node-refusals.js";
import { runSearch, type SearchToRun } from "./search-run.js";
import { type IndexRequest, NodeRefusedError } from "./shard-read.js";
import type { ShardReader } from "./shard-reader.js";

/** A client's search. */
export interface SearchRequest {
  /** Undefined where the request is not sound; Meilisearch's reason is then looked for at a node. */
  readonly parameters: SearchParameters | undefined;
  /** The request as the client sent it. */
  readonly original: IndexRequest;
  /** Whether the answer is to say which index and query it is of. */
  readonly includeMetadata?: boolean;
}

/** The answer to a read. */
export interface ReadAnswer {
  readonly body: Buffer;
  readonly headers: ReadHeaders;
}

/** Searches an index that lives on several nodes. */
export interface SearchService {
  /**
   * The answer that one Meilisearch with all documents would give (invariant 10).
   *
   * @throws MeilisearchError
   */
  search(indexUid: string, request: SearchRequest, signal: AbortSignal): Promise<ReadAnswer>;
}

/** What a search service works with. */
export interface SearchDependencies {
  readonly topology: TopologySource;
  readonly reader: ShardReader;
  readonly refusals: NodeRefusals;
  readonly unavailableShardPolicy: "partial" | "error";
}

/** Searches through `reader`. */
export function createSearchService(
  dependencies: SearchDependencies & { readonly hasher: ShardHasher },
): SearchService {
  const { topology, reader, refusals, hasher } = dependencies;
  const sizes = new DocumentSizes();
  return {
    async search(indexUid, { parameters, original, includeMetadata = false }, signal) {
      const view = topology.current();
      if (view === undefined) throw notReady();
      if (parameters === undefined || !view.indexes.has(indexUid)) {
        const malformation = await refusals.malformation(original, signal, indexUid);
        if (malformation !== undefined) throw malformation;
        checkedIndexUid(indexUid);
      }
      const index = view.indexes.get(indexUid);
      if (index === undefined) throw indexNotFound(indexUid);
      if (parameters === undefined) {
        const judgement = await refusals.judgement(index, original, signal);
        throw judgement ?? apiError(400, "bad_request", "The search parameters could not be understood.");
      }
      const plan: SearchToRun["plan"] = (of, parts) => planSearch(parameters, indexFacts(of), parts);
      try {
        const policy = dependencies.unavailableShardPolicy;
        const query = frequencyQueryOf(index, parameters);
        if (query !== undefined) {
          const search = { indexUid, parameters, query, includeMetadata };
          const found = await searchByFrequency(reader, search, signal);
          if (found !== undefined) return { body: found.body, headers: readHeaders(found.result, policy) };
        }
        const run = isOfKeys(parameters, index, hasher)
          ? await runSearch(
              holdersOnly(parameters, reader, hasher),
              { indexUid, plan, includeMetadata },
              signal,
            )
          : await runSearch(reader, { indexUid, plan, includeMetadata, asksLess: { sizes } }, signal);
        const headers = readHeaders(run.result, policy);
        const body =
          run.merged === undefined ? mergeSearch(run.plan, run.parts) : printAnswer(run.plan, run.merged);
        return { body, headers };
      } catch (error) {
        if (error instanceof NodeRefusedError) throw await refusals.refusal(error, indexUid, original);
        throw error;
      }
    },
  };
}

/** Whether a search can only find documents of keys that it names. The halves of a hybrid search are weighed over all parts. */
function isOfKeys({ filter, hybrid }: SearchParameters, index: IndexView, hasher: ShardHasher): boolean {
  return (hybrid ?? null) === null && shardsOfFilter(filter, index, hasher) !== undefined;
}

/** A reader that asks for nothing but the shards of the keys that a search names. */
function holdersOnly({ filter }: SearchParameters, reader: ShardReader, hasher: ShardHasher): ShardReader {
  const holding = (index: IndexView): readonly number[] =>
    shardsOfFilter(filter, index, hasher) ?? index.placement.map((_, shard) => shard);
  return { read: (indexUid, read, signal, shards = holding) => reader.read(indexUid, read, signal, shards) };
}
