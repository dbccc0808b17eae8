import { distinctKeys } from "./distinct.js";
import type { Hit } from "./hit.js";
import type { FacetOrder } from "./search-parameters.js";
import { compareUtf8, normalizeFacet } from "./text-order.js";

/** A value of the facet that is searched, and how many documents have it. */
export type FacetHit = { readonly value: string; readonly count: number };

/** How the values that a facet search found are ordered and cut. */
export type FacetHitOrder = {
  readonly order: FacetOrder;
  /** `maxValuesPerFacet`. */
  readonly max: number;
  /** Whether there was a `facetQuery`: nodes then walk another index of the values, in another order. */
  readonly byQuery: boolean;
};

/**
 * The values that one node with all documents would find, from what the parts found.
 *
 * In alphabetical order the result is exact though parts cut their lists: all order by the same key, so that a value
 * among the first `max` of all has fewer than `max` values before it in each part that has it, and no such part cut it.
 * In order of counts it is exact where the counts are, see {@link exactFacetCounts}.
 *
 * @param lists each part's values in the order in which it gave them
 */
export function mergeFacetHits(
  lists: readonly (readonly FacetHit[])[],
  { order, max, byQuery }: FacetHitOrder,
): FacetHit[] {
  const sums = sumHits(lists);
  if (order === "alpha") return inPartsOrder(lists, sums, byQuery).slice(0, max);
  const walked = [...sums.values()].sort((a, b) => compareWalk(a.key, b.key, byQuery));
  return mostFrequent(
    walked.map(({ hit }) => hit),
    max,
  );
}

/**
 * The values that parts found, counted anew over the documents that are left of all under a distinct attribute: in the
 * parts' lists, with a value's whole count where it comes first.
 *
 * @param hits all of these documents, with the facet's attribute
 */
export function recountedLists(
  lists: readonly (readonly FacetHit[])[],
  facetName: string,
  hits: readonly Hit[],
): FacetHit[][] {
  const counts = new Map<string, number>();
  for (const hit of hits) {
    for (const key of new Set(distinctKeys(hit, facetName))) counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const counted = new Set<string>();
  return lists.map((list) =>
    list.flatMap(({ value }) => {
      const key = `s${normalizeFacet(value)}`;
      const count = counts.get(key);
      if (count === undefined) return [];
      if (counted.has(key)) return [{ value, count: 0 }];
      counted.add(key);
      return [{ value, count }];
    }),
  );
}

type Summed = { readonly key: WalkKey; readonly hit: FacetHit };

function sumHits(lists: readonly (readonly FacetHit[])[]): Map<string, Summed> {
  const sums = new Map<string, Summed>();
  for (const { value, count } of lists.flat()) {
    const normalized = normalizeFacet(value);
    const known = sums.get(normalized);
    sums.set(
      normalized,
      known === undefined
        ? { key: walkKey(normalized), hit: { value, count } }
        : { ...known, hit: { ...known.hit, count: known.hit.count + count } },
    );
  }
  return sums;
}

/**
 * Merges lists head by head. A sort would do, were it not for scripts whose values nodes order by a form that is not
 * known here: within a part their order is kept at least.
 */
function inPartsOrder(
  lists: readonly (readonly FacetHit[])[],
  sums: ReadonlyMap<string, Summed>,
  byQuery: boolean,
): FacetHit[] {
  const queues = lists.map((list) => list.flatMap(({ value }) => sums.get(normalizeFacet(value)) ?? []));
  const heads = queues.map(() => 0);
  const merged = new Set<Summed>();
  for (;;) {
    let best: Summed | undefined;
    queues.forEach((queue, at) => {
      let head = queue[heads[at] ?? 0];
      while (head !== undefined && merged.has(head)) {
        heads[at] = (heads[at] ?? 0) + 1;
        head = queue[heads[at] ?? 0];
      }
      if (head === undefined) return;
      if (best === undefined || compareWalk(head.key, best.key, byQuery) < 0) best = head;
    });
    if (best === undefined) return [...merged].map(({ hit }) => hit);
    merged.add(best);
  }
}

/** What a node's walk over the values of a facet is ordered by. */
type WalkKey = { readonly normalized: string; readonly searched: string };

function walkKey(normalized: string): WalkKey {
  return { normalized, searched: searchedForm(normalized) };
}

function compareWalk(a: WalkKey, b: WalkKey, byQuery: boolean): number {
  return (byQuery ? compareUtf8(a.searched, b.searched) : 0) || compareUtf8(a.normalized, b.normalized);
}

const ASCII = /^[\x20-\x7e]*$/;
const LOSES_MARKS = /[\p{Script=Latin}\p{Script=Greek}\p{Script=Hebrew}\p{Script=Thai}\p{Script=Arabic}]/gu;

/** The form under which values are found by a query: without accents, and with letters such as `æ` spelt out. */
function searchedForm(normalized: string): string {
  if (ASCII.test(normalized)) return normalized;
  const letters = normalized.match(/\p{L}/gu)?.length ?? 0;
  const losing = normalized.match(LOSES_MARKS)?.length ?? 0;
  if (losing * 2 < letters) return normalized;
  return normalized
    .replace(/\p{Mn}/gu, "")
    .replace(/[’‘‛]/g, "'")
    .replace(/œ/g, "oe")
    .replace(/æ/g, "ae")
    .replace(/[đð]/g, "d")
    .replace(/ς/g, "σ");
}

/**
 * The `max` values with most documents as a node keeps them while it walks: once it has enough, a value that is at
 * least as frequent as the least takes its place, so that among equals the last walked stay. Given most frequent first,
 * equals by their labels in descending order.
 */
export function mostFrequent(walked: readonly FacetHit[], max: number): FacetHit[] {
  const heap: FacetHit[] = [];
  for (const hit of walked) {
    if (heap.length < max) {
      heap.push(hit);
      siftUp(heap);
    } else if (heap[0] !== undefined && heap[0].count <= hit.count) {
      heap[0] = hit;
      siftDown(heap);
    }
  }
  return heap.sort((a, b) => compareFrequency(b, a));
}

function compareFrequency(a: FacetHit, b: FacetHit): number {
  return a.count - b.count || compareUtf8(a.value, b.value);
}

/** Restores the order of a heap, least first, after its last element changed. */
function siftUp(heap: FacetHit[]): void {
  let at = heap.length - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!swapIfLess(heap, at, parent)) return;
    at = parent;
  }
}

/** Restores the order of a heap, least first, after its first element changed. */
function siftDown(heap: FacetHit[]): void {
  let at = 0;
  for (;;) {
    let least = 2 * at + 1;
    const [left, right] = [heap[least], heap[least + 1]];
    if (left === undefined) return;
    if (right !== undefined && compareFrequency(right, left) < 0) least++;
    if (!swapIfLess(heap, least, at)) return;
    at = least;
  }
}

function swapIfLess(heap: FacetHit[], child: number, parent: number): boolean {
  const [low, high] = [heap[child], heap[parent]];
  if (low === undefined || high === undefined || compareFrequency(low, high) >= 0) return false;
  heap[child] = high;
  heap[parent] = low;
  return true;
}
