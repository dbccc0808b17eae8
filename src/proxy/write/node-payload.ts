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
/** The largest body that is made at once, of documents in memory: with its head it is one write to the connection. */
const MAX_WHOLE_BYTES = 512 * 1024;

/** Bytes that documents take in a node's body. */
export function bodyBytes({ bytes, documents }: ShardShare): number {
  return bytes + documents * INJECTED_BYTES;
}

/** What one node gets of a batch. */
export interface NodePayload {
  readonly contentLength: number;
  readonly documents: number;
  /** The whole of a small body; otherwise what gives a fresh stream of it for every attempt. */
  readonly body: Buffer | (() => Readable);
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
  const splicer = (chunkBytes: number) =>
    new BodySplicer(batch, shards, firstSequence, contentLength, chunkBytes);
  const inMemory = contentLength <= MAX_WHOLE_BYTES ? batch.spool.pagesInMemory() : undefined;
  return {
    documents,
    contentLength,
    body:
      inMemory === undefined
        ? () => Readable.from(streamed(batch, splicer(CHUNK_BYTES)), { objectMode: false })
        : whole(inMemory, splicer(contentLength)),
  };
}

async function* streamed({ spool }: DocumentBatch, splicer: BodySplicer): AsyncGenerator<Buffer> {
  for await (const page of spool.pages()) yield* splicer.take(page);
  const rest = splicer.rest();
  if (rest.length > 0) yield rest;
}

function whole(pages: readonly Buffer[], splicer: BodySplicer): Buffer {
  const chunks = pages.flatMap((page) => [...splicer.take(page)]);
  return chunks.length === 0 ? splicer.rest() : Buffer.concat([...chunks, splicer.rest()]);
}

/** Makes one node's body of a batch's pages, in chunks. */
class BodySplicer {
  private readonly tails: ReadonlyMap<number, Buffer>;
  private readonly sequenceOf: (place: number) => number | bigint;
  private place = 0;
  private chunk: Buffer;
  private used = 0;

  /** @param left bytes of the body that are still to be made */
  constructor(
    { terms, documents }: DocumentBatch,
    shards: ReadonlySet<number>,
    firstSequence: bigint,
    private left: number,
    private readonly chunkBytes: number,
  ) {
    const family = familyShards([...shards], terms.shards, terms.codeShards);
    this.tails = new Map(family.map((shard) => [shard, injectedTail(shard)]));
    const isSafe = firstSequence + BigInt(documents) <= BigInt(Number.MAX_SAFE_INTEGER);
    this.sequenceOf = isSafe
      ? (place) => Number(firstSequence) + place
      : (place) => firstSequence + BigInt(place);
    this.chunk = Buffer.allocUnsafe(Math.min(chunkBytes, left));
  }

  /** The chunks that the documents of the next page make full. */
  *take(page: Buffer): Generator<Buffer> {
    const reader = new PageReader(page);
    while (reader.next()) {
      const tail = this.tails.get(reader.shard);
      if (tail !== undefined) {
        const size = reader.end - reader.start + INJECTED_BYTES;
        if (this.used + size > this.chunk.length) {
          if (this.used > 0) yield this.rest();
          this.chunk = Buffer.allocUnsafe(Math.max(size, Math.min(this.chunkBytes, this.left)));
        }
        // A document ends in its closing brace: the splitter cuts there.
        page.copy(this.chunk, this.used, reader.start, reader.end - 1);
        const tailAt = this.used + size - TAIL_BYTES;
        this.chunk.set(tail, tailAt);
        writeSequenceCode(this.chunk, tailAt + SEQUENCE_AT, this.sequenceOf(this.place));
        this.used += size;
      }
      this.place++;
    }
  }

  /** What has been gathered since the last full chunk. */
  rest(): Buffer {
    const rest = this.chunk.subarray(0, this.used);
    this.left -= this.used;
    this.used = 0;
    return rest;
  }
}
