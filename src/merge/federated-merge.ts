import { compareSortValues } from "./compare.js";
import { DistinctValues, distinctKeys } from "./distinct.js";
import { type Hit, sequenceOf } from "./hit.js";
import { RuleRanks } from "./rule-ranks.js";
import { globalScoreOf, type Segment, type SortRule, segmentsOf } from "./score-segments.js";

/** The hits of one query of a federated search, best first, up to the federation's page end. */
export type QueryHits = {
  /** Place of the query in the request. */
  readonly position: number;
  readonly weight: number;
  readonly hits: readonly Hit[];
};

/** A hit with what it is compared by across queries. */
export type FederatedHit = {
  readonly hit: Hit;
  /** Place of its query in the request. */
  readonly position: number;
  /** Weighted scores and sort rules, in the order of the rules. */
  readonly segments: readonly Segment[];
  /** `weightedRankingScore`. */
  readonly score: number;
};

/** The queries of one index made one list. */
export type MergedIndex = {
  readonly hits: readonly FederatedHit[];
  /** Hits that were left out for their distinct value, in front of the last that was kept. */
  readonly rejected: readonly Hit[];
};

/**
 * Merges the queries of one index as Meilisearch does: by weighted scores, each document where it comes up first, each value
 * of the federation's distinct attribute once.
 *
 * @param end how many hits are wanted
 * @param distinct the federation's distinct attribute; null for none
 */
export function mergeQueries(
  queries: readonly QueryHits[],
  end: number,
  distinct: string | null,
): MergedIndex {
  const documents = new Set<string>();
  const values = new DistinctValues();
  const hits: FederatedHit[] = [];
  const rejected: Hit[] = [];
  if (end === 0) return { hits, rejected };
  for (const found of mergeLists(queries.map(federatedHits))) {
    const document = identityOf(found.hit);
    if (documents.has(document)) continue;
    documents.add(document);
    if (distinct !== null && !values.keep(distinctKeys(found.hit, distinct))) {
      rejected.push(found.hit);
      continue;
    }
    hits.push(found);
    if (hits.length === end) break;
  }
  return { hits, rejected };
}

/** A page of hits of several indexes. */
export type FederatedPage = {
  readonly hits: readonly (FederatedHit & { readonly index: number })[];
  /** By index: hits that another index's hit with the same distinct value displaced, on the page or not. */
  readonly rejected: readonly (readonly Hit[])[];
};

/**
 * Merges the lists of all indexes, in the order in which Meilisearch walks them.
 *
 * @param skip hits in front of the page
 * @param take hits on the page
 * @param distinct the federation's distinct attribute; null for none
 */
export function mergeIndexes(
  indexes: readonly MergedIndex[],
  skip: number,
  take: number,
  distinct: string | null,
): FederatedPage {
  const lists = indexes.map(({ hits }, index) => hits.map((hit) => ({ ...hit, index })));
  const rejected: Hit[][] = indexes.map(() => []);
  const values = new DistinctValues();
  const hits: (FederatedHit & { index: number })[] = [];
  let kept = 0;
  for (const found of mergeLists(lists)) {
    if (distinct !== null && !values.keep(distinctKeys(found.hit, distinct))) {
      rejected[found.index]?.push(found.hit);
      continue;
    }
    kept++;
    if (kept > skip && hits.length < take) hits.push(found);
    // Behind the page only documents to leave out are looked for.
    else if (hits.length >= take && distinct === null) break;
  }
  return { hits, rejected };
}

/**
 * Orders hits of different queries. Ties go to the query that stands first in the request.
 *
 * Each list is in its own order already, so that this says only which list's next hit comes first. By distance the farther one
 * does, in either direction: that is what Meilisearch does.
 *
 * @returns a negative number where `a` comes first
 */
export function compareFederated(a: FederatedHit, b: FederatedHit): number {
  return compareSegments(a, b) || a.position - b.position;
}

function compareSegments(a: FederatedHit, b: FederatedHit): number {
  for (let i = 0; ; i++) {
    const left = a.segments[i];
    const right = b.segments[i];
    if (left === undefined || right === undefined) {
      return (left === undefined ? 1 : 0) - (right === undefined ? 1 : 0);
    }
    const order = compareSegment(left, right);
    if (order === undefined) {
      // They cannot be compared: whoever has more rules left goes first, else the score alone decides.
      return b.segments.length - a.segments.length || b.score - a.score;
    }
    if (order !== 0) return order;
  }
}

/** Undefined where the two say nothing of each other. */
function compareSegment(a: Segment, b: Segment): number | undefined {
  if ("score" in a || "score" in b) {
    return "score" in a && "score" in b ? descending(a.score, b.score) : undefined;
  }
  return compareSortRules(a.rule, b.rule);
}

function compareSortRules(a: SortRule, b: SortRule): number | undefined {
  if (a.ascending !== b.ascending) return undefined;
  if (a.kind === "sort" && b.kind === "sort") return compareSortValues(a.value, b.value, a.ascending);
  if (a.kind !== "geo" || b.kind !== "geo") return undefined;
  if (a.distance === null || b.distance === null) {
    return (a.distance === null ? 1 : 0) - (b.distance === null ? 1 : 0);
  }
  return descending(a.distance, b.distance);
}

const EPSILON = 2 ** -52;

function descending(a: number, b: number): number {
  return Math.abs(a - b) <= EPSILON ? 0 : b - a;
}

function federatedHits({ hits, position, weight }: QueryHits): FederatedHit[] {
  const ranks = new RuleRanks(hits);
  return hits.map((hit) => ({
    hit,
    position,
    segments: segmentsOf(hit, ranks).map((segment) =>
      "score" in segment ? { score: segment.score * weight } : segment,
    ),
    score: globalScoreOf(hit, ranks) * weight,
  }));
}

/** Takes, again and again, the first of the lists' next hits. */
function* mergeLists<T extends FederatedHit>(
  lists: readonly (readonly T[])[],
): Generator<T, void, undefined> {
  const heads = lists.map(() => 0);
  for (;;) {
    let best: T | undefined;
    let bestList = -1;
    for (const [list, hits] of lists.entries()) {
      const head = hits[heads[list] ?? 0];
      if (head !== undefined && (best === undefined || compareFederated(head, best) < 0)) {
        best = head;
        bestList = list;
      }
    }
    if (best === undefined) return;
    heads[bestList] = (heads[bestList] ?? 0) + 1;
    yield best;
  }
}

/** Names a document within its index. */
export function identityOf(hit: Hit): string {
  return sequenceOf(hit) ?? `${hit.part}/${hit.position}`;
}
