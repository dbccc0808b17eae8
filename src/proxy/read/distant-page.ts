import { SEQUENCE_FIELD } from "../../placement/injected-fields.js";
import type { IndexView } from "../topology/topology-view.js";
import { fetchedDocuments, fetchRequest, withoutInjectedFields, withSequence } from "./document-fetch.js";
import { attributesOf, placeOf } from "./document-order.js";
import type { DocumentPage, PageRead } from "./document-page.js";
import { type PageWindow, type PlacedId, pageWithin, placedId, windowBounds } from "./page-window.js";
import type { NodeAsk } from "./read-covers.js";
import type { NodeAnswer, ShardReadResult } from "./shard-read.js";
import { idsInShards, shardsOfIds } from "./shards-of-ids.js";

/** How often the window around a page is widened before everything up to the page's end is asked for. */
const MAX_WINDOWS = 4;

/**
 * Reads a page that stands far behind the first document: first the places of documents alone, and only around the page, then the page's
 * documents by id.
 */
export async function distantPage(read: PageRead): Promise<DocumentPage> {
  const { criteria, query } = read;
  let page: readonly PlacedId[] | undefined;
  let total = 0;
  let result: ShardReadResult | undefined;
  for (let attempt = 0; page === undefined; attempt++) {
    const found = await readWindows(read, attempt);
    result = found.result;
    total = found.total;
    page = pageWithin(found.windows, query.offset, query.limit, criteria);
  }
  const places = page;
  if (result === undefined) throw new Error("a page was found without a read");
  if (places.length === 0) return { result, documents: [], total };
  const fetchedPage = await fetchByIds(read, places);
  return {
    result: {
      ...fetchedPage.result,
      missing: [...new Set([...result.missing, ...fetchedPage.result.missing])].sort((a, b) => a - b),
    },
    documents: fetchedPage.documents,
    total,
  };
}

/** Asks every part for the places around the page, further around at each attempt. */
async function readWindows(
  { criteria, indexUid, query, reader, shards, signal }: PageRead,
  attempt: number,
): Promise<{ result: ShardReadResult; windows: readonly PageWindow[]; total: number }> {
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
        return [fetchRequest({ ...query, retrieveVectors: false }, ask, { from: start, count, fields })];
      },
    },
    signal,
    shards,
  );
  let total = 0;
  const windows = result.answers.map((answer) => {
    const { start } = bounds(answer.ask, result.index);
    const answered = fetchedDocuments(bodyOf(answer));
    total += answered.total;
    return {
      start,
      known: answered.documents.map((document) => placedId(document, result.index, criteria)),
      hasMore: start + answered.documents.length < answered.total,
    };
  });
  return { result, windows, total };
}

/** Reads the page's documents; one that has gone or changed since its place was read is left out. */
async function fetchByIds(
  { hasher, indexUid, query, reader, signal }: PageRead,
  places: readonly PlacedId[],
): Promise<{ result: ShardReadResult; documents: readonly Buffer[] }> {
  const ids = places.map(({ id }) => id);
  const result = await reader.read(
    indexUid,
    {
      requests: (ask, _parts, index) => {
        const wanted = idsInShards(ids, ask.shards, index, hasher);
        const byId = { ...query, ids: wanted, filter: undefined, sort: [] };
        const count = Math.max(1, wanted.length);
        const fields = withSequence(query.fields);
        return [fetchRequest(byId, ask, { from: 0, count, fields, isNarrowed: false })];
      },
    },
    signal,
    shardsOfIds(ids, hasher),
  );
  const bySequence = new Map<string, Buffer>();
  for (const answer of result.answers) {
    for (const document of fetchedDocuments(bodyOf(answer)).documents) {
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

function bodyOf(answer: NodeAnswer): Buffer {
  return answer.responses[0]?.body ?? Buffer.alloc(0);
}
