import type { FacetCounts } from "./facets.js";
import type { Hit } from "./hit.js";
import type { PartAnswer } from "./part-answer.js";
import type { AskRole } from "./part-request.js";

/** A search merged over all parts: what its body is printed from. */
export type MergedSearch = {
  readonly page: readonly Hit[];
  /** Hits up to the page's end, those in front of it too; absent where no single order gives the page. */
  readonly ranked?: readonly Hit[];
  readonly total: number;
  /** The answers whose facets add up to the whole's; undefined where none were asked for. */
  readonly facets: MergedFacets | undefined;
  readonly semanticHitCount: number | undefined;
  /** Answers that carry members to pass on: the query as nodes print it, its vector, timings. */
  readonly answers: readonly PartAnswer[];
};

/** Facets over all parts, neither ordered nor cut; stats as JSON text. */
export type SummedFacets = { readonly distribution: Map<string, FacetCounts>; readonly stats: string };

/** Facets with the ask whose answers they were summed from. */
export type MergedFacets = SummedFacets & { readonly source: AskRole };
