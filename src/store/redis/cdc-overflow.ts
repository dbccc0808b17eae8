import { checkPayloads, fitEvents, maxOverflowCallBytes } from "../cdc-rules.js";
import { StoreCorruptError } from "../errors.js";
import type { SinkName } from "../ids.js";
import { checkedLimit, checkInteger } from "../limits.js";
import { checkName, readAtLeast } from "../row-format.js";
import type { CdcOverflow, CdcOverflowEvent, CdcOverflowStats, FencingToken } from "../task-store.js";
import { fencedError, leaseKey, type RedisBackend } from "./commit.js";
import { RowFields } from "./row-fields.js";
import { readRows } from "./row-reader.js";

const none: CdcOverflowStats = { events: 0, bytes: 0, droppedEvents: 0, droppedBytes: 0 };

/**
 * Events that wait for sinks, on Redis. A sink has a hash of counts, a list of payloads, and a list of the same length
 * that says for each event how many bytes stand before it: so a cut by bytes is found by halving and made by one LTRIM,
 * however many events it drops. Positions follow from the counts: the events are the last ones that were given any.
 */
export class RedisCdcOverflow implements CdcOverflow {
  readonly #backend: RedisBackend;
  readonly #limit: number;

  /** `limit`: bytes of payloads that a sink's queue holds at most. */
  constructor(backend: RedisBackend, limit: number) {
    this.#backend = backend;
    this.#limit = limit;
  }

  async append(
    sink: SinkName,
    payloads: readonly Uint8Array[],
    fence: FencingToken,
  ): Promise<CdcOverflowStats> {
    checkName(sink, "A sink's name");
    checkPayloads(payloads);
    const { kept, droppedEvents, droppedBytes } = fitEvents(payloads, this.#limit);
    const stats = await this.#write(
      "cdc-overflow-append",
      sink,
      [sink, this.#limit, droppedEvents, droppedBytes, ...kept.map(asBuffer)],
      "append to a sink's overflow",
      fence,
    );
    const [events = 0, bytes = 0, allDroppedEvents = 0, allDroppedBytes = 0] = stats;
    return { events, bytes, droppedEvents: allDroppedEvents, droppedBytes: allDroppedBytes };
  }

  async peek(sink: SinkName, limit?: number): Promise<readonly CdcOverflowEvent[]> {
    checkName(sink, "A sink's name");
    const most = checkedLimit(limit, 100);
    const { state, events } = this.#keys(sink);
    const reply = await this.#backend.connection.runForBytes(
      "cdc-overflow-peek",
      [state, events],
      [most, maxOverflowCallBytes],
      "read",
      "read a sink's overflow",
    );
    const [result, first, ...payloads] = reply as [Buffer, Buffer, ...Buffer[]];
    if (result.toString() === "corrupt") throw damaged(sink, first.toString());
    const position = Number(first.toString());
    // A copy: what the connection received is one large buffer.
    return payloads.map((payload, at) => ({ position: position + at, payload: new Uint8Array(payload) }));
  }

  async acknowledge(sink: SinkName, position: number, fence: FencingToken): Promise<number> {
    checkName(sink, "A sink's name");
    checkInteger(position, 0, Number.MAX_SAFE_INTEGER, "The position to acknowledge");
    const [taken = 0] = await this.#write(
      "cdc-overflow-acknowledge",
      sink,
      [position],
      "acknowledge events of a sink",
      fence,
    );
    return taken;
  }

  async stats(sink: SinkName): Promise<CdcOverflowStats> {
    checkName(sink, "A sink's name");
    const [row] = await readRows(this.#backend, "read a sink's overflow", [this.#keys(sink).state]);
    if (row === undefined) return none;
    const columns = new RowFields(row, `the overflow of sink "${sink}"`);
    return {
      events: readAtLeast(columns, "events", 0),
      bytes: readAtLeast(columns, "bytes", 0),
      droppedEvents: readAtLeast(columns, "dropped_events", 0),
      droppedBytes: readAtLeast(columns, "dropped_bytes", 0),
    };
  }

  async #write(
    script: string,
    sink: SinkName,
    args: readonly (string | number | Buffer)[],
    operation: string,
    fence: FencingToken,
  ): Promise<readonly number[]> {
    const { connection, keys } = this.#backend;
    const { state, events, offsets, sinks } = this.#keys(sink);
    const reply = await connection.run(
      script,
      [leaseKey(keys, fence.scope), state, events, offsets, sinks],
      [fence.holder, fence.term, ...args],
      "write",
      operation,
    );
    const [result, ...rest] = reply as [string, ...string[]];
    if (result === "fenced") throw fencedError(fence, rest);
    if (result === "corrupt") throw damaged(sink, rest[0] ?? "");
    return rest.map(Number);
  }

  #keys(sink: SinkName): { state: string; events: string; offsets: string; sinks: string } {
    const { keys } = this.#backend;
    return {
      state: keys.row("cdc_overflow", sink),
      events: keys.index("cdc_overflow", "events", sink),
      offsets: keys.index("cdc_overflow", "offsets", sink),
      sinks: keys.index("cdc_overflow", "sinks"),
    };
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function damaged(sink: SinkName, what: string): StoreCorruptError {
  return new StoreCorruptError(`the overflow of sink "${sink}": ${what}`);
}
