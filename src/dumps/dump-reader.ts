import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { createGunzip } from "node:zlib";
import { LineTooLongError, linesOf } from "../runtime/lines.js";
import {
  type DumpedIndex,
  DumpFaultError,
  type DumpManifest,
  documentsFile,
  KEYS_FILE,
  MANIFEST_FILE,
  parseManifest,
  RESOURCES_FILE,
  SUMS_FILE,
  settingsFile,
  TASKS_FILE,
} from "./manifest.js";

/** Longer than any document that Meilisearch takes, whose requests end at 2^32 bytes and usually far below. */
const MAX_LINE = 1024 * 1024 * 1024;

/** A dump that was written whole, as its manifest says it. */
export interface Dump {
  readonly manifest: DumpManifest;
  /** Bytes of all its files. */
  readonly bytes: number;
  /**
   * Reads every file once and compares it with its sum; calls back with the bytes read so far.
   *
   * @throws DumpFaultError for what is damaged or missing
   */
  verify(onProgress?: (bytes: number) => void): Promise<void>;
  /** An index's settings. @throws DumpFaultError */
  settings(index: DumpedIndex): Promise<Record<string, unknown>>;
  /** Clients' API keys. @throws DumpFaultError */
  keys(): Promise<readonly Record<string, unknown>[]>;
  /** What clients set on the whole server besides keys and features. @throws DumpFaultError */
  resources(): Promise<readonly Record<string, unknown>[]>;
  /** An index's documents as JSON text with line ends, in insertion order. @throws DumpFaultError */
  documents(index: DumpedIndex): AsyncGenerator<Buffer>;
}

/** Opens the dump in a folder. @throws DumpFaultError */
export async function openDump(folder: string): Promise<Dump> {
  const sums = parseSums(await textOf(folder, SUMS_FILE));
  const manifest = parseManifest(await textOf(folder, MANIFEST_FILE));
  const expected = [
    MANIFEST_FILE,
    KEYS_FILE,
    RESOURCES_FILE,
    TASKS_FILE,
    ...manifest.indexes.flatMap((index) => [settingsFile(index), documentsFile(index)]),
  ];
  for (const path of expected) {
    if (!sums.has(path)) throw new DumpFaultError(`${SUMS_FILE} does not name ${path}`);
  }
  let bytes = 0;
  for (const path of sums.keys()) bytes += await sizeOf(folder, path);
  return {
    manifest,
    bytes,
    verify: (onProgress) => verify(folder, sums, onProgress),
    settings: async (index) => objectOf(await textOf(folder, settingsFile(index)), settingsFile(index)),
    keys: () => objectsOf(folder, KEYS_FILE),
    resources: () => objectsOf(folder, RESOURCES_FILE),
    documents: (index) => documentsOf(folder, index),
  };
}

/** The dump that a task wrote among those of a folder; undefined where it wrote none. */
export async function findDump(
  parent: string,
  clusterId: string,
  taskUid: number,
): Promise<DumpManifest | undefined> {
  const names = await readdir(parent).catch(() => []);
  for (const name of names.filter((candidate) => !candidate.startsWith("."))) {
    const text = await readFile(join(parent, name, MANIFEST_FILE), "utf8").catch(() => undefined);
    if (text === undefined || !text.includes(`"taskUid":${taskUid},`)) continue;
    const manifest = manifestOrNone(text);
    if (manifest?.taskUid === taskUid && manifest.clusterId === clusterId) return manifest;
  }
  return undefined;
}

/** Somebody else's dump may lie in the same folder, of a program that is newer. */
function manifestOrNone(text: string): DumpManifest | undefined {
  try {
    return parseManifest(text);
  } catch (error) {
    if (error instanceof DumpFaultError) return undefined;
    throw error;
  }
}

async function verify(
  folder: string,
  sums: ReadonlyMap<string, string>,
  onProgress: ((bytes: number) => void) | undefined,
): Promise<void> {
  let read = 0;
  for (const [path, sum] of sums) {
    const hash = createHash("sha256");
    for await (const chunk of createReadStream(join(folder, path), { highWaterMark: 1024 * 1024 })) {
      hash.update(chunk as Buffer);
      read += (chunk as Buffer).length;
      onProgress?.(read);
    }
    if (hash.digest("hex") !== sum) {
      throw new DumpFaultError(`${path} is not what was written: its SHA-256 is another one`);
    }
  }
}

async function* documentsOf(folder: string, index: DumpedIndex): AsyncGenerator<Buffer> {
  const path = documentsFile(index);
  const text = createReadStream(join(folder, path), { highWaterMark: 1024 * 1024 });
  const plain = createGunzip({ chunkSize: 1024 * 1024 });
  text.on("error", (error) => plain.destroy(error));
  let count = 0;
  try {
    for await (const line of linesOf(text.pipe(plain), MAX_LINE)) {
      count += 1;
      yield line;
    }
  } catch (error) {
    if (error instanceof LineTooLongError || (error instanceof Error && "code" in error)) {
      throw new DumpFaultError(`${path} cannot be read: ${error.message}`, { cause: error });
    }
    throw error;
  } finally {
    text.destroy();
  }
  if (count !== index.documents) {
    throw new DumpFaultError(`${path} holds ${count} documents, ${MANIFEST_FILE} says ${index.documents}`);
  }
}

function parseSums(text: string): ReadonlyMap<string, string> {
  const sums = new Map<string, string>();
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const [, sum, path] = /^([0-9a-f]{64}) {2}([a-z0-9./]+)$/.exec(line) ?? [];
    if (sum === undefined || path === undefined || path.split("/").includes("..")) {
      throw new DumpFaultError(`${SUMS_FILE} has a line that is no sum: ${line.slice(0, 100)}`);
    }
    sums.set(path, sum);
  }
  return sums;
}

async function textOf(folder: string, path: string): Promise<string> {
  try {
    return await readFile(join(folder, path), "utf8");
  } catch (error) {
    throw new DumpFaultError(`${path} is missing: this is no dump, or not a whole one`, { cause: error });
  }
}

async function sizeOf(folder: string, path: string): Promise<number> {
  try {
    return (await stat(join(folder, path))).size;
  } catch (error) {
    throw new DumpFaultError(`${path} is missing`, { cause: error });
  }
}

async function objectsOf(folder: string, path: string): Promise<readonly Record<string, unknown>[]> {
  const lines = (await textOf(folder, path)).split("\n").filter((line) => line !== "");
  return lines.map((line) => objectOf(line, path));
}

function objectOf(text: string, path: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return value as Record<string, unknown>;
    }
  } catch (error) {
    throw new DumpFaultError(`${path} is not JSON`, { cause: error });
  }
  throw new DumpFaultError(`${path} does not hold JSON objects`);
}
