import type { RouteTable } from "./route-table.js";
import type { RouteServices } from "./services.js";

/** `POST /dumps` and `POST /snapshots`. As in Meilisearch, query and body are not looked at. */
export function registerBackups(routes: RouteTable, services: RouteServices): void {
  const { writes } = services;
  routes.on(
    "POST",
    "/dumps",
    "dumps.create",
    services.writeRouter.handle(() => writes.backUp("dump")),
  );
  routes.on(
    "POST",
    "/snapshots",
    "snapshots.create",
    services.writeRouter.handle(() => writes.backUp("snapshot")),
  );
}
