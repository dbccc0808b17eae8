/** Bytes in front of each document in a page: its length and its shard. */
export const RECORD_HEADER_BYTES = 6;

/** Puts a document with its shard into a page at `at`; says where the next one goes. */
export function writeRecord(page: Buffer, at: number, shard: number, document: Uint8Array): number {
  page.writeUInt32LE(document.length, at);
  page.writeUInt16LE(shard, at + 4);
  page.set(document, at + RECORD_HEADER_BYTES);
  return at + RECORD_HEADER_BYTES + document.length;
}

/** Where the record at `at` ends; undefined where not even its length is within `length`. */
export function recordEnd(page: Buffer, at: number, length: number): number | undefined {
  if (length - at < RECORD_HEADER_BYTES) return undefined;
  return at + RECORD_HEADER_BYTES + page.readUInt32LE(at);
}

/** Walks the documents of a page of whole records, without making an object of each. */
export class PageReader {
  /** The shard of the document at hand. */
  shard = 0;
  /** Where the document at hand begins in the page. */
  start = 0;
  /** Behind the document at hand. */
  end = 0;

  constructor(private readonly page: Buffer) {}

  /** Goes to the next document; false where there is none. */
  next(): boolean {
    const at = this.end;
    if (at >= this.page.length) return false;
    this.shard = this.page.readUInt16LE(at + 4);
    this.start = at + RECORD_HEADER_BYTES;
    this.end = this.start + this.page.readUInt32LE(at);
    return true;
  }
}
