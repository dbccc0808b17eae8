import { currentIndex } from "../read/indexes.js";
import { SETTINGS_ROUTES } from "../read/settings-read.js";
import { checkedIndexUid } from "./api-errors.js";
import { parseJsonBody } from "./json-values.js";
import { readJsonBody } from "./request-body.js";
import {
  bodySource,
  parameter,
  type RouteMethod,
  type RouteRequest,
  type RouteTable,
} from "./route-table.js";
import type { RouteServices } from "./services.js";
import { writeRoute } from "./write-routing.js";

/** `/indexes/{uid}/settings` and its sub-routes. */
export function registerSettings(routes: RouteTable, services: RouteServices): void {
  const { topology, settings, writes, config, refusals } = services;

  /** A change's JSON; a node has found nothing wrong with it. */
  const readChange = async (request: RouteRequest, method: RouteMethod, path: string): Promise<unknown> => {
    const body = await readJsonBody(bodySource(request), config.maxBodyBytes);
    const value = parseJsonBody(body);
    const malformation = await refusals.malformation({ method, path, body, asAdmin: true }, request.signal);
    if (malformation !== undefined) throw malformation;
    return value;
  };
  const uidOf = (request: RouteRequest): string => checkedIndexUid(parameter(request, "indexUid"));

  const whole = "/indexes/:indexUid/settings";
  routes.on("GET", whole, async (request) => {
    const index = currentIndex(topology, uidOf(request));
    return { status: 200, body: JSON.stringify(await settings.settings(index, request.signal)) };
  });
  routes.on(
    "PATCH",
    whole,
    writeRoute(services, async (request) => {
      const body = await readChange(request, "PATCH", "/settings");
      return writes.updateSettings(uidOf(request), "all", "PATCH", body, request.signal);
    }),
  );
  routes.on(
    "DELETE",
    whole,
    writeRoute(services, async (request) =>
      writes.updateSettings(uidOf(request), "all", "DELETE", undefined, request.signal),
    ),
  );

  for (const [route, { update }] of SETTINGS_ROUTES) {
    const path = `${whole}/${route}`;
    routes.on("GET", path, async (request) => {
      const index = currentIndex(topology, uidOf(request));
      return { status: 200, body: JSON.stringify(await settings.member(index, route, request.signal)) };
    });
    routes.on(
      update,
      path,
      writeRoute(services, async (request) => {
        const value = await readChange(request, update, `/settings/${route}`);
        return writes.updateSettings(uidOf(request), route, update, value, request.signal);
      }),
    );
    routes.on(
      "DELETE",
      path,
      writeRoute(services, async (request) =>
        writes.updateSettings(uidOf(request), route, "DELETE", undefined, request.signal),
      ),
    );
  }
}
