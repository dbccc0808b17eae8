import { arrayElements, findMember, objectMembers } from "../../../json/members.js";
import type { NodeView } from "../../topology/topology-view.js";
import { documentId } from "../document-key.js";
import type { NodeCalls } from "../node-calls.js";

/** Documents of one shard that are listed at most. */
const MAX_SHARD_DOCUMENTS = 1_000_000;

/** How long a node may take to tell of a whole shard. Milliseconds. */
const LISTING_TIMEOUT_MS = 120_000;

/** Where documents are read. */
export interface DocumentsOnNode {
  readonly calls: NodeCalls;
  readonly node: NodeView;
  readonly physicalName: string;
}

/** A node holds more documents of a shard than can be compared. */
export class ShardTooLargeError extends Error {
  override readonly name = "ShardTooLargeError";
}

/**
 * Documents as the node prints them, byte for byte (invariant 14).
 *
 * @param query the body of `documents/fetch`
 * @throws MeilisearchError the node's refusal
 * @throws NodeUnavailableError
 */
export async function fetchDocuments(
  { calls, node, physicalName }: DocumentsOnNode,
  query: Readonly<Record<string, unknown>>,
  timeoutMs = LISTING_TIMEOUT_MS,
): Promise<readonly Buffer[]> {
  const answer = await calls.read(node.writeAddress, {
    method: "POST",
    path: `/indexes/${physicalName}/documents/fetch`,
    contentType: "application/json",
    body: JSON.stringify(query),
    timeoutMs,
  });
  const results = findMember(answer, "results");
  if (results === undefined) return [];
  return arrayElements(answer, results.valueStart).map(({ start, end }) => answer.subarray(start, end));
}

/**
 * The members of a shard's documents that are asked for, by document id.
 *
 * @param filter what the shard's documents pass
 * @throws ShardTooLargeError above a million
 */
export async function listShard(
  on: DocumentsOnNode,
  filter: string,
  primaryKey: string,
  fields: readonly string[] = [],
): Promise<ReadonlyMap<string, Buffer>> {
  const documents = await fetchDocuments(on, {
    filter: [filter],
    fields: [primaryKey, ...fields],
    limit: MAX_SHARD_DOCUMENTS + 1,
  });
  if (documents.length > MAX_SHARD_DOCUMENTS) {
    throw new ShardTooLargeError(
      `node ${on.node.id} holds more than ${MAX_SHARD_DOCUMENTS} documents of a shard; cut the index into more shards`,
    );
  }
  return byId(documents, primaryKey);
}

/** Whole documents with their vectors, by id; those that the node does not hold are left out. */
export async function readDocuments(
  on: DocumentsOnNode,
  ids: readonly string[],
  primaryKey: string,
): Promise<ReadonlyMap<string, Buffer>> {
  if (ids.length === 0) return new Map();
  return byId(await fetchDocuments(on, { ids, limit: ids.length, retrieveVectors: true }), primaryKey);
}

/** Documents one a line. */
export function asLines(documents: readonly Buffer[]): Buffer {
  return Buffer.concat(documents.flatMap((document) => [document, LINE_FEED]));
}

const LINE_FEED = Buffer.from("\n");

function byId(documents: readonly Buffer[], primaryKey: string): ReadonlyMap<string, Buffer> {
  const found = new Map<string, Buffer>();
  for (const document of documents) {
    const id = documentId(document, objectMembers(document), primaryKey);
    if ("id" in id) found.set(id.id, document);
  }
  return found;
}
