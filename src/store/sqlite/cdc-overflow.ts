import { checkPayloads, firstPosition, fitEvents, maxOverflowCallBytes } from "../cdc-rules.js";
import { StoreCorruptError } from "../errors.js";
import type { SinkName } from "../ids.js";
import { checkedLimit, checkInteger } from "../limits.js";
import { checkName, readAtLeast } from "../row-format.js";
import type { CdcOverflow, CdcOverflowEvent, CdcOverflowStats, FencingToken } from "../task-store.js";
import type { Connection } from "./connection.js";
import { RecordColumns, type SqlRecord } from "./record-columns.js";

/** A sink's queue beside its events: those have the positions below `nextPosition`, without a gap. */
interface SinkState extends CdcOverflowStats {
  readonly nextPosition: number;
}

/** What was taken out of a queue. */
interface Removed {
  readonly events: number;
  readonly bytes: number;
}

const unused: SinkState = {
  nextPosition: firstPosition,
  events: 0,
  bytes: 0,
  droppedEvents: 0,
  droppedBytes: 0,
};

/** Events that wait for sinks, on SQLite: a row an event. Each call is one transaction. */
export class SqliteCdcOverflow implements CdcOverflow {
  readonly #fast: Connection;
  readonly #limit: number;
  readonly #select;
  readonly #upsert;
  readonly #insertEvent;
  readonly #cut;
  readonly #bytesBelow;
  readonly #events;
  readonly #deleteBelow;

  /** `limit`: bytes of payloads that a sink's queue holds at most. */
  constructor(fast: Connection, limit: number) {
    this.#fast = fast;
    this.#limit = limit;
    this.#select = fast.prepare<[string], SqlRecord>("SELECT * FROM cdc_sinks WHERE sink = ?");
    this.#upsert = fast.prepare<[SqlRecord]>(
      `INSERT INTO cdc_sinks (sink, next_position, events, bytes, dropped_events, dropped_bytes)
       VALUES (:sink, :nextPosition, :events, :bytes, :droppedEvents, :droppedBytes)
       ON CONFLICT (sink) DO UPDATE SET next_position = excluded.next_position, events = excluded.events,
         bytes = excluded.bytes, dropped_events = excluded.dropped_events,
         dropped_bytes = excluded.dropped_bytes`,
    );
    this.#insertEvent = fast.prepare<[string, number, Uint8Array]>(
      "INSERT INTO cdc_overflow (sink, position, payload) VALUES (?, ?, ?)",
    );
    this.#cut = fast.prepare<[string, number], { position: number; freed: number }>(
      `SELECT position, freed FROM (SELECT position, sum(length(payload)) OVER (ORDER BY position) AS freed
         FROM cdc_overflow WHERE sink = ?) WHERE freed >= ? LIMIT 1`,
    );
    this.#bytesBelow = fast.prepare<[string, number], { bytes: number }>(
      `SELECT coalesce(sum(length(payload)), 0) AS bytes FROM cdc_overflow WHERE sink = ? AND position < ?`,
    );
    this.#events = fast.prepare<[string, number], { position: number; payload: Buffer }>(
      "SELECT position, payload FROM cdc_overflow WHERE sink = ? ORDER BY position LIMIT ?",
    );
    this.#deleteBelow = fast.prepare<[string, number]>(
      "DELETE FROM cdc_overflow WHERE sink = ? AND position < ?",
    );
  }

  async append(
    sink: SinkName,
    payloads: readonly Uint8Array[],
    fence: FencingToken,
  ): Promise<CdcOverflowStats> {
    checkName(sink, "A sink's name");
    checkPayloads(payloads);
    const { kept, keptBytes, droppedEvents, droppedBytes } = fitEvents(payloads, this.#limit);
    return this.#fast.fencedWrite("append to a sink's overflow", fence, () => {
      const before = this.#load(sink);
      if (payloads.length === 0) return statsOf(before);
      const freed =
        droppedEvents > 0
          ? this.#removeBelow(sink, before, before.nextPosition)
          : this.#makeRoom(sink, before, keptBytes);
      const after: SinkState = {
        nextPosition: before.nextPosition + payloads.length,
        events: before.events - freed.events + kept.length,
        bytes: before.bytes - freed.bytes + keptBytes,
        droppedEvents: before.droppedEvents + freed.events + droppedEvents,
        droppedBytes: before.droppedBytes + freed.bytes + droppedBytes,
      };
      this.#upsert.run({ sink, ...after });
      const first = before.nextPosition + droppedEvents;
      for (const [index, payload] of kept.entries()) this.#insertEvent.run(sink, first + index, payload);
      return statsOf(after);
    });
  }

  async peek(sink: SinkName, limit?: number): Promise<readonly CdcOverflowEvent[]> {
    checkName(sink, "A sink's name");
    const most = checkedLimit(limit, 100);
    return this.#fast.read("read a sink's overflow", () => {
      const { nextPosition, events: count } = this.#load(sink);
      const events: CdcOverflowEvent[] = [];
      let bytes = 0;
      let isFull = false;
      for (const { position, payload } of this.#events.iterate(sink, most)) {
        bytes += payload.byteLength;
        isFull = events.length > 0 && bytes > maxOverflowCallBytes;
        if (isFull) break;
        if (position !== nextPosition - count + events.length) throw damaged(sink);
        events.push({ position, payload: new Uint8Array(payload) });
      }
      if (!isFull && events.length !== Math.min(most, count)) throw damaged(sink);
      return events;
    });
  }

  async acknowledge(sink: SinkName, position: number, fence: FencingToken): Promise<number> {
    checkName(sink, "A sink's name");
    checkInteger(position, 0, Number.MAX_SAFE_INTEGER, "The position to acknowledge");
    return this.#fast.fencedWrite("acknowledge events of a sink", fence, () => {
      const before = this.#load(sink);
      const taken = this.#removeBelow(sink, before, Math.min(position + 1, before.nextPosition));
      if (taken.events > 0) {
        this.#upsert.run({
          sink,
          ...before,
          events: before.events - taken.events,
          bytes: before.bytes - taken.bytes,
        });
      }
      return taken.events;
    });
  }

  async stats(sink: SinkName): Promise<CdcOverflowStats> {
    checkName(sink, "A sink's name");
    return statsOf(this.#fast.read("read a sink's overflow", () => this.#load(sink)));
  }

  /** Removes as many of the oldest events as `bytes` more need. */
  #makeRoom(sink: SinkName, state: SinkState, bytes: number): Removed {
    const needed = state.bytes + bytes - this.#limit;
    if (needed <= 0) return { events: 0, bytes: 0 };
    const cut = this.#cut.get(sink, needed);
    if (cut === undefined) throw damaged(sink);
    return this.#removeBelow(sink, state, cut.position + 1, cut.freed);
  }

  /** Removes the events below a position; `known`: how many bytes they have, counted unless given. */
  #removeBelow(sink: SinkName, state: SinkState, end: number, known?: number): Removed {
    const events = Math.max(0, end - (state.nextPosition - state.events));
    if (events === 0) return { events: 0, bytes: 0 };
    const counted = events === state.events ? state.bytes : known;
    const bytes = counted ?? this.#bytesBelow.get(sink, end)?.bytes ?? Number.NaN;
    if (this.#deleteBelow.run(sink, end).changes !== events) throw damaged(sink);
    return { events, bytes };
  }

  #load(sink: SinkName): SinkState {
    const record = this.#select.get(sink);
    if (record === undefined) return unused;
    const columns = new RecordColumns(record, `the overflow of sink "${sink}"`);
    return {
      nextPosition: readAtLeast(columns, "next_position", firstPosition),
      events: readAtLeast(columns, "events", 0),
      bytes: readAtLeast(columns, "bytes", 0),
      droppedEvents: readAtLeast(columns, "dropped_events", 0),
      droppedBytes: readAtLeast(columns, "dropped_bytes", 0),
    };
  }
}

function statsOf({ events, bytes, droppedEvents, droppedBytes }: SinkState): CdcOverflowStats {
  return { events, bytes, droppedEvents, droppedBytes };
}

function damaged(sink: SinkName): StoreCorruptError {
  return new StoreCorruptError(`the events that wait for sink "${sink}" are not those that were counted`);
}
