import { experimentalFeatures } from "../read/features.js";
import { currentView } from "../read/indexes.js";
import { asked, untilEpoch } from "./control-asks.js";
import { asObject, parseJsonBody, unknownField, wrongType } from "./json-values.js";
import { readJsonBody } from "./request-body.js";
import { bodySource, type RouteTable } from "./route-table.js";
import type { RouteServices } from "./services.js";

/** Meilisearch's experimental features, which are the same on every node. */
export function registerExperimentalFeatures(
  routes: RouteTable,
  { control, topology, config }: RouteServices,
): void {
  const print = (): string => {
    const enabled = currentView(topology).experimentalFeatures;
    return JSON.stringify(Object.fromEntries(experimentalFeatures.map((name) => [name, enabled.has(name)])));
  };

  routes.on("GET", "/experimental-features", "experimental.get", async () => ({
    status: 200,
    body: print(),
  }));

  routes.on("PATCH", "/experimental-features", "experimental.update", async (request) => {
    const body = parseJsonBody(await readJsonBody(bodySource(request), config.maxBodyBytes));
    const change = readChange(body);
    if (change.enable.length + change.disable.length > 0) {
      const answer = await asked(() => control.setFeatures(change, { signal: request.signal }));
      await untilEpoch(topology, answer.epoch, request.signal);
    }
    return { status: 200, body: print() };
  });
}

function readChange(body: unknown): { readonly enable: string[]; readonly disable: string[] } {
  const enable: string[] = [];
  const disable: string[] = [];
  for (const [name, value] of Object.entries(asObject(body))) {
    if (!experimentalFeatures.some((known) => known === name)) throw unknownField(name, experimentalFeatures);
    if (value === null) continue;
    if (typeof value !== "boolean") throw wrongType(`.${name}`, "a boolean", value, "bad_request");
    (value ? enable : disable).push(name);
  }
  return { enable, disable };
}
