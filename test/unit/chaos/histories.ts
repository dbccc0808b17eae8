/** Hand-made histories for the checker's own suite. */
import { documentOf } from "../../chaos-harness/documents.js";
import type { HistoryRecord, ReadRecord, WriteKind, WriteRecord } from "../../chaos-harness/history.js";

/** Writes one history, numbering what is put in. */
export class HistoryWriter {
  readonly records: HistoryRecord[] = [];

  /** A write of `k0` that was acknowledged at `end` and seen to succeed at `visible`, unless told otherwise. */
  write(
    write: WriteKind,
    id: number,
    [start, end, visible]: readonly [number, number, number?],
    more: Partial<WriteRecord> = {},
  ): this {
    this.records.push({
      kind: "write",
      id,
      client: 0,
      write,
      keys: ["k0"],
      slot: 0,
      proxy: 0,
      start,
      end,
      outcome: "acknowledged",
      answer: "202",
      taskUid: id,
      ...(visible === undefined ? {} : { task: { status: "succeeded", at: visible } }),
      ...more,
    });
    return this;
  }

  /** A read of `k0` that found this document, or none. */
  read(
    [start, end]: readonly [number, number],
    document: Readonly<Record<string, unknown>> | undefined,
    more: Partial<ReadRecord> = {},
  ): this {
    this.records.push({
      kind: "read",
      client: 1,
      via: "document",
      proxy: 0,
      start,
      end,
      found: document === undefined ? [] : [["k0", JSON.stringify(document)]],
      expected: ["k0"],
      ...more,
    });
    return this;
  }

  epoch(
    process: string,
    [start, end]: readonly [number, number],
    term: number,
    counter: number,
    contentHash = "",
  ): this {
    this.records.push({
      kind: "epoch",
      process,
      run: 1,
      start,
      end,
      cluster: "c",
      term,
      counter,
      contentHash,
    });
    return this;
  }
}

/** `k0` as a write sets it, with what further partial updates add. */
export function set(write: number, slots: Readonly<Record<string, number>> = {}): Record<string, unknown> {
  return { ...documentOf("set", "k0", write, 0), ...slots };
}
