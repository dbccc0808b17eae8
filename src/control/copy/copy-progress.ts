import { clone } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type CopyProgress, CopyProgressSchema } from "../../gen/miroir/v1/copies_pb.js";
import type { Topology } from "../../gen/miroir/v1/topology_pb.js";
import type { CopyMetrics } from "./copy-metrics.js";

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

  /** The last report about a copy; undefined before the first, and after the copy's end. */
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

  /** Forgets copies that have ended, and counts those that have not. */
  published({ indexes }: Topology): void {
    const open = new Set<string>();
    for (const { copy } of indexes) if (copy !== undefined) open.add(copy.id);
    for (const id of this.#reports.keys()) if (!open.has(id)) this.#reports.delete(id);
    this.#metrics.underWay.set(open.size);
  }
}

/** What came on top since the last report; a writer that has begun anew counts from 0 again. */
function growth(before: bigint | undefined, after: bigint): number {
  return Number(before === undefined || before > after ? after : after - before);
}
