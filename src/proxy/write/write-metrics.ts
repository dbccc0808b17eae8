import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { GenerationReason } from "./generation-change.js";

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** What the write path counts. */
export interface WriteMetrics {
  /** A write was answered; `outcome` is `accepted`, `refused`, `no-quorum`, `unknown`, `overloaded` or `failed-task`. */
  writeDone(type: string, outcome: string, seconds: number): void;
  /** One request that enqueues a task on a node ended. */
  nodeRequestDone(node: string, operation: string, outcome: string, seconds: number): void;
  /** Replicas of an index went stale because they missed a write. */
  replicasWentStale(count: number): void;
  /** An index changed its generation: for `stale` replicas, or by `take-over`. */
  generationChanged(why: GenerationReason): void;
  /** A registration with the control plane was put off. */
  registrationDelayed(): void;
  /** Documents were sent to a replica that is being made: `copied`, or `deleted` there. */
  documentsCopied(what: "copied" | "deleted", documents: number, bytes: number): void;
  /** A step of a copy held an index's writes back. */
  copyPaused(step: string, seconds: number): void;
  /** Reads these values at every scrape. */
  gauges(
    read: () => { queued: number; blocked: number; pendingRegistrations: number; spooledBytes: number },
  ): void;
}

/** Registers the metrics, all named `miroir_write_*`. */
export function createWriteMetrics(registry: Registry): WriteMetrics {
  const registers = [registry];
  const writes = new Counter({
    name: "miroir_writes_total",
    help: "Writes answered, by task type and outcome.",
    labelNames: ["type", "outcome"],
    registers,
  });
  const writeSeconds = new Histogram({
    name: "miroir_write_duration_seconds",
    help: "Time from the end of a write's body to its answer.",
    labelNames: ["type"],
    buckets: SECONDS,
    registers,
  });
  const nodeRequests = new Counter({
    name: "miroir_write_node_requests_total",
    help: "Requests that enqueue tasks on nodes, by outcome.",
    labelNames: ["node", "operation", "outcome"],
    registers,
  });
  const nodeSeconds = new Histogram({
    name: "miroir_write_node_request_duration_seconds",
    help: "Time of requests that enqueue tasks on nodes.",
    labelNames: ["node", "operation"],
    buckets: SECONDS,
    registers,
  });
  const stale = new Counter({
    name: "miroir_write_stale_replicas_total",
    help: "Replicas that went stale because they missed a write.",
    registers,
  });
  const generations = new Counter({
    name: "miroir_write_generations_total",
    help: "Changes of an index's generation, by reason.",
    labelNames: ["why"],
    registers,
  });
  const delayed = new Counter({
    name: "miroir_write_registrations_delayed_total",
    help: "Tasks answered before the control plane knew them.",
    registers,
  });
  const copied = new Counter({
    name: "miroir_write_copied_documents_total",
    help: "Documents sent to replicas that are being made, by what was done with them.",
    labelNames: ["what"],
    registers,
  });
  const copiedBytes = new Counter({
    name: "miroir_write_copied_bytes_total",
    help: "Bytes of documents sent to replicas that are being made.",
    registers,
  });
  const copyPauses = new Histogram({
    name: "miroir_write_copy_pause_seconds",
    help: "How long steps of copies held an index's writes back.",
    labelNames: ["step"],
    buckets: SECONDS,
    registers,
  });
  return {
    writeDone(type, outcome, seconds) {
      writes.inc({ type, outcome });
      writeSeconds.observe({ type }, seconds);
    },
    nodeRequestDone(node, operation, outcome, seconds) {
      nodeRequests.inc({ node, operation, outcome });
      nodeSeconds.observe({ node, operation }, seconds);
    },
    replicasWentStale: (count) => stale.inc(count),
    generationChanged: (why) => generations.inc({ why }),
    registrationDelayed: () => delayed.inc(),
    documentsCopied(what, documents, bytes) {
      copied.inc({ what }, documents);
      copiedBytes.inc(bytes);
    },
    copyPaused: (step, seconds) => copyPauses.observe({ step }, seconds),
    gauges(read) {
      const gauge = (name: string, help: string, value: (all: ReturnType<typeof read>) => number) => {
        new Gauge({
          name,
          help,
          registers,
          collect() {
            this.set(value(read()));
          },
        });
      };
      gauge("miroir_write_queue_length", "Writes waiting or under way.", (all) => all.queued);
      gauge(
        "miroir_write_blocked_indexes",
        "Indexes that wait for an unknown outcome.",
        (all) => all.blocked,
      );
      gauge(
        "miroir_write_pending_registrations",
        "Accepted tasks the control plane does not know yet.",
        (all) => all.pendingRegistrations,
      );
      gauge(
        "miroir_write_spooled_bytes",
        "Bytes of request bodies in temporary files.",
        (all) => all.spooledBytes,
      );
    },
  };
}

/** Counts nothing. */
export const noWriteMetrics: WriteMetrics = {
  writeDone: () => undefined,
  nodeRequestDone: () => undefined,
  replicasWentStale: () => undefined,
  generationChanged: () => undefined,
  registrationDelayed: () => undefined,
  documentsCopied: () => undefined,
  copyPaused: () => undefined,
  gauges: () => undefined,
};
