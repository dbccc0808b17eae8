import type { MatchType, RuleDetails, ScoreDetails, SortValue } from "./score-details.js";
import { compareUtf8 } from "./text-order.js";

/**
 * Orders two documents of different nodes rule by rule, as the one node that held both would have.
 * Documents with equal details are ties.
 *
 * @returns a negative number where `a` comes first, a positive one where `b` does, 0 for a tie
 */
export function compareScoreDetails(a: ScoreDetails, b: ScoreDetails): number {
  const rules = Math.min(a.length, b.length);
  for (let i = 0; i < rules; i++) {
    if (a[i] === b[i]) continue;
    const order = compareRule(a[i] as RuleDetails, b[i] as RuleDetails);
    if (order !== 0) return order;
  }
  // A node that ran out of time has applied fewer rules: what it knows less of comes later.
  return b.length - a.length;
}

/** Compares what one rule said of two documents; same results as {@link compareScoreDetails}. */
export function compareRule(a: RuleDetails, b: RuleDetails): number {
  switch (a.kind) {
    case "words":
      if (b.kind === "words") return b.matchingWords - a.matchingWords;
      break;
    case "typo":
      if (b.kind === "typo") return a.typoCount - b.typoCount;
      break;
    case "attribute":
      if (b.kind === "attribute") {
        return b.rankScore - a.rankScore || b.distanceScore - a.distanceScore;
      }
      break;
    case "exactness":
      if (b.kind === "exactness") {
        return matchTypeRank(b.matchType) - matchTypeRank(a.matchType) || b.exactWords - a.exactWords;
      }
      break;
    case "score":
      if (b.kind === "score") return b.score - a.score;
      break;
    case "sort":
      if (b.kind === "sort") return compareSortValues(a.value, b.value, a.ascending);
      break;
    case "geo":
      if (b.kind === "geo") return compareDistances(a.distance, b.distance, a.ascending);
      break;
    case "vector":
      // Nothing is less similar than a document without a vector.
      if (b.kind === "vector") return compareNumbers(b.similarity ?? -1, a.similarity ?? -1);
      break;
    case "skipped":
      return b.kind === "skipped" ? 0 : 1;
    case "pin":
      return b.kind === "pin" ? a.position - b.position : -1;
  }
  // Nodes with one set of settings apply the same rules, so only these two can face another rule.
  if (b.kind === "skipped") return -1;
  if (b.kind === "pin") return 1;
  return 0;
}

/**
 * Orders sort values as Meilisearch does: numbers before strings before nothing in either direction,
 * numbers by value and strings by their UTF-8 bytes in the asked one.
 */
export function compareSortValues(a: SortValue, b: SortValue, ascending: boolean): number {
  const byType = sortTypeRank(a) - sortTypeRank(b);
  if (byType !== 0) return byType;
  if (typeof a === "number" && typeof b === "number") {
    return ascending ? compareNumbers(a, b) : compareNumbers(b, a);
  }
  if (typeof a === "string" && typeof b === "string") {
    return ascending ? compareUtf8(a, b) : compareUtf8(b, a);
  }
  return 0;
}

function compareDistances(a: number | null, b: number | null, ascending: boolean): number {
  if (a === null || b === null) return (a === null ? 1 : 0) - (b === null ? 1 : 0);
  return ascending ? compareNumbers(a, b) : compareNumbers(b, a);
}

function compareNumbers(a: number, b: number): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function sortTypeRank(value: SortValue): number {
  return typeof value === "number" ? 0 : typeof value === "string" ? 1 : 2;
}

function matchTypeRank(matchType: MatchType): number {
  return matchType === "exactMatch" ? 2 : matchType === "matchesStart" ? 1 : 0;
}
