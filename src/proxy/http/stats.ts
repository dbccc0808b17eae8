import type { StatsFormat } from "../read/stats.js";
import { boolean, oneOf, readParameters } from "./query-parameters.js";
import { parameter, type RouteTable } from "./route-table.js";
import type { RouteServices } from "./services.js";

const STATS_PARAMETERS = {
  showInternalDatabaseSizes: { code: "invalid_stats_show_internal_database_sizes", read: boolean },
  sizeFormat: { code: "invalid_stats_size_format", read: oneOf("sizeFormat", ["human", "raw"]) },
} as const;

/** Statistics, health and version. */
export function registerStats(routes: RouteTable, { stats, version }: RouteServices): void {
  routes.on("GET", "/", "open", async () => ({ status: 200, body: '{"status":"Meilisearch is running"}' }));
  routes.on("GET", "/health", "open", async () => ({ status: 200, body: '{"status":"available"}' }));
  routes.on("GET", "/version", "version", async () => ({
    status: 200,
    body: JSON.stringify(await version.version()),
  }));
  routes.on("GET", "/stats", "stats.get", async (request) => ({
    status: 200,
    ...(await stats.all(formatOf(request.query), request.signal, (uid) => request.auth.allows(uid))),
  }));
  routes.on("GET", "/indexes/:indexUid/stats", "stats.get", async (request) => {
    const format = formatOf(request.query);
    return { status: 200, ...(await stats.index(parameter(request, "indexUid"), format, request.signal)) };
  });
}

function formatOf(query: string): StatsFormat {
  const given = readParameters(query, STATS_PARAMETERS);
  return {
    sizeFormat: given.sizeFormat ?? "raw",
    showInternalDatabaseSizes: given.showInternalDatabaseSizes ?? false,
  };
}
