import type { IncomingHttpHeaders } from "node:http";
import type { MeilisearchError } from "../../meilisearch/errors.js";
import { waitForTopology } from "../topology/bounded-wait.js";
import type { TopologyView } from "../topology/topology-view.js";
import { apiError } from "./api-errors.js";
import type { RouteRequest, RouteTable } from "./route-table.js";
import type { RouteServices } from "./services.js";

const HEADER = "x-miroir-min-settings-version";

/** Versions are 64-bit numbers. */
const MAX_VERSION = 2n ** 64n - 1n;

/** What a settings floor is judged by. */
export type SettingsFloorServices = Pick<RouteServices, "topology" | "world" | "config">;

/**
 * Resolves once the committed settings of every index are at least as new as the request asks for in
 * `X-Miroir-Min-Settings-Version`; at once without the header. A committed version is in force on every replica that is
 * read, so only this proxy's own topology can be behind. Indexes that it does not know are left to the read itself.
 *
 * @throws MeilisearchError 400 for a header that is no version; 503 `miroir_settings_version_stale` where the version
 *   did not arrive within {@link SettingsFloorServices.config}'s `settingsFloorWaitMs`
 */
export async function untilSettingsFloor(
  services: SettingsFloorServices,
  { headers, signal }: Pick<RouteRequest, "headers" | "signal">,
  indexUids: readonly string[],
): Promise<void> {
  const floor = settingsFloorOf(headers);
  if (floor === undefined) return;
  const { topology, config } = services;
  const behind = (view: TopologyView | undefined) => indexUids.find((uid) => isBehind(view, uid, floor));
  if (behind(topology.current()) === undefined) return;
  try {
    const limits = { timeoutMs: config.settingsFloorWaitMs, signal };
    await waitForTopology(services, (view) => behind(view) === undefined, limits);
  } catch {
    signal.throwIfAborted();
    throwIfStale(topology.current(), indexUids, floor);
  }
}

/**
 * Routes whose reads of `/indexes/:indexUid/…` wait for the settings floor. `isRead` says which of the methods read;
 * all unless given.
 */
export function withSettingsFloor(
  routes: RouteTable,
  services: SettingsFloorServices,
  isRead: (method: string) => boolean = () => true,
): RouteTable {
  return {
    on(method, path, access, handler) {
      if (!isRead(method) || !path.includes("/:indexUid")) {
        routes.on(method, path, access, handler);
        return;
      }
      routes.on(method, path, access, (request) => {
        if (request.headers[HEADER] === undefined) return handler(request);
        const indexUids = [request.params.indexUid ?? ""];
        return untilSettingsFloor(services, request, indexUids).then(() => handler(request));
      });
    },
  };
}

function settingsFloorOf(headers: IncomingHttpHeaders): bigint | undefined {
  const value = headers[HEADER];
  if (value === undefined) return undefined;
  const text = String(value).trim();
  const version = /^\d{1,20}$/.test(text) ? BigInt(text) : undefined;
  if (version === undefined || version > MAX_VERSION) {
    throw apiError(
      400,
      "bad_request",
      `Invalid value in header \`X-Miroir-Min-Settings-Version\`: expected a settings version, a whole number, but found \`${text}\`.`,
    );
  }
  return version;
}

/** An index that the proxy does not know is behind as well: it may have been made a moment ago. */
function isBehind(view: TopologyView | undefined, uid: string, floor: bigint): boolean {
  const index = view?.indexes.get(uid);
  return index === undefined || index.settingsVersion < floor;
}

/** What an unknown index gets is the read's to say. */
function throwIfStale(view: TopologyView | undefined, indexUids: readonly string[], floor: bigint): void {
  for (const uid of indexUids) {
    const version = view?.indexes.get(uid)?.settingsVersion;
    if (version !== undefined && version < floor) throw settingsVersionStale(uid, version, floor);
  }
}

function settingsVersionStale(uid: string, version: bigint, floor: bigint): MeilisearchError {
  return apiError(
    503,
    "miroir_settings_version_stale",
    `Index \`${uid}\`: the settings in force are version ${version}, and the request asks for version ${floor} at least. Repeat it after a moment.`,
    "system",
    { retryAfterSeconds: 1 },
  );
}
