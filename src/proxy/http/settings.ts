import { settingsHeaders } from "../read/degradation.js";
import { currentIndex } from "../read/indexes.js";
import { SETTINGS_ROUTES } from "../read/settings-read.js";
import type { SettingsMethod, SettingsRoute, SettingsWrite } from "../write/types.js";
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
  const changeOf = (
    request: RouteRequest,
    route: SettingsRoute,
    method: SettingsMethod,
    body?: unknown,
  ): SettingsWrite => {
    const indexUid = uidOf(request);
    return { indexUid, route, method, body, mayCreateIndex: request.auth.allowsCreating(indexUid) };
  };

  const whole = "/indexes/:indexUid/settings";
  routes.on("GET", whole, "settings.get", async (request) => {
    const index = currentIndex(topology, uidOf(request));
    const body = JSON.stringify(await settings.settings(index, request.signal));
    return { status: 200, body, headers: settingsHeaders(index) };
  });
  routes.on(
    "PATCH",
    whole,
    "settings.update",
    services.writeRouter.handle(async (request) => {
      const body = await readChange(request, "PATCH", "/settings");
      return writes.updateSettings(changeOf(request, "all", "PATCH", body), request.signal);
    }),
  );
  routes.on(
    "DELETE",
    whole,
    "settings.update",
    services.writeRouter.handle(async (request) =>
      writes.updateSettings(changeOf(request, "all", "DELETE"), request.signal),
    ),
  );

  for (const [route, { update }] of SETTINGS_ROUTES) {
    const path = `${whole}/${route}`;
    routes.on("GET", path, "settings.get", async (request) => {
      const index = currentIndex(topology, uidOf(request));
      const body = JSON.stringify(await settings.member(index, route, request.signal));
      return { status: 200, body, headers: settingsHeaders(index) };
    });
    routes.on(
      update,
      path,
      "settings.update",
      services.writeRouter.handle(async (request) => {
        const value = await readChange(request, update, `/settings/${route}`);
        return writes.updateSettings(changeOf(request, route, update, value), request.signal);
      }),
    );
    routes.on(
      "DELETE",
      path,
      "settings.update",
      services.writeRouter.handle(async (request) =>
        writes.updateSettings(changeOf(request, route, "DELETE"), request.signal),
      ),
    );
  }
}
