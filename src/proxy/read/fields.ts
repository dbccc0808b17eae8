import { type FieldsPage, mergeFields } from "../../merge/index-fields.js";
import { apiError, indexNotFound, notReady } from "../http/api-errors.js";
import { readHeaders } from "./degradation.js";
import { indexFacts } from "./index-facts.js";
import type { ReadAnswer, SearchDependencies } from "./search.js";
import { type IndexRequest, NodeRefusedError } from "./shard-read.js";

/** A client's request for an index's fields. */
export interface FieldsRequest {
  readonly page: FieldsPage;
  /** Members for nodes to read: the filter, and what they do not know. */
  readonly rest: Readonly<Record<string, unknown>>;
}

/** Lists the fields of an index. */
export interface FieldsService {
  /**
   * The answer that one Meilisearch with all documents would give (invariant 10).
   *
   * @param request undefined where the request is not sound; Meilisearch's reason is then looked for at a node
   * @param original the request as the client sent it
   * @throws MeilisearchError
   */
  list(
    indexUid: string,
    request: FieldsRequest | undefined,
    original: IndexRequest,
    signal: AbortSignal,
  ): Promise<ReadAnswer>;
}

/** More fields than an index can have. */
const ALL = 100_000;

/** Reads through `reader`. */
export function createFieldsService(dependencies: SearchDependencies): FieldsService {
  const { topology, reader, refusals, unavailableShardPolicy } = dependencies;
  return {
    async list(indexUid, request, original, signal) {
      const index = topology.current()?.indexes.get(indexUid);
      if (topology.current() === undefined) throw notReady();
      if (request === undefined || index === undefined) {
        const malformation = await refusals.malformation(original, signal, indexUid);
        if (malformation !== undefined) throw malformation;
        // Meilisearch looks an index up here without a look at its uid.
        if (index === undefined) throw indexNotFound(indexUid);
      }
      if (request === undefined) throw apiError(400, "bad_request", "The request could not be understood.");
      const body = JSON.stringify({ ...request.rest, offset: 0, limit: ALL });
      try {
        const read = { requests: () => [{ method: "POST", path: "/fields", body } as const] };
        const result = await reader.read(indexUid, read, signal);
        const bodies = result.answers.flatMap(({ responses }) => responses.map((response) => response.body));
        return {
          body: mergeFields(bodies, request.page, indexFacts(result.index).displayedAttributes),
          headers: readHeaders(result, unavailableShardPolicy),
        };
      } catch (error) {
        if (error instanceof NodeRefusedError) throw await refusals.refusal(error, indexUid, original);
        throw error;
      }
    },
  };
}
