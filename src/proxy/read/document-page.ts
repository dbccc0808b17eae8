import type { ShardHasher } from "../../placement/shard.js";
import type { SortCriterion } from "./document-order.js";
import type { DocumentQuery } from "./document-query.js";
import type { ShardReadResult } from "./shard-read.js";
import type { ShardReader } from "./shard-reader.js";
import type { ShardsOfIndex } from "./shards-of-ids.js";

/** A page of an index's documents to read. */
export interface PageRead {
  readonly reader: ShardReader;
  readonly hasher: ShardHasher;
  readonly indexUid: string;
  readonly query: DocumentQuery;
  /** What the query's `sort` says. */
  readonly criteria: readonly SortCriterion[];
  /** Where documents that match can be; everywhere where undefined. */
  readonly shards: ShardsOfIndex | undefined;
  readonly signal: AbortSignal;
}

/** One page of an index's documents, in insertion order unless sorted. */
export interface DocumentPage {
  readonly result: ShardReadResult;
  /** Raw JSON, without Miroir's fields. */
  readonly documents: readonly Buffer[];
  /** Of all documents that match. */
  readonly total: number;
}
