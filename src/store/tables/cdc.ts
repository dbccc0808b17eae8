import type { SinkName } from "../ids.js";
import type { FencingToken } from "./lease.js";

/** How far a sink has received an index's change events. */
export interface CdcCursorRow {
  readonly sink: SinkName;
  readonly indexUid: string;
  readonly lastEventSeq: number;
  /** Milliseconds since the Unix epoch. */
  readonly updatedAt: number;
}

/** Cursors of change data capture, a row a (sink, index). */
export interface CdcCursorsTable {
  get(sink: SinkName, indexUid: string): Promise<CdcCursorRow | undefined>;
  /** In ascending order of sink, then index, byte by byte in UTF-8; every sink unless given. */
  list(sink?: SinkName): Promise<readonly CdcCursorRow[]>;
  /**
   * Moves cursors forward, whatever the order of the calls: an older one than the recorded one is ignored, and of
   * two with the same event the later time stays. At most 10,000 a call.
   */
  advance(rows: readonly CdcCursorRow[], fence: FencingToken): Promise<void>;
  /** Forgets a sink, or its cursor of one index. Returns how many rows went. */
  delete(sink: SinkName, indexUid: string | undefined, fence: FencingToken): Promise<number>;
}

/** An event that waits for its sink. */
export interface CdcOverflowEvent {
  /** 1 for the sink's first event, and one more for each that follows, dropped ones among them; never given twice. */
  readonly position: number;
  readonly payload: Uint8Array;
}

/** What a sink's overflow holds, and what it lost. */
export interface CdcOverflowStats {
  readonly events: number;
  /** Of the payloads together. */
  readonly bytes: number;
  /** Since the sink was first used. */
  readonly droppedEvents: number;
  readonly droppedBytes: number;
}

/**
 * Change events that a sink could not take yet, a queue a sink. Its payloads together have at most
 * `StoreLimits.cdcOverflowBytes` bytes: the oldest go to make room, and are counted as dropped.
 */
export interface CdcOverflow {
  /**
   * Appends events in order, trimming the oldest. An event larger than the limit by itself is dropped, and
   * with it everything before. At most 10,000 events and 64 MiB a call. Returns the stats as they are now.
   */
  append(sink: SinkName, payloads: readonly Uint8Array[], fence: FencingToken): Promise<CdcOverflowStats>;
  /**
   * The oldest events, without removing them. `limit`: 1 to 10,000; 100 unless given; fewer where they would have
   * more than 64 MiB together, but at least one.
   */
  peek(sink: SinkName, limit?: number): Promise<readonly CdcOverflowEvent[]>;
  /**
   * Removes the events up to and including `position`, which the sink has taken: repeating it does nothing, and
   * a position that was not given yet removes what is there now. Returns how many went.
   */
  acknowledge(sink: SinkName, position: number, fence: FencingToken): Promise<number>;
  /** All zero for a sink that was never used. */
  stats(sink: SinkName): Promise<CdcOverflowStats>;
}
