import type { Dump } from "../../dumps/dump-reader.js";
import type { DumpedIndex } from "../../dumps/manifest.js";
import { CommandError, ExitCode } from "../exit-codes.js";
import type { EnqueuedAnswer, ProxyApi } from "../proxy-api.js";

/** An index of the fleet, as its list of indexes shows it. */
export interface FleetIndex {
  readonly uid: string;
  readonly primaryKey: string | null;
}

/** What {@link restoreIndex} works with. */
export interface IndexRestore {
  readonly api: ProxyApi;
  readonly dump: Dump;
  readonly index: DumpedIndex;
  /** With the embedders' secrets. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** The first documents of the index that need not be sent again; undefined where the index is not there yet. */
  readonly begun: number | undefined;
  /** Bytes of documents that are sent at once; a longer document goes alone. */
  readonly batchBytes: number;
  /** Documents that have become a part of the index since the last call. */
  readonly onDocuments: (count: number) => void;
}

/** Batches that the fleet may have taken and not finished. */
const MAX_OPEN = 8;
/** Indexing a batch takes seconds; behind other tasks it may wait for long. */
const TASK_TIMEOUT_MS = 24 * 3_600_000;
/** More than {@link MAX_OPEN}, so that what was open when an attempt broke off is seen. */
const LOOKED_AT = 20;
const WRITES = "documentAdditionOrUpdate,documentDeletion,documentEdition";

/** Creates the index, gives it its settings and its documents, and counts them. @throws CommandError */
export async function restoreIndex(restore: IndexRestore): Promise<void> {
  const { api, index, settings, begun } = restore;
  const path = `/indexes/${index.uid}`;
  if (begun === undefined) await createIndex(api, index);
  if (begun === undefined || begun === 0)
    await taskDone(api, api.call("PATCH", `${path}/settings`, settings));
  restore.onDocuments(begun ?? 0);
  await sendDocuments(restore, begun ?? 0);
  const { numberOfDocuments } = await api.call<{ numberOfDocuments: number }>("GET", `${path}/stats`);
  // A document that was written while the dump was made may be in it twice.
  const isWhole = index.unchanged
    ? numberOfDocuments === index.documents
    : numberOfDocuments <= index.documents && (numberOfDocuments > 0 || index.documents === 0);
  if (isWhole) return;
  throw new CommandError(
    ExitCode.failure,
    `index ${index.uid} holds ${numberOfDocuments} documents, the dump ${index.documents}; did somebody else write to it?`,
  );
}

/**
 * How much of an index an earlier attempt with the same dump has sent, by the metadata of the tasks: how many of its first documents need
 * not be sent again. Undefined where something else was written to the index.
 */
export async function documentsBegun(
  api: ProxyApi,
  dumpUid: string,
  uid: string,
): Promise<number | undefined> {
  const { results } = await api.call<{ results: readonly WriteTask[] }>(
    "GET",
    `/tasks?indexUids=${uid}&types=${WRITES}&limit=${LOOKED_AT}`,
  );
  if (results.length === 0) {
    const { numberOfDocuments } = await api.call<{ numberOfDocuments: number }>(
      "GET",
      `/indexes/${uid}/stats`,
    );
    return numberOfDocuments === 0 ? 0 : undefined;
  }
  const batches = results.map(({ customMetadata }) => parseMetadata(dumpUid, customMetadata));
  const [newest] = batches;
  if (newest === undefined) return undefined;
  let from = newest.end;
  for (const [at, { uid: taskUid }] of results.entries()) {
    const batch = batches[at];
    if (batch === undefined) break;
    const succeeded = await api.taskDone(taskUid, TASK_TIMEOUT_MS).then(
      () => true,
      (error: unknown) => {
        if (error instanceof CommandError && error.exitCode === ExitCode.failure) return false;
        throw error;
      },
    );
    if (!succeeded) from = batch.begin;
  }
  return from;
}

interface WriteTask {
  readonly uid: number;
  readonly customMetadata?: string;
}

async function sendDocuments(
  { api, dump, index, batchBytes, onDocuments }: IndexRestore,
  begun: number,
): Promise<void> {
  const open: { readonly taskUid: number; readonly documents: number }[] = [];
  const oldestDone = async (): Promise<void> => {
    const oldest = open.shift();
    if (oldest === undefined) return;
    await api.taskDone(oldest.taskUid, TASK_TIMEOUT_MS);
    onDocuments(oldest.documents);
  };
  let at = 0;
  let lines: Buffer[] = [];
  let bytes = 0;
  const send = async (): Promise<void> => {
    if (lines.length === 0) return;
    const metadata = printMetadata(dump.manifest.dumpUid, { begin: at - lines.length, end: at });
    const { taskUid } = await api.call<EnqueuedAnswer>(
      "POST",
      `/indexes/${index.uid}/documents?customMetadata=${encodeURIComponent(metadata)}`,
      Buffer.concat(lines),
    );
    open.push({ taskUid, documents: lines.length });
    lines = [];
    bytes = 0;
    if (open.length >= MAX_OPEN) await oldestDone();
  };
  for await (const line of dump.documents(index)) {
    if (at < begun) {
      at += 1;
      continue;
    }
    if (bytes + line.length > batchBytes) await send();
    lines.push(line);
    bytes += line.length;
    at += 1;
  }
  await send();
  while (open.length > 0) await oldestDone();
}

/** The request may have been repeated, and the first one have been heard after all. */
async function createIndex(api: ProxyApi, { uid, primaryKey }: DumpedIndex): Promise<void> {
  const body = { uid, ...(primaryKey === null ? {} : { primaryKey }) };
  try {
    await taskDone(api, api.call("POST", "/indexes", body));
  } catch (error) {
    const present = await api.call<FleetIndex>("GET", `/indexes/${uid}`).catch(() => undefined);
    if (present === undefined || present.primaryKey !== primaryKey) throw error;
  }
}

async function taskDone(api: ProxyApi, answer: Promise<EnqueuedAnswer>): Promise<void> {
  await api.taskDone((await answer).taskUid, TASK_TIMEOUT_MS);
}

/** Which of the dump's documents a task has brought: from `begin`, up to before `end`. */
interface Batch {
  readonly begin: number;
  readonly end: number;
}

function printMetadata(dumpUid: string, { begin, end }: Batch): string {
  return `miroir restore ${dumpUid} ${begin}-${end}`;
}

function parseMetadata(dumpUid: string, text: string | undefined): Batch | undefined {
  const [, uid, begin, end] = /^miroir restore (\S+) (\d+)-(\d+)$/.exec(text ?? "") ?? [];
  return uid === dumpUid ? { begin: Number(begin), end: Number(end) } : undefined;
}
