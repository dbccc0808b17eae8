import { gauge, type Metric, measureFleet } from "../read/fleet-metrics.js";
import { requireFeature } from "./feature-gate.js";
import type { ProxyMetrics } from "./metrics.js";
import type { RouteTable } from "./route-table.js";
import type { RouteServices } from "./services.js";

/** `GET /metrics`, for dashboards made for Meilisearch; `/_miroir/metrics` has Miroir's own names. */
export function registerPrometheus(routes: RouteTable, services: RouteServices): void {
  const { topology, metrics, config } = services;
  routes.on("GET", "/metrics", "metrics.get", async (request) => {
    requireFeature(topology, "metrics", "Getting metrics");
    const [fleet, running, waiting] = await Promise.all([
      measureFleet(services, request.signal),
      gaugeValue(metrics, "miroir_reads_running"),
      gaugeValue(metrics, "miroir_reads_waiting"),
    ]);
    const gauges = [
      ...fleet,
      gauge("search_queue_size", "Meilisearch Search Queue Size", config.maxQueuedReads),
      gauge("searches_running", "Meilisearch Searches Running", running),
      gauge("searches_waiting_to_be_processed", "Meilisearch Searches Being Processed", waiting),
    ];
    const text = [
      ...gauges.map(printGauge),
      await metrics.asMeilisearch.registry.metrics(),
      await processMetrics(metrics),
    ];
    return { status: 200, body: text.join("\n"), contentType: "text/plain; version=0.0.4" };
  });
}

async function gaugeValue({ registry }: ProxyMetrics, name: string): Promise<number> {
  const metric = await registry.getSingleMetric(name)?.get();
  return metric?.values[0]?.value ?? 0;
}

/** What the operating system knows of this process, under the names that have no prefix in Meilisearch either. */
async function processMetrics({ registry }: ProxyMetrics): Promise<string> {
  const names = registry.getMetricsAsArray().map(({ name }) => name);
  const texts = names
    .filter((name) => name.startsWith("miroir_process_"))
    .map((name) => registry.getSingleMetricAsString(name));
  return (await Promise.all(texts)).join("\n").replaceAll("miroir_process_", "process_");
}

function printGauge({ name, help, samples }: Metric): string {
  const full = `meilisearch_${name}`;
  const lines = samples.map(([labels, value]) => {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}=${JSON.stringify(text)}`);
    return `${full}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${value}`;
  });
  return [`# HELP ${full} ${help}`, `# TYPE ${full} gauge`, ...lines].join("\n");
}
