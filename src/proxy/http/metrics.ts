import { Counter, Gauge, type Registry } from "prom-client";
import type { SecondTryReason } from "../read/second-try.js";
import { createMeilisearchCounters, type MeilisearchCounters } from "./meilisearch-counters.js";
import { oncePer, oncePerPair, SeriesCounter, SeriesHistogram } from "./series-metrics.js";

const REQUEST_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** What the proxy counts. One per registry. */
export interface ProxyMetrics {
  readonly registry: Registry;
  /** The same requests under Meilisearch's names. */
  readonly asMeilisearch: MeilisearchCounters;
  /** One client request was answered. `route` is the pattern, never the path. */
  requestDone(method: string, route: string, status: number, seconds: number): void;
  /** One call to a node ended: `ok` for any answer below 500, `error` for others, `unavailable` for none. */
  nodeCallDone(node: string, operation: string, outcome: NodeCallOutcome, seconds: number): void;
  /** A replica was asked because another one failed, took longer than usual, or longer than a node that works may. */
  secondTry(reason: SecondTryReason): void;
  /** A request for the case that another replica is slow was sent and is over, or was not sent because too many had been. */
  hedge(outcome: "won" | "lost" | "denied"): void;
  /** An answer went out that does not cover every shard. */
  degraded(operation: string): void;
  /** A slow replica was asked to see whether it still is. */
  sampled(): void;
  /** A search waits for the answer to an equal one. */
  coalesced(): void;
  /** A request was turned away because the proxy was full. */
  shed(queue: string): void;
  /** A write was offered to another proxy, or passed on to it. */
  writeForwarded(outcome: "answered" | "not-taken" | "cut-off"): void;
  /** Reads the value at every scrape. */
  gauge(name: string, help: string, read: () => number): void;
}

/** How a call to a node ended. */
export type NodeCallOutcome = "ok" | "error" | "unavailable" | "aborted";

/** Registers the proxy's metrics, all named `miroir_*`. */
export function createProxyMetrics(registry: Registry): ProxyMetrics {
  const registers = [registry];
  const requests = new SeriesCounter({
    name: "miroir_http_requests_total",
    help: "Client requests answered.",
    labelNames: ["method", "route", "status"],
    registry,
  });
  const requestSeconds = new SeriesHistogram(
    {
      name: "miroir_http_request_duration_seconds",
      help: "Time from a client request's head to the end of its answer.",
      labelNames: ["method", "route"],
      registry,
    },
    REQUEST_SECONDS,
  );
  const requestSeries = oncePerPair((method: string, route: string) => ({
    ofStatus: oncePer((status: number) => requests.series({ method, route, status })),
    seconds: requestSeconds.series({ method, route }),
  }));
  const nodeCalls = new SeriesCounter({
    name: "miroir_node_calls_total",
    help: "Calls to nodes by outcome.",
    labelNames: ["node", "operation", "outcome"],
    registry,
  });
  const nodeSeconds = new SeriesHistogram(
    {
      name: "miroir_node_call_duration_seconds",
      help: "Time of calls to nodes.",
      labelNames: ["node", "operation"],
      registry,
    },
    REQUEST_SECONDS,
  );
  const nodeSeries = oncePerPair((node: string, operation: string) => ({
    ofOutcome: oncePer((outcome: NodeCallOutcome) => nodeCalls.series({ node, operation, outcome })),
    seconds: nodeSeconds.series({ node, operation }),
  }));
  const secondTries = new Counter({
    name: "miroir_read_second_tries_total",
    help: "Replicas asked because another one failed, or took longer than usual or than a node that works may.",
    labelNames: ["reason"],
    registers,
  });
  const hedges = new Counter({
    name: "miroir_read_hedges_total",
    help: "Replicas asked because another one took longer than usual, by what came of it.",
    labelNames: ["outcome"],
    registers,
  });
  const degraded = new Counter({
    name: "miroir_degraded_answers_total",
    help: "Answers that did not cover every shard.",
    labelNames: ["operation"],
    registers,
  });
  const samples = new Counter({
    name: "miroir_read_samples_total",
    help: "Requests to slow replicas for which no client waited.",
    registers,
  });
  const coalesced = new Counter({
    name: "miroir_searches_coalesced_total",
    help: "Searches that were answered with an equal one that waited beside them.",
    registers,
  });
  const shed = new Counter({
    name: "miroir_requests_shed_total",
    help: "Requests turned away because the proxy was full, or they had waited for too long.",
    labelNames: ["queue"],
    registers,
  });
  const forwarded = new Counter({
    name: "miroir_writes_forwarded_total",
    help: "Writes offered to the proxy that writes their index, by outcome.",
    labelNames: ["outcome"],
    registers,
  });
  const asMeilisearch = createMeilisearchCounters();
  return {
    registry,
    asMeilisearch,
    requestDone(method, route, status, seconds) {
      const series = requestSeries(method, route);
      series.ofStatus(status).inc();
      series.seconds.observe(seconds);
      asMeilisearch.requestDone(method, route, status, seconds);
    },
    nodeCallDone(node, operation, outcome, seconds) {
      const series = nodeSeries(node, operation);
      series.ofOutcome(outcome).inc();
      series.seconds.observe(seconds);
    },
    secondTry: (reason) => secondTries.inc({ reason }),
    hedge: (outcome) => hedges.inc({ outcome }),
    degraded: (operation) => degraded.inc({ operation }),
    sampled: () => samples.inc(),
    coalesced: () => coalesced.inc(),
    shed: (queue) => shed.inc({ queue }),
    writeForwarded: (outcome) => forwarded.inc({ outcome }),
    gauge(name, help, read) {
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read());
        },
      });
    },
  };
}
