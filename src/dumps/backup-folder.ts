import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { SUMS_FILE } from "./manifest.js";

/** What the name of a backup begins with until it is whole. */
const PARTIAL = ".partial-";

/**
 * A backup being written: a folder that gets its name when all of its files are on the disk, so that what has the name is whole. Files are
 * readable by their owner only.
 */
export class BackupFolder {
  readonly #parent: string;
  readonly #name: string;
  readonly #partial: string;
  readonly #sums = new Map<string, string>();

  private constructor(parent: string, name: string, partial: string) {
    this.#parent = parent;
    this.#name = name;
    this.#partial = partial;
  }

  /** Begins the backup `name` in `parent`, which is made where it is missing. `attempt` tells two writers of one name apart. */
  static async begin(parent: string, name: string, attempt: string): Promise<BackupFolder> {
    const partial = join(parent, `${PARTIAL}${name}-${attempt}`);
    await mkdir(parent, { recursive: true, mode: 0o700 });
    await mkdir(partial, { mode: 0o700 });
    return new BackupFolder(parent, name, partial);
  }

  /** Writes a file; compressed where its name ends in `.gz`. No more of it is held than a few chunks. */
  async write(path: string, chunks: AsyncIterable<string | Buffer> | string): Promise<void> {
    const file = join(this.#partial, path);
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    const hash = createHash("sha256");
    const hashing = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        hash.update(chunk);
        done(null, chunk);
      },
    });
    const source = Readable.from(typeof chunks === "string" ? [chunks] : chunks, { objectMode: false });
    const target = createWriteStream(file, { flags: "wx", mode: 0o600, flush: true });
    if (path.endsWith(".gz")) await pipeline(source, createGzip(), hashing, target);
    else await pipeline(source, hashing, target);
    this.#sums.set(path, hash.digest("hex"));
  }

  /** Takes a folder of files, finished or not, out of the backup again. */
  async discard(folder: string): Promise<void> {
    await rm(join(this.#partial, folder), { recursive: true, force: true });
    for (const path of this.#sums.keys()) if (path.startsWith(`${folder}/`)) this.#sums.delete(path);
  }

  /** Writes the sums and gives the folder its name. @returns its path */
  async complete(): Promise<string> {
    const sums = [...this.#sums].map(([path, sum]) => `${sum}  ${path}\n`);
    await this.write(SUMS_FILE, sums.join(""));
    const path = join(this.#parent, this.#name);
    await rename(this.#partial, path);
    await flushFolder(this.#parent);
    return path;
  }

  /** Removes what was written. */
  async abandon(): Promise<void> {
    await rm(this.#partial, { recursive: true, force: true });
  }
}

/** The names of the whole backups in a folder, in ascending order; none where there is no such folder. */
export async function listBackups(parent: string): Promise<readonly string[]> {
  return (await namesIn(parent)).filter((name) => !name.startsWith(".")).sort();
}

/** Removes what writers that are no more have left of unfinished backups. @returns how many there were */
export async function removePartialBackups(parent: string): Promise<number> {
  const left = (await namesIn(parent)).filter((name) => name.startsWith(PARTIAL));
  for (const name of left) await rm(join(parent, name), { recursive: true, force: true });
  return left.length;
}

async function namesIn(parent: string): Promise<readonly string[]> {
  try {
    return await readdir(parent);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
}

/** A name is safe from a power cut once its folder is on the disk. */
async function flushFolder(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
