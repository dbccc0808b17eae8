import { findAtPath } from "../../json/member-path.js";
import { arrayElements, decodeString, findMember } from "../../json/members.js";
import { type NodeClient, parseAnswer } from "../../meilisearch/node-client.js";
import type { NodeTransport } from "../../meilisearch/transport.js";
import { SEQUENCE_FIELD } from "../../placement/injected-fields.js";
import { primaryKeyText } from "../../placement/shard.js";

/** A page of an index's documents on one node. */
export interface NodeDocuments {
  /** Raw JSON. */
  readonly documents: readonly Buffer[];
  /** Of all documents that match. */
  readonly total: number;
}

/** How long one page may take. Milliseconds. */
const TIMEOUT_MS = 60_000;

/**
 * Asks a node for documents as bytes (invariant 14).
 *
 * @param query the body of `POST …/documents/fetch`
 * @throws MeilisearchError where the node refuses, `NodeUnavailableError` where it does not answer
 */
export async function fetchDocuments(
  transport: NodeTransport,
  { address }: NodeClient,
  physicalName: string,
  query: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): Promise<NodeDocuments> {
  const response = await transport.request(address, {
    method: "POST",
    path: `/indexes/${physicalName}/documents/fetch`,
    contentType: "application/json",
    body: JSON.stringify(query),
    timeoutMs: TIMEOUT_MS,
    signal,
  });
  if (response.status !== 200) parseAnswer(address, response);
  const { body } = response;
  const results = findMember(body, "results");
  const total = findMember(body, "total");
  if (results === undefined || total === undefined) {
    throw new Error(`node ${address.id}: its list of documents has another shape`);
  }
  return {
    documents: arrayElements(body, results.valueStart).map(({ start, end }) => body.subarray(start, end)),
    total: Number(body.toString("latin1", total.valueStart, total.valueEnd)),
  };
}

/**
 * The document's id as text.
 *
 * @param primaryKey `a.b` names the member `b` of the object `a`, or the member `a.b`
 * @returns undefined where the document has none
 */
export function idOf(document: Buffer, primaryKey: string): string | undefined {
  const value = findAtPath(document, primaryKey);
  return value === undefined ? undefined : primaryKeyText(document.subarray(value.start, value.end));
}

/** The code of the document's insertion sequence; empty, and so before all others, where it has none. */
export function sequenceOf(document: Buffer): string {
  const member = findMember(document, SEQUENCE_FIELD);
  return member === undefined ? "" : decodeString(document, member.valueStart, member.valueEnd);
}
