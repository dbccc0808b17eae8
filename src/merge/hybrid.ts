import { compareRule } from "./compare.js";
import { DistinctValues, distinctKeys } from "./distinct.js";
import { type Hit, memberText, rankingScoreOf, sequenceOf } from "./hit.js";
import { mergeHits, takeHits } from "./merge-hits.js";
import { RuleRanks } from "./rule-ranks.js";
import { isSemantic, type Segment, segmentsOf } from "./score-segments.js";

/** The two halves of a hybrid search: per part, that part's hits in order. */
export type HybridHalves = {
  readonly keyword: readonly (readonly Hit[])[];
  /** Null where no part could be asked: the text could not be embedded, and Meilisearch does without. */
  readonly semantic: readonly (readonly Hit[])[] | null;
};

export type HybridOptions = {
  /** Behind the last hit of the page. */
  readonly end: number;
  /** Weight of the semantic half, above 0 and below 1. */
  readonly semanticRatio: number;
  readonly distinct: string | null;
  readonly primaryKey: string | null;
};

/** The hits up to the page's end, and which of them came from the semantic half. */
export type HybridHits = {
  readonly hits: readonly Hit[];
  /** Distinct values among them. */
  readonly distinctValues: ReadonlySet<string>;
  readonly semantic: ReadonlySet<Hit>;
  /** Only the keyword half counts: it was good enough, or there was no other. */
  readonly keywordOnly: boolean;
};

/** A keyword half whose every hit scores above this, weighted, makes the semantic half needless. */
const GOOD_ENOUGH_SCORE = 0.45;

const EPSILON = 2 ** -52;

/**
 * Merges the halves of a hybrid search over all parts as Meilisearch does over one index: each half is
 * ordered on its own, then both are merged by weighted scores, and a document counts where it comes up
 * first. Whether the keyword half is good enough on its own is decided over all parts.
 */
export function mergeHybrid(halves: HybridHalves, options: HybridOptions): HybridHits {
  const { end, distinct } = options;
  const keywordHalf = takeHits(mergeHits(halves.keyword), end, distinct);
  const keyword = keywordHalf.hits;
  const keywordWeight = Math.fround(1 - options.semanticRatio);
  if (halves.semantic === null || isGoodEnough(keyword, end, keywordWeight)) {
    return { ...keywordHalf, semantic: new Set(), keywordOnly: true };
  }
  const onlySemantic = halves.semantic.map((hits) => hits.filter(isSemantic));
  const semantic = takeHits(mergeHits(onlySemantic), end, distinct).hits;
  const compare = weightedComparison(keyword, keywordWeight, options.semanticRatio);
  return joinHalves(semantic, keyword, compare, options);
}

function isGoodEnough(keyword: readonly Hit[], end: number, keywordWeight: number): boolean {
  if (keyword.length < end) return false;
  return keyword.every((hit) => rankingScoreOf(hit) * keywordWeight >= GOOD_ENOUGH_SCORE);
}

function joinHalves(
  semantic: readonly Hit[],
  keyword: readonly Hit[],
  compare: (semantic: Hit, keyword: Hit) => number,
  options: HybridOptions,
): HybridHits {
  const hits: Hit[] = [];
  const fromSemantic = new Set<Hit>();
  const documents = new Set<string>();
  const values = new DistinctValues();
  let s = 0;
  let k = 0;
  while (hits.length < options.end) {
    const nextSemantic = semantic[s];
    const nextKeyword = keyword[k];
    const takesSemantic =
      nextSemantic !== undefined && (nextKeyword === undefined || compare(nextSemantic, nextKeyword) <= 0);
    const hit = takesSemantic ? nextSemantic : nextKeyword;
    if (hit === undefined) break;
    if (takesSemantic) s++;
    else k++;
    const document = identityOf(hit, options.primaryKey);
    if (documents.has(document)) continue;
    documents.add(document);
    if (options.distinct !== null && !values.keep(distinctKeys(hit, options.distinct))) continue;
    hits.push(hit);
    if (takesSemantic) fromSemantic.add(hit);
  }
  return { hits, distinctValues: values.seen, semantic: fromSemantic, keywordOnly: false };
}

function identityOf(hit: Hit, primaryKey: string | null): string {
  const sequence = sequenceOf(hit);
  if (sequence !== undefined) return sequence;
  return (primaryKey === null ? undefined : memberText(hit, primaryKey)) ?? `${hit.part}/${hit.position}`;
}

/** Orders a semantic hit (first) and a keyword hit (second) by weighted score; at most 0 favours the former. */
function weightedComparison(
  keyword: readonly Hit[],
  keywordWeight: number,
  semanticWeight: number,
): (semantic: Hit, keyword: Hit) => number {
  const ranks = new RuleRanks(keyword);
  return (semanticHit, keywordHit) =>
    compareSegments(
      segmentsOf(semanticHit, ranks),
      semanticWeight,
      segmentsOf(keywordHit, ranks),
      keywordWeight,
    );
}

function compareSegments(
  a: readonly Segment[],
  weightOfA: number,
  b: readonly Segment[],
  weightOfB: number,
): number {
  for (let i = 0; ; i++) {
    const left = a[i];
    const right = b[i];
    if (left === undefined || right === undefined) {
      return (left === undefined ? 1 : 0) - (right === undefined ? 1 : 0);
    }
    if ("score" in left && "score" in right) {
      const difference = left.score * weightOfA - right.score * weightOfB;
      if (Math.abs(difference) > EPSILON) return difference > 0 ? -1 : 1;
    } else if ("rule" in left && "rule" in right) {
      const order = compareRule(left.rule, right.rule);
      if (order !== 0) return order;
    } else if ("score" in left) {
      return left.score === 0 ? 1 : -1;
    } else {
      return "score" in right && right.score === 0 ? -1 : 1;
    }
  }
}
