import type { ShardHasher } from "../../placement/shard.js";
import { distantPage } from "./distant-page.js";
import { parseSortCriterion } from "./document-order.js";
import type { DocumentPage, PageRead } from "./document-page.js";
import type { DocumentQuery } from "./document-query.js";
import { nearPage } from "./near-page.js";
import type { ShardReader } from "./shard-reader.js";
import { shardsOfIds } from "./shards-of-ids.js";

/** Up to this rank documents are fetched whole, although most of them are dropped again. */
const WHOLE_DOCUMENTS_UP_TO = 1_000;

/** Ranks for which every node may set memory aside, whether or not it has as many documents. */
const UNBOUNDED_UP_TO = 1_000_000;

/** Lists documents through `reader`. */
export async function listDocuments(
  reader: ShardReader,
  hasher: ShardHasher,
  indexUid: string,
  query: DocumentQuery,
  signal: AbortSignal,
): Promise<DocumentPage> {
  const criteria = query.sort.map(parseSortCriterion).filter((criterion) => criterion !== undefined);
  const shards = query.ids === undefined ? undefined : shardsOfIds(query.ids, hasher);
  const read: PageRead = { reader, hasher, indexUid, query, criteria, shards, signal };
  if (query.offset + query.limit <= WHOLE_DOCUMENTS_UP_TO) return nearPage(read);
  return distantPage({ ...read, query: await boundedQuery(read) });
}

/**
 * The query with an end that documents can reach. A node that sorts sets memory aside for the whole of its limit, and
 * ends as a process where there is not that much.
 */
async function boundedQuery(read: PageRead): Promise<DocumentQuery> {
  const { query } = read;
  if (query.offset + query.limit <= UNBOUNDED_UP_TO) return query;
  const { total } = await nearPage({ ...read, query: { ...query, offset: 0, limit: 0 }, criteria: [] });
  const offset = Math.min(query.offset, total);
  return { ...query, offset, limit: Math.min(query.limit, total - offset) };
}
