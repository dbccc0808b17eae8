import { timeOrderedUuid } from "../../runtime/uuid.js";
import { currentView } from "../read/indexes.js";
import { NETWORK_RESOURCE } from "../read/network-queries.js";
import { apiError } from "./api-errors.js";
import { listOf, mapOf, nullable, object, text } from "./body-schema.js";
import { requireFeature } from "./feature-gate.js";
import { parseJsonBody } from "./json-values.js";
import { mergeNetwork, type Network, type NetworkChange, NO_NETWORK } from "./network-merge.js";
import { nodeVerdict } from "./node-verdict.js";
import { readJsonBody } from "./request-body.js";
import { changeResource } from "./resource-change.js";
import { bodySource, type RouteTable } from "./route-table.js";
import type { RouteServices } from "./services.js";

const remotesMember = {
  read: nullable(
    mapOf(
      nullable(
        object(
          {
            url: { read: nullable(text), code: "invalid_network_url" },
            searchApiKey: { read: nullable(text), code: "invalid_network_search_api_key" },
            writeApiKey: { read: nullable(text), code: "invalid_network_write_api_key" },
          },
          { code: "invalid_network_remotes" },
        ),
      ),
    ),
  ),
  code: "invalid_network_remotes",
};
const owners = { read: nullable(listOf(text)), code: "invalid_network_remotes" };
const shardsMember = {
  read: nullable(
    mapOf(
      nullable(
        object(
          { remotes: owners, addRemotes: owners, removeRemotes: owners },
          { code: "invalid_network_shards" },
        ),
      ),
    ),
  ),
  code: "invalid_network_shards",
};

const readChange = object({
  remotes: remotesMember,
  shards: shardsMember,
  previousShards: shardsMember,
  self: { read: nullable(text), code: "invalid_network_self" },
  leader: { read: nullable(text), code: "invalid_network_leader" },
  previousRemotes: remotesMember,
});

/**
 * Meilisearch's experimental network, as the Community Edition has it: a description that clients read and write. It says nothing of
 * Miroir's own fleet, and no node is told of it.
 */
export function registerNetwork(routes: RouteTable, services: RouteServices): void {
  const { topology, config, world, refusals } = services;
  const held = (): string =>
    currentView(topology).resources.get(NETWORK_RESOURCE)?.json ?? JSON.stringify(NO_NETWORK);

  routes.on("GET", "/network", "network.get", async () => {
    requireFeature(topology, "network", "Using the /network route");
    return { status: 200, body: held() };
  });

  routes.on("PATCH", "/network", "network.update", async (request) => {
    const body = parseJsonBody(await readJsonBody(bodySource(request), config.maxBodyBytes));
    const change = readChange(body, "", "bad_request");
    requireFeature(topology, "network", "Using the /network route");
    refuseInternalMembers(change);
    await changeResource(
      services,
      NETWORK_RESOURCE,
      (json) => {
        const network = json === undefined ? NO_NETWORK : (JSON.parse(json) as Network);
        return JSON.stringify(mergeNetwork(network, change, timeOrderedUuid(world)));
      },
      request.signal,
    );
    return { status: 200, body: held() };
  });

  // The Community Edition never does what it is asked here, so that any node can say so.
  routes.on("POST", "/network/control", "network.update", async (request) => {
    const body = await readJsonBody(bodySource(request), config.maxBodyBytes);
    parseJsonBody(body);
    throw await nodeVerdict(refusals, { method: "POST", path: "/network/control", body }, request.signal);
  });
}

/** @throws MeilisearchError as the Community Edition refuses what only the paid one has */
function refuseInternalMembers({
  leader,
  previousRemotes,
}: NetworkChange & { previousRemotes?: unknown }): void {
  if (typeof leader === "string") {
    throw apiError(
      451,
      "requires_enterprise_edition",
      "Meilisearch Enterprise Edition is required to set `network.leader`",
    );
  }
  if (previousRemotes !== undefined) {
    throw apiError(
      400,
      "unexpected_network_previous_remotes",
      "Unexpected `previousRemotes` in network call.\n  - Note: `previousRemote` is reserved for internal use.",
    );
  }
}
