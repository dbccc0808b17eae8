import { compareRule } from "./compare.js";
import { distinctKeys, hasFacetValue } from "./distinct.js";
import { sumFacets } from "./facets.js";
import { type Hit, sequenceOf } from "./hit.js";
import { mergeHits, type RankedHits, takeHits } from "./merge-hits.js";
import { type PartAnswer, sumOfTotals } from "./part-answer.js";
import { countsOf, type FurtherAnswers, tiedHits } from "./round-answers.js";
import type { ScoreDetails } from "./score-details.js";

/**
 * How many documents one node holds to be left under a distinct attribute once its page is full: all that match, but for the
 * duplicates of those that it looked at.
 *
 * @param universe the parts' answers about everything that matches
 * @param settled the documents that it looked at and kept, see {@link settledHits}
 */
export function distinctTotal(
  distinct: string,
  universe: readonly PartAnswer[],
  settled: RankedHits,
  rounds: readonly FurtherAnswers[],
): number {
  const everything = sumOfTotals(universe);
  const kept = settled.hits.filter((hit) => distinctKeys(hit, distinct).length > 0).length;
  const counted = countsOf(rounds);
  if (counted !== undefined) return everything - sumOfTotals(counted) + kept;
  const counts = sumFacets(universe.map((answer) => answer.members.get("facetDistribution"))).get(distinct);
  if (counts === undefined) return everything;
  let having = 0;
  for (const { key, isNumber, count } of counts.values()) {
    if (hasFacetValue(settled.distinctValues, key, isNumber)) having += count;
  }
  return Math.max(settled.hits.length, everything - having + kept);
}

/**
 * The documents that one node keeps until its page is full. It takes documents with equal details together, so that all ties of
 * the page's last document belong to them, though they are not shown. Where no rule applies at all, it takes them one by one.
 *
 * @param answers the parts' first answers
 */
export function settledHits(
  answers: readonly PartAnswer[],
  ranked: RankedHits,
  rounds: readonly FurtherAnswers[],
  distinct: string,
): RankedHits {
  const last = ranked.hits.at(-1);
  if (last === undefined || !hasRules(last)) return ranked;
  const lists = tiedHits(rounds) ?? answers.map(({ hits }) => hits);
  const settled = lists.map((hits) => hits.filter((hit) => compareIgnoringSequence(hit, last) <= 0));
  const kept = takeHits(mergeHits(settled), Number.POSITIVE_INFINITY, distinct);
  return kept.hits.length < ranked.hits.length ? ranked : kept;
}

/** Whether a part's list, cut at `end` hits, may lack ties of the page's last document. */
export function lacksTies(answers: readonly (readonly Hit[])[], end: number, last: Hit): boolean {
  return answers.some((hits) => {
    const own = hits.at(-1);
    return own !== undefined && hits.length >= end && compareIgnoringSequence(own, last) <= 0;
  });
}

/** Whether any rule ordered the hit, the sequence rule aside. */
export function hasRules(hit: Hit): boolean {
  return ownRules(hit).length > 0;
}

/** What rules say of a hit, but for the sequence rule. */
function ownRules(hit: Hit): ScoreDetails {
  return sequenceOf(hit) === undefined ? hit.details : hit.details.slice(0, -1);
}

/** The order in which a node without the sequence rule would have the two. */
function compareIgnoringSequence(a: Hit, b: Hit): number {
  for (const [at, rule] of ownRules(a).entries()) {
    const other = b.details[at];
    const order = other === undefined ? 0 : compareRule(rule, other);
    if (order !== 0) return order;
  }
  return 0;
}
