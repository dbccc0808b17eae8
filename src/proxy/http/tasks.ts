import { printTask } from "../../tasks/print-task.js";
import type { AuthFilter } from "../auth/auth-filter.js";
import { getBatch, listBatches } from "../read/batches.js";
import { TaskLookups } from "../read/task-lookups.js";
import {
  getTask,
  listTasks,
  readTaskSelection,
  selectionRequest,
  type TaskVisibility,
} from "../read/tasks.js";
import type { TopologySource } from "../topology/topology-view.js";
import { requireFeature } from "./feature-gate.js";
import { parameter, type RouteRequest, type RouteTable } from "./route-table.js";
import type { RouteServices } from "./services.js";

/** Miroir's own tasks and the batches that they are, under Meilisearch's routes. */
export function registerTasks(routes: RouteTable, services: RouteServices): void {
  const { control, writes, topology, taskDocuments } = services;
  const lookups = new TaskLookups(control);
  const taskOf = (request: RouteRequest) =>
    getTask(
      lookups,
      parameter(request, "taskUid"),
      request.signal,
      (uid) => writes.unregisteredTask(uid),
      visibleTo(request.auth, topology),
    );
  const removal = (kind: "delete" | "cancel") =>
    services.writeRouter.handle(async ({ query, auth }) =>
      writes.removeTasks({
        kind,
        matching: selectionRequest(readTaskSelection(query, kind, visibleTo(auth, topology))),
        originalFilter: `?${query}`,
      }),
    );
  routes.on("DELETE", "/tasks", "tasks.delete", removal("delete"));
  routes.on("POST", "/tasks/cancel", "tasks.cancel", removal("cancel"));
  routes.on("GET", "/tasks", "tasks.get", async (request) => ({
    status: 200,
    body: await listTasks(control, request.query, request.signal, visibleTo(request.auth, topology)),
  }));
  routes.on("GET", "/tasks/:taskUid", "tasks.get", async (request) => ({
    status: 200,
    body: printTask(await taskOf(request)),
  }));
  routes.on("GET", "/tasks/:taskUid/documents", "tasks.get", async (request) => {
    requireFeature(topology, "getTaskDocumentsRoute", "Getting the documents of an enqueued task");
    const body = await taskDocuments(await taskOf(request), request.signal);
    return { status: 200, body, contentType: "application/x-ndjson" };
  });
  routes.on("GET", "/batches", "tasks.get", async (request) => ({
    status: 200,
    body: await listBatches(control, request.query, request.signal, visibleTo(request.auth, topology)),
  }));
  routes.on("GET", "/batches/:batchUid", "tasks.get", async (request) => ({
    status: 200,
    body: await getBatch(
      lookups,
      parameter(request, "batchUid"),
      request.signal,
      (uid) => writes.unregisteredTask(uid),
      visibleTo(request.auth, topology),
    ),
  }));
}

/** The indexes whose tasks a key may see: those that it names, and those of the catalogue that its patterns name. */
function visibleTo(auth: AuthFilter, topology: TopologySource): TaskVisibility {
  if (auth.allIndexes) return { kind: "all" };
  const catalogue = [...(topology.current()?.indexes.keys() ?? [])];
  const named = [...auth.keyIndexes, ...catalogue].filter((uid) => !uid.endsWith("*") && auth.allows(uid));
  return { kind: "some", indexUids: [...new Set(named)], shows: (uid) => auth.allows(uid) };
}
