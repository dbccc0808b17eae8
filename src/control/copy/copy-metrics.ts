import { Counter, Gauge, Histogram, type Registry } from "prom-client";

/** What copies do, over all indexes, as their writers report it. */
export interface CopyMetrics {
  /** Documents copied, deleted on targets, and found to differ after a switch. */
  readonly documents: Counter<"outcome">;
  readonly bytes: Counter;
  readonly underWay: Gauge;
  /** Seconds for which a switch held writes back. */
  readonly pause: Histogram;
}

/** Registers the metrics; a second term on the same registry shares them. */
export function createCopyMetrics(registry: Registry): CopyMetrics {
  const registers = [registry];
  const existing = <T>(name: string): T | undefined => registry.getSingleMetric(name) as T | undefined;
  return {
    documents:
      existing<Counter<"outcome">>("miroir_copy_documents_total") ??
      new Counter({
        name: "miroir_copy_documents_total",
        help: "Documents that copies of shards have copied, deleted or found to differ",
        labelNames: ["outcome"],
        registers,
      }),
    bytes:
      existing<Counter>("miroir_copy_bytes_total") ??
      new Counter({
        name: "miroir_copy_bytes_total",
        help: "Bytes of documents that copies of shards have sent",
        registers,
      }),
    underWay:
      existing<Gauge>("miroir_copies_under_way") ??
      new Gauge({ name: "miroir_copies_under_way", help: "Copies of shards that have not ended", registers }),
    pause:
      existing<Histogram>("miroir_copy_pause_seconds") ??
      new Histogram({
        name: "miroir_copy_pause_seconds",
        help: "Time for which a copy's switch held writes back",
        buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5],
        registers,
      }),
  };
}
