/** What a chaos run records, and what its checker reads. All times are milliseconds of the harness's one monotonic clock. */

/** What a client wants of the documents `keys`. */
export type WriteKind = "set" | "update" | "delete" | "delete-by-filter";

/** What a client was told: accepted; refused, so that nothing may have changed; or nothing that could be relied on. */
export type WriteOutcome = "acknowledged" | "refused" | "unknown";

/** How a task ended, and when a client was first shown it. */
export interface SeenTask {
  readonly status: "succeeded" | "failed" | "canceled";
  readonly at: number;
  /** The task's error, as JSON. */
  readonly error?: string;
}

/** One write, from the request to the end of its task. */
export interface WriteRecord {
  readonly kind: "write";
  /** Names the write; every document that it makes or changes bears this number. */
  readonly id: number;
  readonly client: number;
  readonly write: WriteKind;
  /** The documents that it touches; those of a filter are all of its group. */
  readonly keys: readonly string[];
  /** Which field a partial update sets. */
  readonly slot: number;
  /** The proxy that was asked. */
  readonly proxy: number;
  readonly start: number;
  readonly end: number;
  readonly outcome: WriteOutcome;
  /** Status and code of the answer, or what became of the connection. */
  readonly answer: string;
  readonly taskUid?: number;
  /** Absent where no client ever saw the task finished. */
  readonly task?: SeenTask;
}

/** Which call read. A `marker` search asks for what one write set; all others but `document` and `fetch` ask for a whole group or for everything. */
export type ReadVia = "document" | "fetch" | "search" | "group-search" | "marker" | "listing" | "final";

/** One read that was answered. */
export interface ReadRecord {
  readonly kind: "read";
  readonly client: number;
  readonly via: ReadVia;
  readonly proxy: number;
  readonly start: number;
  readonly end: number;
  /** What was found, in the order of the answer: the document's key and its text as it came. */
  readonly found: readonly (readonly [key: string, document: string])[];
  /** Keys that would be in `found` if they existed; empty for a degraded answer, whose gaps say nothing. */
  readonly expected: readonly string[];
  /** The write whose documents a marker search asks for. */
  readonly marker?: number;
}

/** A read that was refused or broke; it says nothing of the data. */
export interface FailedReadRecord {
  readonly kind: "failed-read";
  readonly client: number;
  readonly via: ReadVia;
  readonly proxy: number;
  readonly start: number;
  readonly end: number;
  readonly answer: string;
}

/** What a process said of the topology that it goes by. */
export interface EpochRecord {
  readonly kind: "epoch";
  readonly process: string;
  /** Grows with every start of the process. */
  readonly run: number;
  readonly start: number;
  readonly end: number;
  readonly cluster: string;
  readonly term: number;
  readonly counter: number;
  /** Of the topology's contents; empty where the process does not tell. */
  readonly contentHash: string;
}

/** A fault that was put in place, or taken away, and an operation that was begun or ended. */
export interface EventRecord {
  readonly kind: "event";
  readonly at: number;
  readonly what: string;
}

/** One line of a history. */
export type HistoryRecord = WriteRecord | ReadRecord | FailedReadRecord | EpochRecord | EventRecord;

/** The writes of a history, or whichever kind is asked for, in the order of recording. */
export function recordsOf<K extends HistoryRecord["kind"]>(
  history: readonly HistoryRecord[],
  kind: K,
): Extract<HistoryRecord, { kind: K }>[] {
  return history.filter((record): record is Extract<HistoryRecord, { kind: K }> => record.kind === kind);
}
