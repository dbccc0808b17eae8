import { searchParametersOf, searchParametersOfQuery } from "../read/search-query.js";
import { parseJsonBody } from "./json-values.js";
import { readJsonBody } from "./request-body.js";
import { bodySource, parameter, type RouteRequest, type RouteTable } from "./route-table.js";
import type { RouteServices } from "./services.js";

/** `GET` and `POST /indexes/{uid}/search`. */
export function registerSearch(routes: RouteTable, { search, config }: RouteServices): void {
  routes.on("POST", "/indexes/:indexUid/search", async (request) => {
    const body = await readJsonBody(bodySource(request), config.maxBodyBytes);
    const parameters = searchParametersOf(parseJsonBody(body), body);
    const original = { method: "POST", path: "/search", body } as const;
    const includeMetadata = wantsMetadata(request);
    const answer = await search.search(
      parameter(request, "indexUid"),
      { parameters, original, includeMetadata },
      request.signal,
    );
    return { status: 200, ...answer };
  });

  routes.on("GET", "/indexes/:indexUid/search", async (request) => {
    const parameters = searchParametersOfQuery(request.query);
    const original = {
      method: "GET",
      path: `/search${request.query === "" ? "" : `?${request.query}`}`,
    } as const;
    const includeMetadata = wantsMetadata(request);
    const answer = await search.search(
      parameter(request, "indexUid"),
      { parameters, original, includeMetadata },
      request.signal,
    );
    return { status: 200, ...answer };
  });
}

function wantsMetadata({ headers }: RouteRequest): boolean {
  const value = headers["meili-include-metadata"];
  return typeof value === "string" && ["true", "1"].includes(value.toLowerCase());
}
