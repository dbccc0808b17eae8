import type { JsonValue, SearchParameters } from "../../merge/index.js";
import type { AuthFilter } from "./auth-filter.js";

/**
 * A client's search narrowed to what its tenant token allows: the token's filter becomes further elements of the
 * top-level array, which is an AND, so that no expression of the client's can reach outside of its own.
 */
export function withTenantFilter(
  parameters: SearchParameters,
  auth: AuthFilter,
  indexUid: string,
): SearchParameters {
  const rule = auth.searchRules(indexUid)?.filter as JsonValue | undefined;
  if (rule === undefined || rule === null) return parameters;
  const { filter } = parameters;
  if (filter === undefined || filter === null) return { ...parameters, filter: rule };
  return { ...parameters, filter: [...elements(filter), ...elements(rule)] };
}

function elements(filter: JsonValue): readonly JsonValue[] {
  return Array.isArray(filter) ? (filter as readonly JsonValue[]) : [filter];
}
