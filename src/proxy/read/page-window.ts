import { findAtPath } from "../../json/member-path.js";
import type { IndexView } from "../topology/topology-view.js";
import { comparePlaces, type DocumentPlace, placeOf, type SortCriterion } from "./document-order.js";
import type { DocumentQuery } from "./document-query.js";

/** Standard deviations of a part's share that the first window allows for. */
const WINDOW_DEVIATIONS = 5;

/** A document's place, and its id as raw JSON. */
export interface PlacedId {
  readonly id: Buffer;
  readonly place: DocumentPlace;
}

/** What one part knows of its documents around the page. */
export interface PageWindow {
  /** Rank, inside of the part, of the first known document. */
  readonly start: number;
  readonly known: readonly PlacedId[];
  /** Whether the part has documents behind the known ones. */
  readonly hasMore: boolean;
}

/** Reads place and id of a document, as raw JSON. @throws JsonSyntaxError where it is no object */
export function placedId(document: Buffer, index: IndexView, criteria: readonly SortCriterion[]): PlacedId {
  const value = index.primaryKey === undefined ? undefined : findAtPath(document, index.primaryKey);
  const id = value === undefined ? Buffer.from("null") : document.subarray(value.start, value.end);
  return { id, place: placeOf(document, criteria) };
}

/**
 * Where, in a part with this share of all documents, the page is to be expected. Shards are hashes, so that a
 * part's rank of a document spreads around its share as draws do.
 */
export function windowBounds(
  query: DocumentQuery,
  share: number,
  widening: number,
): { start: number; count: number } {
  const spread = (rank: number): number =>
    Math.ceil(widening * WINDOW_DEVIATIONS * Math.sqrt(rank * share * (1 - share) + 1));
  const end = query.offset + query.limit;
  const start = Math.max(0, Math.floor(query.offset * share) - spread(query.offset));
  const last = Math.min(end, Math.ceil(end * share) + spread(end));
  return { start, count: last - start };
}

/**
 * The page's documents, or undefined where the windows do not show for certain which they are: a part whose known
 * documents are used up may have the next one, and a part of which none stands before the page may begin too late.
 */
export function pageWithin(
  windows: readonly PageWindow[],
  offset: number,
  limit: number,
  criteria: readonly SortCriterion[],
): readonly PlacedId[] | undefined {
  const at = windows.map(() => 0);
  let rank = windows.reduce((sum, window) => sum + window.start, 0);
  if (rank > offset) return undefined;
  const page: PlacedId[] = [];
  while (page.length < limit) {
    let next: { window: number; entry: PlacedId } | undefined;
    for (const [window, { known, hasMore }] of windows.entries()) {
      const entry = known[at[window] ?? 0];
      if (entry === undefined) {
        if (hasMore) return undefined;
        continue;
      }
      if (next === undefined || comparePlaces(entry.place, next.entry.place, criteria) < 0) {
        next = { window, entry };
      }
    }
    if (rank === offset && windows.some(({ start }, window) => start > 0 && at[window] === 0)) {
      return undefined;
    }
    if (next === undefined) return rank < offset && windows.some(({ start }) => start > 0) ? undefined : page;
    if (rank >= offset) page.push(next.entry);
    at[next.window] = (at[next.window] ?? 0) + 1;
    rank++;
  }
  return page;
}
