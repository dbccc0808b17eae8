import { InvalidArgumentError } from "./errors.js";
import { checkBatch, checkInteger, checkTime } from "./limits.js";
import { checkName } from "./row-format.js";
import type { CdcCursorRow } from "./tables/cdc.js";

/** Bytes that one call appends, or that one answer carries unless a single event has more: 64 MiB. */
export const maxOverflowCallBytes = 64 * 1024 * 1024;

/** The position of a sink's first event. */
export const firstPosition = 1;

/** Refuses cursors that a backend could not give back as they are. */
export function checkCdcCursors(rows: readonly CdcCursorRow[]): void {
  checkBatch(rows, "cursors");
  for (const { sink, indexUid, lastEventSeq, updatedAt } of rows) {
    checkName(sink, "A sink's name");
    checkName(indexUid, `Cursor of sink ${sink}: indexUid`);
    const what = `Cursor of sink ${sink} in ${indexUid}`;
    checkInteger(lastEventSeq, 0, Number.MAX_SAFE_INTEGER, `${what}: lastEventSeq`);
    checkTime(updatedAt, `${what}: updatedAt`);
  }
}

/** Refuses payloads that one call does not take. */
export function checkPayloads(payloads: readonly Uint8Array[]): void {
  checkBatch(payloads, "events");
  let bytes = 0;
  for (const payload of payloads) {
    if (!(payload instanceof Uint8Array)) throw new InvalidArgumentError("An event's payload is bytes.");
    bytes += payload.byteLength;
  }
  if (bytes > maxOverflowCallBytes) {
    throw new InvalidArgumentError(
      `A call appends at most ${maxOverflowCallBytes} bytes of events, not ${bytes}; split it into several.`,
    );
  }
}

/** What of appended events fits under a limit. */
export interface FittingEvents {
  readonly kept: readonly Uint8Array[];
  readonly keptBytes: number;
  /** How many at the front do not fit. Where it is not 0, nothing that waited before them fits either. */
  readonly droppedEvents: number;
  readonly droppedBytes: number;
}

/**
 * The longest end of `payloads` with at most `limit` bytes: what is left when they are appended one by one and the
 * oldest go to make room. Nothing in front of an event that is larger than the limit by itself can stay.
 */
export function fitEvents(payloads: readonly Uint8Array[], limit: number): FittingEvents {
  let keptBytes = 0;
  let first = payloads.length;
  for (const payload of payloads.toReversed()) {
    if (keptBytes + payload.byteLength > limit) break;
    keptBytes += payload.byteLength;
    first--;
  }
  const droppedBytes = payloads.slice(0, first).reduce((sum, payload) => sum + payload.byteLength, 0);
  return { kept: payloads.slice(first), keptBytes, droppedEvents: first, droppedBytes };
}
