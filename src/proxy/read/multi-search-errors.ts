import { MeilisearchError } from "../../meilisearch/errors.js";
import { apiError } from "../http/api-errors.js";

/** An error of one query of a multi-search, as Meilisearch tells of it; errors of Miroir's own state stay as they are. */
export function insideQuery(position: number, error: unknown): unknown {
  if (!(error instanceof MeilisearchError) || error.status >= 500) return error;
  const { body, cause } = error;
  const message = `Inside \`.queries[${position}]\`: ${body.message}`;
  // The index stands in the body, so that it is not the resource that was not found.
  const status = body.code === "index_not_found" ? 400 : error.status;
  return new MeilisearchError(status, { ...body, message }, { cause });
}

/** An error about the facets of one index of a federation. */
export function insideFacets(indexUid: string, error: MeilisearchError, isUsed: boolean): MeilisearchError {
  const note = isUsed ? "" : `\n - Note: index \`${indexUid}\` is not used in queries`;
  const message = `Inside \`.federation.facetsByIndex.${indexUid}\`: ${error.body.message}${note}`;
  return new MeilisearchError(400, { ...error.body, message });
}

/** 400: merged facets of one attribute come in one order, and indexes that differ cannot agree on it. */
export function inconsistentFacetOrder(
  facet: string,
  before: { readonly indexUid: string; readonly order: "alpha" | "count" },
  now: { readonly indexUid: string; readonly order: "alpha" | "count" },
): MeilisearchError {
  const shown = { alpha: "alphabetically", count: "by count" };
  return apiError(
    400,
    "invalid_multi_search_facet_order",
    `Inconsistent order for values in facet \`${facet}\`: index \`${before.indexUid}\` orders ${shown[before.order]}, but index \`${now.indexUid}\` orders ${shown[now.order]}.\n - Hint: Remove \`federation.mergeFacets\` or change \`faceting.sortFacetValuesBy\` to be consistent in settings.`,
  );
}
