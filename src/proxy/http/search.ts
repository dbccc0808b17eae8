import type { SearchParameters } from "../../merge/index.js";
import { withTenantFilter } from "../auth/tenant-filter.js";
import { searchParametersOf, searchParametersOfQuery } from "../read/search-query.js";
import { parseJsonBody } from "./json-values.js";
import { readJsonBody } from "./request-body.js";
import { bodySource, parameter, type RouteRequest, type RouteTable } from "./route-table.js";
import type { RouteServices } from "./services.js";

/** `GET` and `POST /indexes/{uid}/search`. */
export function registerSearch(routes: RouteTable, { search, config }: RouteServices): void {
  routes.on("POST", "/indexes/:indexUid/search", "search", async (request) => {
    const body = await readJsonBody(bodySource(request), config.maxBodyBytes);
    const parameters = searchParametersOf(parseJsonBody(body), body);
    const original = { method: "POST", path: "/search", body } as const;
    const includeMetadata = wantsMetadata(request);
    const answer = await search.search(
      parameter(request, "indexUid"),
      { parameters: narrowed(request, parameters), original, includeMetadata },
      request.readSignal,
    );
    return { status: 200, body: answer.body, headers: answer.headers };
  });

  routes.on("GET", "/indexes/:indexUid/search", "search", async (request) => {
    const parameters = searchParametersOfQuery(request.query);
    const original = {
      method: "GET",
      path: `/search${request.query === "" ? "" : `?${request.query}`}`,
    } as const;
    const includeMetadata = wantsMetadata(request);
    const answer = await search.search(
      parameter(request, "indexUid"),
      { parameters: narrowed(request, parameters), original, includeMetadata },
      request.readSignal,
    );
    return { status: 200, body: answer.body, headers: answer.headers };
  });
}

/** The search as the request's tenant token allows it. */
function narrowed(
  request: RouteRequest,
  parameters: SearchParameters | undefined,
): SearchParameters | undefined {
  if (parameters === undefined) return undefined;
  return withTenantFilter(parameters, request.auth, parameter(request, "indexUid"));
}

/** Whether the client asks for answers that say which index and query they are of. */
export function wantsMetadata({ headers }: RouteRequest): boolean {
  const value = headers["meili-include-metadata"];
  return typeof value === "string" && ["true", "1"].includes(value.toLowerCase());
}
