import { withTenantFilter } from "../auth/tenant-filter.js";
import { insideQuery } from "../read/multi-search-errors.js";
import { type MultiSearchRequest, multiSearchRequestOf } from "../read/multi-search-query.js";
import { invalidKey } from "./authentication.js";
import { parseJsonBody } from "./json-values.js";
import { readJsonBody } from "./request-body.js";
import { bodySource, type RouteRequest, type RouteTable } from "./route-table.js";
import { wantsMetadata } from "./search.js";
import type { RouteServices } from "./services.js";
import { untilSettingsFloor } from "./settings-floor.js";

/** `POST /multi-search`, with and without federation. */
export function registerMultiSearch(routes: RouteTable, services: RouteServices): void {
  const { multiSearch, config } = services;
  routes.on("POST", "/multi-search", "search", async (request) => {
    const original = await readJsonBody(bodySource(request), config.maxBodyBytes);
    const asked = multiSearchRequestOf(parseJsonBody(original), original);
    const options = { original, includeMetadata: wantsMetadata(request) };
    await untilSettingsFloor(services, request, asked?.queries.map(({ indexUid }) => indexUid) ?? []);
    const answer = await multiSearch.search(asked && admitted(request, asked), options, request.signal);
    return { status: 200, ...answer };
  });
}

/**
 * The request as its key and tenant token allow it: the one place where queries are narrowed.
 *
 * @throws MeilisearchError where a query's index is out of reach
 */
function admitted({ auth }: RouteRequest, { queries, federation }: MultiSearchRequest): MultiSearchRequest {
  return {
    federation,
    queries: queries.map((query, position) => {
      if (!auth.allows(query.indexUid)) throw insideQuery(position, invalidKey());
      return { ...query, parameters: withTenantFilter(query.parameters, auth, query.indexUid) };
    }),
  };
}
