import { type FileHandle, mkdir, open, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { Random } from "../../runtime/world.js";

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

/** A document in a spool, with the shard under which it was put there. */
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
  /** @throws SpoolFullError */
  add(shard: number, document: Buffer): Promise<void>;
  /** The documents in order. May run several times, also at once, but not beside `add`. */
  documents(): AsyncIterable<SpooledDocument>;
  /** Frees memory and file; safe to call again. */
  dispose(): Promise<void>;
}

/** Bytes in front of each document: its length and its shard. */
const HEADER_BYTES = 6;
const WRITE_BYTES = 256 * 1024;
const READ_BYTES = 256 * 1024;

/** A pool of spools under common limits. */
export function createSpoolPool(limits: SpoolLimits, random: Random): SpoolPool {
  const usage = { fileBytes: 0 };
  return {
    create: () => new Spool(limits, usage, random),
    fileBytes: () => usage.fileBytes,
  };
}

class Spool implements DocumentSpool {
  private memory: SpooledDocument[] = [];
  private memoryBytes = 0;
  private file: FileHandle | undefined;
  private fileBytes = 0;
  private pending: Buffer[] = [];
  private pendingBytes = 0;
  private flushed: Promise<void> = Promise.resolve();
  private disposed = false;

  constructor(
    private readonly limits: SpoolLimits,
    private readonly usage: { fileBytes: number },
    private readonly random: Random,
  ) {}

  async add(shard: number, document: Buffer): Promise<void> {
    if (this.disposed) throw new Error("the spool has been disposed of");
    if (this.file === undefined) {
      if (this.memoryBytes + document.length <= this.limits.memoryBytes) {
        // A copy: the document may be a view of a larger chunk, which it would keep alive.
        this.memory.push({ shard, bytes: Buffer.from(document) });
        this.memoryBytes += document.length;
        return;
      }
      await this.moveToFile();
    }
    this.enqueue(shard, document);
    if (this.pendingBytes >= WRITE_BYTES) await this.flush();
  }

  async *documents(): AsyncGenerator<SpooledDocument> {
    if (this.file === undefined) {
      yield* this.memory;
      return;
    }
    await this.flush();
    let rest: Buffer = Buffer.alloc(0);
    let position = 0;
    while (position < this.fileBytes) {
      const chunk = Buffer.allocUnsafe(Math.min(READ_BYTES, this.fileBytes - position));
      const { bytesRead } = await this.file.read(chunk, 0, chunk.length, position);
      if (bytesRead === 0) throw new Error("the temporary file of a request body was cut short");
      position += bytesRead;
      rest =
        rest.length === 0
          ? chunk.subarray(0, bytesRead)
          : Buffer.concat([rest, chunk.subarray(0, bytesRead)]);
      let at = 0;
      while (rest.length - at >= HEADER_BYTES) {
        const length = rest.readUInt32LE(at);
        const end = at + HEADER_BYTES + length;
        if (end > rest.length) break;
        yield { shard: rest.readUInt16LE(at + 4), bytes: rest.subarray(at + HEADER_BYTES, end) };
        at = end;
      }
      rest = rest.subarray(at);
    }
  }

  async dispose(): Promise<void> {
    if (this.disposed) return;
    this.disposed = true;
    this.memory = [];
    this.pending = [];
    this.usage.fileBytes -= this.fileBytes + this.pendingBytes;
    this.fileBytes = 0;
    this.pendingBytes = 0;
    await this.file?.close();
    this.file = undefined;
  }

  private async moveToFile(): Promise<void> {
    await mkdir(this.limits.directory, { recursive: true });
    const name = `miroir-body-${Buffer.from(this.random.bytes(12)).toString("hex")}`;
    const path = join(this.limits.directory, name);
    this.file = await open(path, "wx+", 0o600);
    await unlink(path);
    for (const { shard, bytes } of this.memory) this.enqueue(shard, bytes);
    this.memory = [];
    this.memoryBytes = 0;
  }

  private enqueue(shard: number, document: Buffer): void {
    const size = HEADER_BYTES + document.length;
    if (this.usage.fileBytes + size > this.limits.maxFileBytes) {
      throw new SpoolFullError(this.limits.maxFileBytes);
    }
    this.usage.fileBytes += size;
    const header = Buffer.allocUnsafe(HEADER_BYTES);
    header.writeUInt32LE(document.length, 0);
    header.writeUInt16LE(shard, 4);
    this.pending.push(header, document);
    this.pendingBytes += size;
  }

  /** Settles once everything that was enqueued is in the file: of several readers each waits for the one write. */
  private flush(): Promise<void> {
    this.flushed = this.flushed.then(() => this.writePending());
    return this.flushed;
  }

  private async writePending(): Promise<void> {
    if (this.pendingBytes === 0 || this.file === undefined) return;
    const data = Buffer.concat(this.pending, this.pendingBytes);
    this.pending = [];
    this.pendingBytes = 0;
    let written = 0;
    // Counted before the write, so that `dispose` gives back what was taken even where the write fails.
    const position = this.fileBytes;
    this.fileBytes += data.length;
    while (written < data.length) {
      const { bytesWritten } = await this.file.write(
        data,
        written,
        data.length - written,
        position + written,
      );
      written += bytesWritten;
    }
  }
}
