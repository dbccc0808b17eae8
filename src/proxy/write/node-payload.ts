import { Readable } from "node:stream";
import {
  SEQUENCE_FIELD,
  SEQUENCE_SYMBOLS,
  SHARD_FIELD,
  sequenceCode,
  shardCode,
  writeSequenceCode,
} from "../../placement/injected-fields.js";
import { familyShards } from "../../placement/shard-family.js";
import type { DocumentBatch, ShardShare } from "./document-batch.js";
import { PageReader } from "./spool-page.js";

/** What stands in a node's document instead of the closing brace, and the line feed behind it. */
function injectedTail(shard: number): Buffer {
  return Buffer.from(`,"${SHARD_FIELD}":"${shardCode(shard)}","${SEQUENCE_FIELD}":"${sequenceCode(0)}"}\n`);
}

const TAIL_BYTES = injectedTail(0).length;
/** Where in a tail its sequence begins: in front of a quote, a brace and the line feed. */
const SEQUENCE_AT = TAIL_BYTES - SEQUENCE_SYMBOLS - 3;

/** Bytes that injection adds to a document: a tail, which takes its closing brace's place. */
const INJECTED_BYTES = TAIL_BYTES - 1;

/** Bytes gathered before they are handed to the connection. */
const CHUNK_BYTES = 64 * 1024;

/** Bytes that documents take in a node's body. */
export function bodyBytes({ bytes, documents }: ShardShare): number {
  return bytes + documents * INJECTED_BYTES;
}

/** What one node gets of a batch. */
export interface NodePayload {
  readonly contentLength: number;
  readonly documents: number;
  /** A fresh stream of NDJSON for every attempt. */
  readonly open: () => Readable;
}

/**
 * The documents of `shards`, as NDJSON in their order, each with its shard and its sequence appended
 * (`firstSequence` plus its place in the batch) and otherwise byte for byte (invariant 14).
 */
export function nodePayload(
  batch: DocumentBatch,
  shards: ReadonlySet<number>,
  firstSequence: bigint,
): NodePayload {
  let documents = 0;
  let bytes = 0;
  for (const [shard, share] of batch.shares) {
    if (!shards.has(shard)) continue;
    documents += share.documents;
    bytes += share.bytes;
  }
  const contentLength = bodyBytes({ bytes, documents });
  return {
    documents,
    contentLength,
    open: () =>
      Readable.from(payloadChunks(batch, shards, firstSequence, contentLength), { objectMode: false }),
  };
}

async function* payloadChunks(
  batch: DocumentBatch,
  shards: ReadonlySet<number>,
  firstSequence: bigint,
  contentLength: number,
): AsyncGenerator<Buffer> {
  const { terms, documents } = batch;
  const family = familyShards([...shards], terms.shards, terms.codeShards);
  const tails = new Map(family.map((shard) => [shard, injectedTail(shard)]));
  const isSafe = firstSequence + BigInt(documents) <= BigInt(Number.MAX_SAFE_INTEGER);
  const sequenceOf = isSafe
    ? (place: number) => Number(firstSequence) + place
    : (place: number) => firstSequence + BigInt(place);
  let place = 0;
  let left = contentLength;
  let chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, left));
  let used = 0;
  for await (const page of batch.spool.pages()) {
    const reader = new PageReader(page);
    while (reader.next()) {
      const tail = tails.get(reader.shard);
      if (tail !== undefined) {
        const size = reader.end - reader.start + INJECTED_BYTES;
        if (used + size > chunk.length) {
          if (used > 0) yield chunk.subarray(0, used);
          left -= used;
          chunk = Buffer.allocUnsafe(Math.max(size, Math.min(CHUNK_BYTES, left)));
          used = 0;
        }
        // A document ends in its closing brace: the splitter cuts there.
        page.copy(chunk, used, reader.start, reader.end - 1);
        const tailAt = used + size - TAIL_BYTES;
        chunk.set(tail, tailAt);
        writeSequenceCode(chunk, tailAt + SEQUENCE_AT, sequenceOf(place));
        used += size;
      }
      place++;
    }
  }
  if (used > 0) yield chunk.subarray(0, used);
}
