import { withTenantFilter } from "../auth/tenant-filter.js";
import type { FacetSearchParameters } from "../read/facet-search.js";
import { parseJsonBody } from "./json-values.js";
import { readJsonBody } from "./request-body.js";
import { bodySource, parameter, type RouteTable } from "./route-table.js";
import type { RouteServices } from "./services.js";

/** `POST /indexes/{uid}/facet-search`. */
export function registerFacetSearch(routes: RouteTable, { facetSearch, config }: RouteServices): void {
  routes.on("POST", "/indexes/:indexUid/facet-search", "search", async (request) => {
    const body = await readJsonBody(bodySource(request), config.maxBodyBytes);
    const parameters = facetSearchParametersOf(parseJsonBody(body));
    const indexUid = parameter(request, "indexUid");
    const narrowed =
      parameters === undefined
        ? undefined
        : (withTenantFilter(parameters, request.auth, indexUid) as FacetSearchParameters);
    const original = { method: "POST", path: "/facet-search", body } as const;
    const answer = await facetSearch.search(indexUid, narrowed, original, request.signal);
    return { status: 200, ...answer };
  });
}

/**
 * The parameters of a facet search's body, or undefined where a member that Miroir reads is not of its type. Members that
 * Meilisearch does not know are let through: it ignores them here, so that bodies of searches can be sent.
 */
function facetSearchParametersOf(body: unknown): FacetSearchParameters | undefined {
  if (typeof body !== "object" || body === null || Array.isArray(body)) return undefined;
  const members = body as Readonly<Record<string, unknown>>;
  if (typeof members.facetName !== "string") return undefined;
  const isSound = Object.entries(OPTIONAL).every(
    ([name, accepts]) => members[name] === undefined || members[name] === null || accepts(members[name]),
  );
  return isSound ? (body as FacetSearchParameters) : undefined;
}

const OPTIONAL: Readonly<Record<string, (value: unknown) => boolean>> = {
  facetQuery: (value) => typeof value === "string",
  q: (value) => typeof value === "string",
  attributesToSearchOn: (value) => Array.isArray(value) && value.every((name) => typeof name === "string"),
  rankingScoreThreshold: (value) => typeof value === "number",
  exhaustiveFacetCount: (value) => typeof value === "boolean",
};
