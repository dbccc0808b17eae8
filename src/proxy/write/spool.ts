import { type FileHandle, mkdir, open, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { Random } from "../../runtime/world.js";
import { PageReader, RECORD_HEADER_BYTES, recordEnd, writeRecord } from "./spool-page.js";

/** Limits of a {@link SpoolPool}. */
export interface SpoolLimits {
  /** Folder of the temporary files. */
  readonly directory: string;
  /** Bytes that a spool keeps in memory before it moves to a file. */
  readonly memoryBytes: number;
  /** Bytes in files, over all spools of the pool. */
  readonly maxFileBytes: number;
}

/** The pool's files are as large as they may be. */
export class SpoolFullError extends Error {
  override readonly name = "SpoolFullError";

  constructor(readonly maxFileBytes: number) {
    super(`temporary files of request bodies take ${maxFileBytes} bytes, as many as they may`);
  }
}

/** A document in a spool, with the shard under which it was put there. Its bytes are good until the next one is asked for. */
export interface SpooledDocument {
  readonly shard: number;
  readonly bytes: Buffer;
}

/** Makes spools that share one limit (invariant 12). */
export interface SpoolPool {
  create(): DocumentSpool;
  /** Bytes in files at the moment. */
  fileBytes(): number;
}

/**
 * Holds the documents of one request in their order: in memory while they are few, else in a temporary file that has
 * no name any more once it is open, so that not even a crash leaves it behind.
 */
export interface DocumentSpool {
  /**
   * Takes a copy of a document. Where it gives a promise, that is waited for before the next one is added.
   *
   * @throws SpoolFullError at once, or by the promise
   */
  add(shard: number, document: Buffer): Promise<void> | undefined;
  /** The documents in order. May run several times, also at once, but not beside `add`. */
  documents(): AsyncIterable<SpooledDocument>;
  /** The documents in order, as pages for {@link PageReader}; each is good until the next one is asked for. As {@link documents}. */
  pages(): AsyncIterable<Buffer>;
  /** What {@link pages} gives, where it is all in memory; undefined where there is a file. */
  pagesInMemory(): readonly Buffer[] | undefined;
  /** Frees memory and file; safe to call again. */
  dispose(): Promise<void>;
}

/** Pages grow from the first size to the second, beyond which only a larger document takes them. */
const FIRST_PAGE_BYTES = 4 * 1024;
const PAGE_BYTES = 256 * 1024;

/** A pool of spools under common limits. */
export function createSpoolPool(limits: SpoolLimits, random: Random): SpoolPool {
  const usage = { fileBytes: 0 };
  return {
    create: () => new Spool(limits, usage, random),
    fileBytes: () => usage.fileBytes,
  };
}

class Spool implements DocumentSpool {
  /** Full pages in memory; empty once there is a file. */
  private full: Buffer[] = [];
  private fullBytes = 0;
  /** The page being filled; of a file, what is not written yet. */
  private page = Buffer.alloc(0);
  private used = 0;
  private file: FileHandle | undefined;
  private fileBytes = 0;
  /** What of the pool's limit this spool has taken. */
  private taken = 0;
  private flushed: Promise<void> = Promise.resolve();
  private disposed = false;

  constructor(
    private readonly limits: SpoolLimits,
    private readonly usage: { fileBytes: number },
    private readonly random: Random,
  ) {}

  add(shard: number, document: Buffer): Promise<void> | undefined {
    if (this.disposed) throw new Error("the spool has been disposed of");
    const size = RECORD_HEADER_BYTES + document.length;
    if (this.file === undefined && this.fullBytes + this.used + size > this.limits.memoryBytes) {
      return this.moveToFile().then(() => this.add(shard, document));
    }
    if (this.used + size > this.page.length) {
      if (this.file !== undefined && this.used > 0) return this.flush().then(() => this.add(shard, document));
      this.turnPage(size);
    }
    if (this.file !== undefined) this.take(size);
    this.used = writeRecord(this.page, this.used, shard, document);
    return undefined;
  }

  async *documents(): AsyncGenerator<SpooledDocument> {
    for await (const page of this.pages()) {
      const reader = new PageReader(page);
      while (reader.next()) {
        yield { shard: reader.shard, bytes: page.subarray(reader.start, reader.end) };
      }
    }
  }

  async *pages(): AsyncGenerator<Buffer> {
    const { file } = this;
    if (file === undefined) {
      yield* this.pagesInMemory() ?? [];
      return;
    }
    await this.flush();
    let buffer = Buffer.allocUnsafe(Math.min(PAGE_BYTES, this.fileBytes));
    let held = 0;
    let position = 0;
    while (position < this.fileBytes) {
      const { bytesRead } = await file.read(buffer, held, buffer.length - held, position);
      if (bytesRead === 0) throw new Error("the temporary file of a request body was cut short");
      position += bytesRead;
      held += bytesRead;
      let whole = 0;
      let end = recordEnd(buffer, 0, held);
      while (end !== undefined && end <= held) {
        whole = end;
        end = recordEnd(buffer, whole, held);
      }
      if (whole > 0) yield buffer.subarray(0, whole);
      const rest = buffer.subarray(whole, held);
      const needed = (end ?? whole) - whole;
      const next = needed > buffer.length ? Buffer.allocUnsafe(needed) : buffer;
      rest.copy(next);
      buffer = next;
      held = rest.length;
    }
  }

  pagesInMemory(): readonly Buffer[] | undefined {
    if (this.file !== undefined) return undefined;
    return this.used > 0 ? [...this.full, this.page.subarray(0, this.used)] : this.full;
  }

  async dispose(): Promise<void> {
    if (this.disposed) return;
    this.disposed = true;
    this.full = [];
    this.page = Buffer.alloc(0);
    this.used = 0;
    this.usage.fileBytes -= this.taken;
    this.taken = 0;
    await this.file?.close();
    this.file = undefined;
  }

  /** Puts the page at hand by, and begins another one that has room for `size`. */
  private turnPage(size: number): void {
    if (this.used > 0) {
      this.full.push(this.page.subarray(0, this.used));
      this.fullBytes += this.used;
    }
    const grown = Math.min(PAGE_BYTES, Math.max(FIRST_PAGE_BYTES, this.page.length * 4));
    this.page = Buffer.allocUnsafe(Math.max(grown, size));
    this.used = 0;
  }

  private async moveToFile(): Promise<void> {
    await mkdir(this.limits.directory, { recursive: true });
    const name = `miroir-body-${Buffer.from(this.random.bytes(12)).toString("hex")}`;
    const path = join(this.limits.directory, name);
    const file = await open(path, "wx+", 0o600);
    this.file = file;
    await unlink(path);
    this.take(this.fullBytes + this.used);
    for (const page of this.full) await this.write(file, page);
    this.full = [];
    this.fullBytes = 0;
  }

  private take(size: number): void {
    if (this.usage.fileBytes + size > this.limits.maxFileBytes) {
      throw new SpoolFullError(this.limits.maxFileBytes);
    }
    this.usage.fileBytes += size;
    this.taken += size;
  }

  /** Settles once everything that was added is in the file: of several readers each waits for the one write. */
  private flush(): Promise<void> {
    this.flushed = this.flushed.then(async () => {
      if (this.used === 0 || this.file === undefined) return;
      await this.write(this.file, this.page.subarray(0, this.used));
      this.used = 0;
    });
    return this.flushed;
  }

  private async write(file: FileHandle, data: Buffer): Promise<void> {
    let written = 0;
    while (written < data.length) {
      const position = this.fileBytes + written;
      written += (await file.write(data, written, data.length - written, position)).bytesWritten;
    }
    this.fileBytes += data.length;
  }
}
