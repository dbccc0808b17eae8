import { DistinctValues, distinctKeys } from "./distinct.js";
import { compareHits, type Hit, type HitList } from "./hit.js";

/**
 * Merges lists that are each in order under `compare` into one, best first. Lazily: a list is read no
 * further than the consumer gets.
 *
 * @param compare a total order; {@link compareHits} by default
 */
export function* mergeHits(
  lists: readonly HitList[],
  compare: (a: Hit, b: Hit) => number = compareHits,
): Generator<Hit, void, undefined> {
  // Parts are few, so that looking at every head is as good as a heap.
  const heads = lists.map(() => 0);
  for (;;) {
    let best: Hit | undefined;
    let bestList = -1;
    for (let list = 0; list < lists.length; list++) {
      const head = lists[list]?.at(heads[list] ?? 0);
      if (head === undefined) continue;
      if (best === undefined || compare(head, best) < 0) {
        best = head;
        bestList = list;
      }
    }
    if (best === undefined) return;
    heads[bestList] = (heads[bestList] ?? 0) + 1;
    yield best;
  }
}

/** The hits up to a page's end, and the distinct values among them. */
export type RankedHits = { readonly hits: readonly Hit[]; readonly distinctValues: ReadonlySet<string> };

/**
 * The first `end` hits of an ordered sequence, each distinct value once.
 *
 * @param distinct the distinct attribute; null for none
 */
export function takeHits(ordered: Iterable<Hit>, end: number, distinct: string | null): RankedHits {
  const hits: Hit[] = [];
  const values = new DistinctValues();
  if (end > 0) {
    for (const hit of ordered) {
      if (distinct !== null && !values.keep(distinctKeys(hit, distinct))) continue;
      hits.push(hit);
      if (hits.length === end) break;
    }
  }
  return { hits, distinctValues: values.seen };
}
