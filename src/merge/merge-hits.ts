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
  const heads: Head[] = [];
  for (const list of lists) putInOrder(heads, list, 0, compare);
  for (let best = heads.shift(); best !== undefined; best = heads.shift()) {
    yield best.hit;
    putInOrder(heads, best.list, best.at + 1, compare);
  }
}

/** The next hit of a list. */
type Head = { readonly list: HitList; readonly at: number; readonly hit: Hit };

/** Heads stay in their order, so that one that takes the place of another meets as few of them as possible. */
function putInOrder(heads: Head[], list: HitList, at: number, compare: (a: Hit, b: Hit) => number): void {
  const hit = list.at(at);
  if (hit === undefined) return;
  let low = 0;
  let high = heads.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compare((heads[middle] as Head).hit, hit) < 0) low = middle + 1;
    else high = middle;
  }
  // Moved one by one: `splice` makes an array for what it takes out, which is nothing.
  for (let place = heads.length; place > low; place--) heads[place] = heads[place - 1] as Head;
  heads[low] = { list, at, hit };
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
