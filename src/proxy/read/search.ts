import { parseErrorBody } from "../../meilisearch/errors.js";
import {
  type Ask,
  askBody,
  type FurtherAnswers,
  mergeSearch,
  nextRound,
  type PartAnswers,
  planSearch,
  type SearchParameters,
  type SearchPlan,
} from "../../merge/index.js";
import { apiError, checkedIndexUid, indexNotFound, notReady } from "../http/api-errors.js";
import type { TopologySource } from "../topology/topology-view.js";
import { type ReadHeaders, readHeaders } from "./degradation.js";
import { indexFacts } from "./index-facts.js";
import type { NodeRefusals } from "./node-refusals.js";
import {
  type IndexRequest,
  NodeRefusedError,
  type ShardRead,
  type ShardReader,
  type ShardReadResult,
} from "./shard-reader.js";

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
export function createSearchService(dependencies: SearchDependencies): SearchService {
  const { topology, reader, refusals } = dependencies;
  return {
    async search(indexUid, { parameters, original, includeMetadata = false }, signal) {
      const view = topology.current();
      if (view === undefined) throw notReady();
      if (parameters === undefined || !view.indexes.has(indexUid)) {
        const malformation = await refusals.malformation(original, signal);
        if (malformation !== undefined) throw malformation;
        checkedIndexUid(indexUid);
      }
      const index = view.indexes.get(indexUid);
      if (index === undefined) throw indexNotFound(indexUid);
      if (parameters === undefined) {
        const judgement = await refusals.judgement(index, original, signal);
        throw judgement ?? apiError(400, "bad_request", "The search parameters could not be understood.");
      }
      const read = new SearchRead(parameters, includeMetadata);
      try {
        const result = await reader.read(indexUid, read, signal);
        const plan = read.plan(result.parts, result.index);
        const parts = partAnswers(result);
        const rounds: FurtherAnswers[] = [];
        const missing = new Set(result.missing);
        while (rounds.length < MAX_ROUNDS) {
          const ask = nextRound(plan, parts, rounds);
          if (ask === undefined) break;
          const round = await reader.read(indexUid, furtherRound(ask), signal);
          rounds.push({ ask, parts: partAnswers(round) });
          for (const shard of round.missing) missing.add(shard);
        }
        const covered = { ...result, missing: [...missing].sort((a, b) => a - b) };
        const headers = readHeaders(covered, dependencies.unavailableShardPolicy);
        return { body: mergeSearch(plan, parts, rounds), headers };
      } catch (error) {
        if (error instanceof NodeRefusedError) throw await refusals.refusal(error, indexUid, original);
        throw error;
      }
    },
  };
}

/** Rounds of one search under a distinct attribute with several values in one document; what is open then stays so. */
const MAX_ROUNDS = 32;

function partAnswers(result: ShardReadResult): PartAnswers[] {
  return result.answers.map(({ responses }) => ({
    answers: responses.map((response) => (response.status < 300 ? response.body : null)),
  }));
}

function furtherRound(ask: Ask): ShardRead {
  return {
    requests: (node) => [{ method: "POST", path: "/search", body: askBody(ask, node.filter) }],
  };
}

const METADATA_HEADERS = { "meili-include-metadata": "true" };

/** The asks of one search; planned once, whatever number of nodes it goes to. */
class SearchRead implements ShardRead {
  private readonly plans = new Map<string, SearchPlan>();
  private current: SearchPlan | undefined;

  constructor(
    private readonly parameters: SearchParameters,
    private readonly includeMetadata: boolean,
  ) {}

  plan(parts: "one" | "many", index: Parameters<ShardRead["requests"]>[2]): SearchPlan {
    const key = `${parts} ${index.settingsVersion}`;
    let plan = this.plans.get(key);
    if (plan === undefined) {
      plan = planSearch(this.parameters, indexFacts(index), parts);
      this.plans.set(key, plan);
    }
    return plan;
  }

  requests: ShardRead["requests"] = (ask, parts, index) => {
    const plan = this.plan(parts, index);
    this.current = plan;
    return plan.asks.map((part) => ({
      method: "POST",
      path: "/search",
      body: askBody(part, ask.filter),
      ...(this.includeMetadata ? { headers: METADATA_HEADERS } : {}),
    }));
  };

  /** A hybrid search whose text cannot be embedded is answered by its keyword half alone. */
  toleratesRefusal: NonNullable<ShardRead["toleratesRefusal"]> = (at, response) =>
    this.current?.asks[at]?.role === "semantic" &&
    parseErrorBody(response.body)?.code === "vector_embedding_error";
}
