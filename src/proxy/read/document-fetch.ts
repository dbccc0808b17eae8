import { removeMembers } from "../../json/edit.js";
import { arrayElements, findMember } from "../../json/members.js";
import { filterWithShards, type JsonValue } from "../../merge/index.js";
import { isInjectedField, standInForAttribute, standInsInFilter } from "../../merge/injected-fields.js";
import { SEQUENCE_FIELD } from "../../placement/injected-fields.js";
import type { DocumentQuery } from "./document-query.js";
import type { NodeAsk } from "./read-covers.js";
import type { IndexRequest } from "./shard-read.js";

/** Which of a node's documents are asked for, and how much of them. */
export interface FetchedPart {
  /** Rank, among the node's documents, of the first one. */
  readonly from: number;
  readonly count: number;
  /** Undefined for all. */
  readonly fields: readonly string[] | undefined;
  /** Whether shards that the node is not to serve have to be kept out, which need not be where ids of its own shards are asked for; true unless given. */
  readonly isNarrowed?: boolean;
}

/** Documents that a node gave, as raw JSON with Miroir's fields, and how many it has. */
export interface FetchedDocuments {
  readonly documents: readonly Buffer[];
  readonly total: number;
}

/** Asks one node for documents, in the order in which lists are given. */
export function fetchRequest(
  query: DocumentQuery,
  ask: NodeAsk,
  { from, count, fields, isNarrowed = true }: FetchedPart,
): IndexRequest {
  const sort = [...query.sort.map(standInForAttribute), `${SEQUENCE_FIELD}:asc`];
  const filter = query.filter === undefined ? undefined : standIns(query.filter);
  const members = {
    offset: from,
    limit: count,
    fields,
    retrieveVectors: query.retrieveVectors || undefined,
    filter: isNarrowed && ask.filter !== null ? filterWithShards(filter, ask.filter) : filter,
    sort,
  };
  const text = JSON.stringify(members);
  if (query.ids === undefined) return { method: "POST", path: "/documents/fetch", body: text };
  // Ids are copied: an integer above 2^53 would not survive being parsed (invariant 14).
  const ids = query.ids.map((id) => id.toString("utf8")).join(",");
  return { method: "POST", path: "/documents/fetch", body: `${text.slice(0, -1)},"ids":[${ids}]}` };
}

function standIns(filter: JsonValue): JsonValue {
  if (typeof filter === "string") return standInsInFilter(filter);
  return Array.isArray(filter) ? filter.map(standIns) : filter;
}

/** The fields that a client asks for as nodes are asked for them, and what tells where a document stands. */
export function withSequence(fields: readonly string[] | undefined): readonly string[] | undefined {
  return fields === undefined ? undefined : [...fields.map(standInForAttribute), SEQUENCE_FIELD];
}

/** Reads a node's answer to a {@link fetchRequest}. @throws Error where it is none */
export function fetchedDocuments(body: Buffer): FetchedDocuments {
  const results = findMember(body, "results");
  const total = findMember(body, "total");
  if (results === undefined || total === undefined)
    throw new Error("a node's document list has another shape");
  return {
    documents: arrayElements(body, results.valueStart).map(({ start, end }) => body.subarray(start, end)),
    total: Number(body.toString("latin1", total.valueStart, total.valueEnd)),
  };
}

/** A document as the client is to see it (invariant 11). */
export function withoutInjectedFields(document: Buffer): Buffer {
  return removeMembers(document, isInjectedField);
}
