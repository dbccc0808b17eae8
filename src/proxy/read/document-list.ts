import { removeMembers } from "../../json/edit.js";
import { findAtPath } from "../../json/member-path.js";
import { arrayElements, findMember } from "../../json/members.js";
import { filterWithShards, type JsonValue } from "../../merge/index.js";
import { isInjectedField, standInForAttribute, standInsInFilter } from "../../merge/injected-fields.js";
import { SEQUENCE_FIELD } from "../../placement/injected-fields.js";
import { primaryKeyText, type ShardHasher } from "../../placement/shard.js";
import type { IndexView } from "../topology/topology-view.js";
import {
  attributesOf,
  comparePlaces,
  type DocumentPlace,
  parseSortCriterion,
  placeOf,
  type SortCriterion,
} from "./document-order.js";
import type { DocumentQuery } from "./document-query.js";
import type { NodeAsk } from "./read-covers.js";
import type { IndexRequest, NodeAnswer, ShardReadResult } from "./shard-read.js";
import type { ShardReader } from "./shard-reader.js";

/** One page of an index's documents, in insertion order unless sorted. */
export interface DocumentPage {
  readonly result: ShardReadResult;
  /** Raw JSON, without Miroir's fields. */
  readonly documents: readonly Buffer[];
  /** Of all documents that match. */
  readonly total: number;
}

/**
 * Beyond this rank documents are not fetched to be dropped again: first only their places are asked for, and only
 * around the page, then the page's documents by id.
 */
const WHOLE_DOCUMENTS_UP_TO = 1_000;

/** Ranks for which every node may set memory aside, whether or not it has as many documents. */
const UNBOUNDED_UP_TO = 1_000_000;

/** How often the window around a distant page is widened before everything up to the page's end is asked for. */
const MAX_WINDOWS = 4;

/** Standard deviations of a part's share that the first window allows for. */
const WINDOW_DEVIATIONS = 5;

/** Lists documents through `reader`. */
export async function listDocuments(
  reader: ShardReader,
  hasher: ShardHasher,
  indexUid: string,
  query: DocumentQuery,
  signal: AbortSignal,
): Promise<DocumentPage> {
  const criteria = query.sort.map(parseSortCriterion).filter((criterion) => criterion !== undefined);
  const shards = query.ids === undefined ? undefined : shardsOf(query.ids, hasher);
  if (query.offset + query.limit <= WHOLE_DOCUMENTS_UP_TO) {
    return nearPage(reader, indexUid, query, criteria, signal, shards);
  }
  const bounded = await boundedQuery(reader, indexUid, query, signal, shards);
  return distantPage(reader, hasher, indexUid, bounded, criteria, signal, shards);
}

/**
 * The query with an end that documents can reach. A node that sorts sets memory aside for the whole of its limit, and
 * ends as a process where there is not that much.
 */
async function boundedQuery(
  reader: ShardReader,
  indexUid: string,
  query: DocumentQuery,
  signal: AbortSignal,
  shards: ShardsOfIndex | undefined,
): Promise<DocumentQuery> {
  if (query.offset + query.limit <= UNBOUNDED_UP_TO) return query;
  const { total } = await nearPage(reader, indexUid, { ...query, offset: 0, limit: 0 }, [], signal, shards);
  const offset = Math.min(query.offset, total);
  return { ...query, offset, limit: Math.min(query.limit, total - offset) };
}

type ShardsOfIndex = (index: IndexView) => readonly number[];

/** The shards that given ids live in; all where an id is none, so that a node can say so. */
function shardsOf(ids: readonly Buffer[], hasher: ShardHasher): ShardsOfIndex {
  const keys = ids.map(primaryKeyText);
  return (index) => {
    const shards = new Set<number>();
    for (const key of keys) {
      if (key === undefined) return index.placement.map((_, shard) => shard);
      shards.add(hasher.shardOf(key, index.shards));
    }
    return shards.size === 0 ? [0] : [...shards];
  };
}

async function nearPage(
  reader: ShardReader,
  indexUid: string,
  query: DocumentQuery,
  criteria: readonly SortCriterion[],
  signal: AbortSignal,
  shards: ShardsOfIndex | undefined,
): Promise<DocumentPage> {
  // The values to sort by are asked for apart where the client's fields do not hold them whole.
  const needsPlaces = query.fields !== undefined && criteria.length > 0;
  const result = await reader.read(
    indexUid,
    {
      requests: (ask, parts) => {
        const from = parts === "one" ? query.offset : 0;
        const count = parts === "one" ? query.limit : query.offset + query.limit;
        const documents = fetchRequest(query, ask, from, count, withSequence(query.fields));
        if (parts === "one" || !needsPlaces) return [documents];
        const fields = [...attributesOf(criteria), SEQUENCE_FIELD];
        return [documents, fetchRequest({ ...query, retrieveVectors: false }, ask, from, count, fields)];
      },
    },
    signal,
    shards,
  );
  const pages = result.answers.map(({ responses }) => responses.map((response) => fetched(response.body)));
  const total = pages.reduce((sum, [documents]) => sum + (documents?.total ?? 0), 0);
  if (result.parts === "one") {
    const documents = pages[0]?.[0]?.documents ?? [];
    return { result, documents: documents.map(withoutInjectedFields), total };
  }
  const placed = pages.flatMap(([documents, places]) =>
    placeDocuments(documents?.documents ?? [], places?.documents, criteria),
  );
  placed.sort((a, b) => comparePlaces(a.place, b.place, criteria));
  const page = placed.slice(query.offset, query.offset + query.limit);
  return { result, documents: page.map(({ document }) => withoutInjectedFields(document)), total };
}

interface PlacedDocument {
  readonly document: Buffer;
  readonly place: DocumentPlace;
}

function placeDocuments(
  documents: readonly Buffer[],
  places: readonly Buffer[] | undefined,
  criteria: readonly SortCriterion[],
): PlacedDocument[] {
  if (places === undefined) {
    return documents.map((document) => ({ document, place: placeOf(document, criteria) }));
  }
  // The two answers may be of different moments; the sequence says what belongs together.
  const bySequence = new Map<string, DocumentPlace>();
  for (const bytes of places) {
    const place = placeOf(bytes, criteria);
    bySequence.set(place.sequence, place);
  }
  return documents.map((document) => {
    const own = placeOf(document, []);
    return { document, place: bySequence.get(own.sequence) ?? { ...own, values: [] } };
  });
}

/** A document's place, and its id as raw JSON. */
interface PlacedId {
  readonly id: Buffer;
  readonly place: DocumentPlace;
}

/** What one part knows of its documents around the page. */
interface Window {
  /** Rank, inside of the part, of the first known document. */
  readonly start: number;
  readonly known: readonly PlacedId[];
  /** Whether the part has documents behind the known ones. */
  readonly hasMore: boolean;
}

async function distantPage(
  reader: ShardReader,
  hasher: ShardHasher,
  indexUid: string,
  query: DocumentQuery,
  criteria: readonly SortCriterion[],
  signal: AbortSignal,
  shards: ShardsOfIndex | undefined,
): Promise<DocumentPage> {
  let page: readonly PlacedId[] | undefined;
  let total = 0;
  let result: ShardReadResult | undefined;
  for (let attempt = 0; page === undefined; attempt++) {
    const found = await readWindows(reader, indexUid, query, criteria, attempt, signal, shards);
    result = found.result;
    total = found.total;
    page = pageWithin(found.windows, query.offset, query.limit, criteria);
  }
  const places = page;
  if (result === undefined) throw new Error("a page was found without a read");
  if (places.length === 0) return { result, documents: [], total };
  const fetchedPage = await fetchByIds(reader, hasher, indexUid, query, places, signal);
  return {
    result: {
      ...fetchedPage.result,
      missing: [...new Set([...result.missing, ...fetchedPage.result.missing])].sort((a, b) => a - b),
    },
    documents: fetchedPage.documents,
    total,
  };
}

async function readWindows(
  reader: ShardReader,
  indexUid: string,
  query: DocumentQuery,
  criteria: readonly SortCriterion[],
  attempt: number,
  signal: AbortSignal,
  shards: ShardsOfIndex | undefined,
): Promise<{ result: ShardReadResult; windows: readonly Window[]; total: number }> {
  const bounds = (ask: NodeAsk, index: IndexView) =>
    attempt >= MAX_WINDOWS - 1 || shards !== undefined
      ? { start: 0, count: query.offset + query.limit }
      : windowBounds(query, ask.shards.length / index.shards, 8 ** attempt);
  const result = await reader.read(
    indexUid,
    {
      requests: (ask, _parts, index) => {
        const { start, count } = bounds(ask, index);
        const id = index.primaryKey === undefined ? [] : [index.primaryKey];
        const fields = [...id, ...attributesOf(criteria), SEQUENCE_FIELD];
        return [fetchRequest({ ...query, retrieveVectors: false }, ask, start, count, fields)];
      },
    },
    signal,
    shards,
  );
  let total = 0;
  const windows = result.answers.map((answer) => {
    const { start } = bounds(answer.ask, result.index);
    const answered = fetched(bodyOf(answer));
    total += answered.total;
    return {
      start,
      known: answered.documents.map((document) => placedId(document, result.index, criteria)),
      hasMore: start + answered.documents.length < answered.total,
    };
  });
  return { result, windows, total };
}

/**
 * Where, in a part with this share of all documents, the page is to be expected. Shards are hashes, so that a
 * part's rank of a document spreads around its share as draws do.
 */
function windowBounds(
  query: DocumentQuery,
  share: number,
  widening: number,
): { start: number; count: number } {
  const spread = (rank: number): number =>
    Math.ceil(widening * WINDOW_DEVIATIONS * Math.sqrt(rank * share * (1 - share) + 1));
  const end = query.offset + query.limit;
  const start = Math.max(0, Math.floor(query.offset * share) - spread(query.offset));
  const last = Math.min(end, Math.ceil(end * share) + spread(end));
  return { start, count: last - start };
}

/**
 * The page's documents, or undefined where the windows do not show for certain which they are: a part whose known
 * documents are used up may have the next one, and a part of which none stands before the page may begin too late.
 */
function pageWithin(
  windows: readonly Window[],
  offset: number,
  limit: number,
  criteria: readonly SortCriterion[],
): readonly PlacedId[] | undefined {
  const at = windows.map(() => 0);
  let rank = windows.reduce((sum, window) => sum + window.start, 0);
  if (rank > offset) return undefined;
  const page: PlacedId[] = [];
  while (page.length < limit) {
    let next: { window: number; entry: PlacedId } | undefined;
    for (const [window, { known, hasMore }] of windows.entries()) {
      const entry = known[at[window] ?? 0];
      if (entry === undefined) {
        if (hasMore) return undefined;
        continue;
      }
      if (next === undefined || comparePlaces(entry.place, next.entry.place, criteria) < 0) {
        next = { window, entry };
      }
    }
    if (rank === offset && windows.some(({ start }, window) => start > 0 && at[window] === 0)) {
      return undefined;
    }
    if (next === undefined) return rank < offset && windows.some(({ start }) => start > 0) ? undefined : page;
    if (rank >= offset) page.push(next.entry);
    at[next.window] = (at[next.window] ?? 0) + 1;
    rank++;
  }
  return page;
}

async function fetchByIds(
  reader: ShardReader,
  hasher: ShardHasher,
  indexUid: string,
  query: DocumentQuery,
  places: readonly PlacedId[],
  signal: AbortSignal,
): Promise<{ result: ShardReadResult; documents: readonly Buffer[] }> {
  const ids = places.map(({ id }) => id);
  const result = await reader.read(
    indexUid,
    {
      requests: (ask, _parts, index) => {
        const own = new Set(ask.shards);
        const wanted = ids.filter((id) => {
          const key = primaryKeyText(id);
          return key !== undefined && own.has(hasher.shardOf(key, index.shards));
        });
        const byId = { ...query, ids: wanted, filter: undefined, sort: [] };
        return [fetchRequest(byId, ask, 0, Math.max(1, wanted.length), withSequence(query.fields), false)];
      },
    },
    signal,
    shardsOf(ids, hasher),
  );
  const bySequence = new Map<string, Buffer>();
  for (const answer of result.answers) {
    for (const document of fetched(bodyOf(answer)).documents) {
      bySequence.set(placeOf(document, []).sequence, document);
    }
  }
  const documents: Buffer[] = [];
  for (const { place } of places) {
    const document = bySequence.get(place.sequence);
    if (document !== undefined) documents.push(withoutInjectedFields(document));
  }
  return { result, documents };
}

/** Asks one node for the documents of rank `from` on, in the order in which lists are given. */
function fetchRequest(
  query: DocumentQuery,
  ask: NodeAsk,
  from: number,
  count: number,
  fields: readonly string[] | undefined,
  narrowed = true,
): IndexRequest {
  const sort = [...query.sort.map(standInForAttribute), `${SEQUENCE_FIELD}:asc`];
  const filter = query.filter === undefined ? undefined : standIns(query.filter);
  const members = {
    offset: from,
    limit: count,
    fields,
    retrieveVectors: query.retrieveVectors || undefined,
    filter: narrowed && ask.filter !== null ? filterWithShards(filter, ask.filter) : filter,
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

function withSequence(fields: readonly string[] | undefined): readonly string[] | undefined {
  return fields === undefined ? undefined : [...fields.map(standInForAttribute), SEQUENCE_FIELD];
}

function placedId(document: Buffer, index: IndexView, criteria: readonly SortCriterion[]): PlacedId {
  const value = index.primaryKey === undefined ? undefined : findAtPath(document, index.primaryKey);
  const id = value === undefined ? Buffer.from("null") : document.subarray(value.start, value.end);
  return { id, place: placeOf(document, criteria) };
}

/** A document as the client is to see it (invariant 11). */
export function withoutInjectedFields(document: Buffer): Buffer {
  return removeMembers(document, isInjectedField);
}

function bodyOf(answer: NodeAnswer): Buffer {
  return answer.responses[0]?.body ?? Buffer.alloc(0);
}

function fetched(body: Buffer): { documents: readonly Buffer[]; total: number } {
  const results = findMember(body, "results");
  const total = findMember(body, "total");
  if (results === undefined || total === undefined)
    throw new Error("a node's document list has another shape");
  return {
    documents: arrayElements(body, results.valueStart).map(({ start, end }) => body.subarray(start, end)),
    total: Number(body.toString("latin1", total.valueStart, total.valueEnd)),
  };
}
