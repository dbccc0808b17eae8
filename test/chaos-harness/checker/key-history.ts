/** What a history says of one document: the writes that touched it and every value that a read found. */
import { type DocumentState, parseDocument, stateText, writesIn } from "../documents.js";
import { type HistoryRecord, type ReadRecord, recordsOf, type WriteRecord } from "../history.js";
import type { Violation } from "./violation.js";

/** A write as far as one key goes. */
export interface KeyWrite {
  readonly record: WriteRecord;
  /** Whatever starts later comes behind it in the index's order (invariant 6); Infinity where that is not known. */
  readonly orderedBy: number;
  /** Whatever reads later must see it, or what came behind it; Infinity where it was never seen to succeed. */
  readonly visibleBy: number;
  /** Whether it may never have been executed. */
  readonly optional: boolean;
}

/** A value that a read found: undefined where there was no document. */
export interface KeyRead {
  readonly record: ReadRecord;
  readonly state: DocumentState | undefined;
}

/** One document's history. */
export interface KeyHistory {
  readonly key: string;
  readonly writes: readonly KeyWrite[];
  readonly reads: readonly KeyRead[];
}

/** Takes a history apart by document. Answers that no write can explain, because they are not of a document's form, are violations. */
export function keyHistories(history: readonly HistoryRecord[]): {
  readonly histories: readonly KeyHistory[];
  readonly violations: readonly Violation[];
} {
  const violations: Violation[] = [];
  const reads = new Map<string, KeyRead[]>();
  for (const record of recordsOf(history, "read")) {
    const found = new Map<string, string>();
    for (const [key, text] of record.found) {
      if (found.has(key))
        violations.push({ kind: "duplicate-hit", detail: `${key} twice in ${described(record)}` });
      found.set(key, text);
      try {
        append(reads, key, { record, state: parseDocument(key, text) });
      } catch (error) {
        violations.push({ kind: "malformed", detail: `${described(record)}: ${String(error)}: ${text}` });
      }
    }
    for (const key of record.expected) if (!found.has(key)) append(reads, key, { record, state: undefined });
  }
  const writes = new Map<string, WriteRecord[]>();
  for (const record of recordsOf(history, "write"))
    for (const key of record.keys) append(writes, key, record);
  const keys = new Set([...reads.keys(), ...writes.keys()]);
  const histories = [...keys].map((key) => {
    const found = reads.get(key) ?? [];
    return { key, reads: found, writes: keyWrites(writes.get(key) ?? [], found) };
  });
  return { histories, violations };
}

/** For messages. */
export function described({ via, client, proxy, start, end }: ReadRecord): string {
  return `${via} of client ${client} at proxy ${proxy} in [${start.toFixed(1)}, ${end.toFixed(1)}]`;
}

/** For messages. */
export function describedState(state: DocumentState | undefined): string {
  return state === undefined ? "no document" : `document ${stateText(state)}`;
}

function keyWrites(records: readonly WriteRecord[], reads: readonly KeyRead[]): KeyWrite[] {
  const firstSeen = new Map<number, number>();
  for (const { state, record } of reads) {
    if (state === undefined) continue;
    for (const write of writesIn(state)) {
      firstSeen.set(write, Math.min(firstSeen.get(write) ?? Number.POSITIVE_INFINITY, record.end));
    }
  }
  return records.flatMap((record): KeyWrite[] => {
    const visibleBy = record.task?.status === "succeeded" ? record.task.at : Number.POSITIVE_INFINITY;
    const seen = firstSeen.get(record.id);
    if (record.outcome === "refused") return [];
    if (record.outcome === "acknowledged")
      return [{ record, orderedBy: record.end, visibleBy, optional: false }];
    if (seen !== undefined) return [{ record, orderedBy: seen, visibleBy, optional: false }];
    // A set or an update of unknown outcome that nobody ever saw explains nothing that is not explained without it.
    const isDelete = record.write === "delete" || record.write === "delete-by-filter";
    return isDelete ? [{ record, orderedBy: Number.POSITIVE_INFINITY, visibleBy, optional: true }] : [];
  });
}

function append<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const values = map.get(key);
  if (values === undefined) map.set(key, [value]);
  else values.push(value);
}
