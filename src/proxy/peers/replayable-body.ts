import type { Readable } from "node:stream";

/** Bytes that are kept for sending them a second time. */
const MAX_KEPT_BYTES = 1024 * 1024;
/** Bytes of one message. */
const MAX_PART_BYTES = 256 * 1024;

/**
 * A request's body that can be read again from its beginning as long as not much of it has been read. One reader at a time; a reader that
 * stops early leaves the rest to the next one.
 */
export class ReplayableBody {
  readonly #source: AsyncIterator<Buffer>;
  #kept: Buffer[] = [];
  #keptBytes = 0;
  #isWhole = true;

  constructor(source: Readable | Buffer | undefined) {
    this.#source = partsOf(source)[Symbol.asyncIterator]();
  }

  /** Whether {@link parts} still begins with the first byte. */
  canReplay(): boolean {
    return this.#isWhole;
  }

  /** The body in parts of at most 256 KiB. */
  async *parts(): AsyncGenerator<Buffer> {
    yield* this.#kept;
    for (;;) {
      const next = await this.#source.next();
      if (next.done === true) return;
      this.#keep(next.value);
      yield next.value;
    }
  }

  #keep(part: Buffer): void {
    this.#keptBytes += part.length;
    if (this.#keptBytes <= MAX_KEPT_BYTES && this.#isWhole) this.#kept.push(part);
    else {
      this.#isWhole = false;
      this.#kept = [];
    }
  }
}

async function* partsOf(source: Readable | Buffer | undefined): AsyncGenerator<Buffer> {
  if (source === undefined) return;
  const chunks: AsyncIterable<Buffer> | readonly Buffer[] = Buffer.isBuffer(source) ? [source] : source;
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += MAX_PART_BYTES) yield chunk.subarray(at, at + MAX_PART_BYTES);
  }
}
