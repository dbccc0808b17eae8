import { Registry } from "prom-client";
import { oncePer, oncePerPair, SeriesCounter, SeriesHistogram } from "./series-metrics.js";

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
/** Parameters of paths that Meilisearch's metrics call otherwise than by their name in snake case. */
const PARAMETERS: Readonly<Record<string, string>> = {
  taskUid: "task_id",
  batchUid: "batch_id",
  webhookUuid: "uuid",
  ruleUid: "uid",
};

/** Client requests as Meilisearch counts them, for its dashboards. */
export interface MeilisearchCounters {
  readonly registry: Registry;
  /** One client request was answered. `route` is the pattern, never the path. */
  requestDone(method: string, route: string, status: number, seconds: number): void;
}

/** Counts in a registry of its own: the names are Meilisearch's, so they are shown where Meilisearch shows them alone. */
export function createMeilisearchCounters(): MeilisearchCounters {
  const registry = new Registry();
  const requests = new SeriesCounter({
    name: "meilisearch_http_requests_total",
    help: "Meilisearch HTTP requests total",
    labelNames: ["method", "path", "status"],
    registry,
  });
  const seconds = new SeriesHistogram(
    {
      name: "meilisearch_http_response_time_seconds",
      help: "Meilisearch HTTP response times",
      labelNames: ["method", "path"],
      registry,
    },
    SECONDS,
  );
  const seriesOf = oncePerPair((method: string, route: string) => {
    const path = pathOf(route);
    return {
      ofStatus: oncePer((status: number) => requests.series({ method, path, status })),
      seconds: seconds.series({ method, path }),
    };
  });
  return {
    registry,
    requestDone(method, route, status, duration) {
      if (route.startsWith("/_miroir/")) return;
      const series = seriesOf(method, route);
      series.ofStatus(status).inc();
      series.seconds.observe(duration);
    },
  };
}

function pathOf(route: string): string {
  return route.replace(/:(\w+)/g, (_, name: string) => `{${PARAMETERS[name] ?? snakeCase(name)}}`);
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
