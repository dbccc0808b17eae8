import type { RouteTable } from "./route-table.js";
import type { RouteServices } from "./services.js";

/** Health, readiness and metrics of the proxy itself; open, for load balancers and scrapers. */
export function registerAdmin(
  routes: RouteTable,
  { topology, lease, metrics, isStopping }: RouteServices,
): void {
  routes.on("GET", "/_miroir/health", "open", async () => ({ status: 200, body: '{"status":"available"}' }));
  routes.on("GET", "/_miroir/ready", "open", async () => {
    const view = topology.current();
    const state = isStopping() ? "stopping" : view === undefined ? "no_topology" : "ready";
    const { kind } = lease.state();
    const epoch =
      view === undefined ? null : { term: Number(view.epoch.term), counter: Number(view.epoch.counter) };
    return {
      status: state === "ready" ? 200 : 503,
      body: JSON.stringify({ status: state, epoch, writes: kind }),
    };
  });
  routes.on("GET", "/_miroir/metrics", "open", async () => ({
    status: 200,
    body: await metrics.registry.metrics(),
    contentType: metrics.registry.contentType,
  }));
}
