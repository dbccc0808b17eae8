import type { Authentication } from "./authentication.js";
import { parseJsonBody } from "./json-values.js";
import { readJsonBody } from "./request-body.js";
import { bodySource, type RouteTable } from "./route-table.js";
import type { RouteServices } from "./services.js";

/** `POST /render-template`, which a key must be good for in two ways. */
export function registerRenderTemplate(
  routes: RouteTable,
  { render, config }: RouteServices,
  authentication: Authentication,
): void {
  routes.on("POST", "/render-template", "settings.get", async (request) => {
    authentication.authenticate(request.headers.authorization, "documents.get", undefined);
    const body = await readJsonBody(bodySource(request), config.maxBodyBytes);
    parseJsonBody(body);
    const allows = (uid: string): boolean => request.auth.allows(uid);
    return { status: 200, body: await render.render(body, allows, request.signal) };
  });
}
