import { printBytes } from "../../meilisearch/byte-size.js";
import { ControlRefusedError } from "../control-transport.js";
import { checkedIndexUid } from "./api-errors.js";
import { asked } from "./control-asks.js";
import { requireFeature } from "./feature-gate.js";
import { parameter, type RouteTable } from "./route-table.js";
import type { RouteServices } from "./services.js";

/** Longer than the largest store that is compacted takes. Milliseconds. */
const STORE_TIMEOUT_MS = 30_000;

/** Giving unused space back: of an index on its nodes, and of Miroir's own tasks. */
export function registerCompaction(routes: RouteTable, services: RouteServices): void {
  const { writes, control, topology } = services;
  routes.on(
    "POST",
    "/indexes/:indexUid/compact",
    "indexes.compact",
    services.writeRouter.handle(async (request) =>
      writes.compactIndex(checkedIndexUid(parameter(request, "indexUid"))),
    ),
  );

  routes.on("POST", "/tasks/compact", "tasks.compact", async (request) => {
    requireFeature(topology, "taskQueueCompactionRoute", "Using the /tasks/compact route");
    let refused: string | undefined;
    const answer = await asked(() =>
      control.compactTaskStore({}, { timeoutMs: STORE_TIMEOUT_MS, signal: request.signal }),
    ).catch((error: unknown) => {
      if (!(error instanceof ControlRefusedError) || error.code !== "failed_precondition") throw error;
      refused = error.message;
      return undefined;
    });
    if (answer === undefined) {
      return { status: 500, body: JSON.stringify({ status: "failed", errorMessage: refused }) };
    }
    return {
      status: 200,
      body: JSON.stringify({
        preSize: printBytes(Number(answer.bytesBefore)),
        postSize: printBytes(Number(answer.bytesAfter)),
        status: "succeeded",
      }),
    };
  });
}
