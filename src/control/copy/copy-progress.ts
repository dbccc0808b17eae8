import { clone } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type CopyProgress, CopyProgressSchema } from "../../gen/miroir/v1/copies_pb.js";
import type { Topology } from "../../gen/miroir/v1/topology_pb.js";
import type { CopyMetrics } from "./copy-metrics.js";

/** Copies that have ended and are still known of, for who looks a little late. */
const MAX_ENDED = 100;

/**
 * How far the copies under way have come, as their writers tell. It lives in memory alone: a new leader knows it again with the next
 * reports, and nothing rests on it.
 */
export class CopyProgressBook {
  readonly #metrics: CopyMetrics;
  readonly #reports = new Map<string, CopyProgress>();

  constructor(metrics: CopyMetrics) {
    this.#metrics = metrics;
  }

  /** The last report about a copy; undefined before the first, and a while after the copy's end. */
  of(copyId: string): CopyProgress | undefined {
    return this.#reports.get(copyId);
  }

  /** Takes note of a report. `now` in milliseconds since the epoch. */
  report(copyId: string, progress: CopyProgress, now: number): void {
    const before = this.#reports.get(copyId);
    const noted = clone(CopyProgressSchema, progress);
    noted.reportedAt = timestampFromMs(now);
    this.#reports.set(copyId, noted);
    this.#metrics.documents.inc(
      { outcome: "copied" },
      growth(before?.documentsCopied, noted.documentsCopied),
    );
    this.#metrics.documents.inc(
      { outcome: "deleted" },
      growth(before?.documentsDeleted, noted.documentsDeleted),
    );
    this.#metrics.documents.inc(
      { outcome: "differing" },
      growth(before?.documentsDiffering, noted.documentsDiffering),
    );
    this.#metrics.bytes.inc(growth(before?.bytesCopied, noted.bytesCopied));
    if (noted.pauseMs > 0 && noted.pauseMs !== before?.pauseMs)
      this.#metrics.pause.observe(noted.pauseMs / 1_000);
  }

  /** Forgets the oldest of the copies that have ended, and counts those that have not. */
  published({ indexes }: Topology): void {
    const open = new Set<string>();
    for (const { copy } of indexes) if (copy !== undefined) open.add(copy.id);
    const ended = [...this.#reports.keys()].filter((id) => !open.has(id));
    for (const id of ended.slice(0, Math.max(0, ended.length - MAX_ENDED))) this.#reports.delete(id);
    this.#metrics.underWay.set(open.size);
  }
}

/** What came on top since the last report; a writer that has begun anew counts from 0 again. */
function growth(before: bigint | undefined, after: bigint): number {
  return Number(before === undefined || before > after ? after : after - before);
}
