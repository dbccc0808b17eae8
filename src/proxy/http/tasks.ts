import { getTask, listTasks } from "../read/tasks.js";
import { parameter, type RouteTable } from "./route-table.js";
import type { RouteServices } from "./services.js";

/** Miroir's own tasks, under Meilisearch's routes. */
export function registerTasks(routes: RouteTable, { control, writes }: RouteServices): void {
  routes.on("GET", "/tasks", async (request) => ({
    status: 200,
    body: await listTasks(control, request.query, request.signal),
  }));
  routes.on("GET", "/tasks/:taskUid", async (request) => ({
    status: 200,
    body: await getTask(control, parameter(request, "taskUid"), request.signal, (uid) =>
      writes.unregisteredTask(uid),
    ),
  }));
}
