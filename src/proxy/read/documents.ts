import type { ShardHasher } from "../../placement/shard.js";
import { apiError, checkedIndexUid, documentNotFound, indexNotFound, notReady } from "../http/api-errors.js";
import type { TopologySource } from "../topology/topology-view.js";
import { readHeaders } from "./degradation.js";
import { withoutInjectedFields } from "./document-fetch.js";
import { listDocuments } from "./document-list.js";
import type { DocumentQuery } from "./document-query.js";
import { currentIndex } from "./indexes.js";
import type { NodeRefusals } from "./node-refusals.js";
import type { ReadAnswer } from "./search.js";
import { type IndexRequest, NodeRefusedError } from "./shard-read.js";
import type { ShardReader } from "./shard-reader.js";

/** Reads documents as they were sent (invariant 14). */
export interface DocumentService {
  /**
   * One document. `query` is the client's query string.
   *
   * @throws MeilisearchError
   */
  get(indexUid: string, id: string, query: string, signal: AbortSignal): Promise<ReadAnswer>;
  /**
   * A page of documents, in insertion order unless sorted. `query` is undefined where the request is not sound.
   *
   * @throws MeilisearchError
   */
  list(
    indexUid: string,
    query: DocumentQuery | undefined,
    original: IndexRequest,
    signal: AbortSignal,
  ): Promise<ReadAnswer>;
}

/** What a document service works with. */
export interface DocumentDependencies {
  readonly topology: TopologySource;
  readonly reader: ShardReader;
  readonly refusals: NodeRefusals;
  readonly hasher: ShardHasher;
  readonly unavailableShardPolicy: "partial" | "error";
}

/** Reads through `reader`. */
export function createDocumentService(dependencies: DocumentDependencies): DocumentService {
  const { topology, reader, refusals, hasher, unavailableShardPolicy } = dependencies;

  /** Refuses what Meilisearch refuses before it looks at documents. */
  const check = async (
    indexUid: string,
    isSound: boolean,
    original: IndexRequest,
    signal: AbortSignal,
  ): Promise<void> => {
    const view = topology.current();
    if (view === undefined) throw notReady();
    if (isSound && view.indexes.has(indexUid)) return;
    const malformation = await refusals.malformation(original, signal, indexUid);
    if (malformation !== undefined) throw malformation;
    checkedIndexUid(indexUid);
    if (!view.indexes.has(indexUid)) throw indexNotFound(indexUid);
  };

  return {
    async get(indexUid, id, query, signal) {
      const path = `/documents/${encodeURIComponent(id)}${query === "" ? "" : `?${query}`}`;
      const original: IndexRequest = { method: "GET", path };
      await check(indexUid, true, original, signal);
      try {
        const result = await reader.read(indexUid, { requests: () => [original] }, signal, (index) => [
          hasher.shardOf(id, index.shards),
        ]);
        // One shard is everything that this answer is about: without it there is no answer.
        const headers = readHeaders(result, "error");
        const body = result.answers[0]?.responses[0]?.body;
        if (body === undefined) throw new Error("a read without missing shards has no answer");
        return { body: withoutInjectedFields(body), headers };
      } catch (error) {
        if (!(error instanceof NodeRefusedError)) throw error;
        if (error.response.status === 404) throw documentNotFound(id);
        throw await refusals.refusal(error, indexUid, original);
      }
    },

    async list(indexUid, query, original, signal) {
      await check(indexUid, query !== undefined, original, signal);
      if (query === undefined) {
        const index = currentIndex(topology, indexUid);
        const judgement = await refusals.judgement(index, original, signal);
        throw judgement ?? apiError(400, "bad_request", "The document query could not be understood.");
      }
      try {
        const page = await listDocuments(reader, hasher, indexUid, query, signal);
        const headers = readHeaders(page.result, unavailableShardPolicy);
        return { body: printPage(page.documents, query, page.total), headers };
      } catch (error) {
        if (error instanceof NodeRefusedError) throw await refusals.refusal(error, indexUid, original);
        throw error;
      }
    },
  };
}

function printPage(documents: readonly Buffer[], query: DocumentQuery, total: number): Buffer {
  const chunks: Buffer[] = [Buffer.from('{"results":[')];
  documents.forEach((document, at) => {
    if (at > 0) chunks.push(Buffer.from(","));
    chunks.push(document);
  });
  chunks.push(Buffer.from(`],"offset":${query.offset},"limit":${query.limit},"total":${total}}`));
  return Buffer.concat(chunks);
}
