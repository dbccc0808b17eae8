import { distinctKeys } from "./distinct.js";
import { countRound, distinctRound, rankDistinct, tiesRound } from "./distinct-rounds.js";
import { hasRules, lacksTies, settledHits } from "./distinct-total.js";
import { sumFacets } from "./facets.js";
import type { Hit } from "./hit.js";
import { mergeHits, takeHits } from "./merge-hits.js";
import { type PartAnswer, sumOfTotals } from "./part-answer.js";
import type { Ask, SearchPlan } from "./part-request.js";
import {
  answersOf,
  countsOf,
  type FurtherAnswers,
  furtherHits,
  type PartAnswers,
  tiedHits,
} from "./round-answers.js";
import { LONGEST_COMPLETION } from "./search-parameters.js";
import { thresholdRound } from "./threshold-total.js";

/**
 * What every part has to be asked once more before the parts' answers can be merged for certain;
 * undefined for most searches: only under a distinct attribute with several values in one document do parts
 * drop documents that the whole would show, and only there, or beyond `maxValuesPerFacet` values, are documents of
 * the shown values to be counted; only where documents tie with the page's last one is it to be known what they are; and under a score
 * threshold only behind a sort rule. Each round settles at least one such document; a caller that stops before gets hits of which
 * some may be missing, or an estimate that is off.
 *
 * @param rounds the answers to the rounds so far
 */
export function nextRound(
  plan: SearchPlan,
  parts: readonly PartAnswers[],
  rounds: readonly FurtherAnswers[],
): Ask | undefined {
  if (plan.parts === "one" || plan.kind === "hybrid") return undefined;
  const { distinct } = plan;
  if (distinct !== null) return nextDistinctRound(plan, distinct, parts, rounds);
  if (typeof plan.query.rankingScoreThreshold !== "number") return undefined;
  const at = plan.asks.findIndex((ask) => ask.role === "page");
  const lists = answersOf(parts, at).map(({ list }) => list);
  return thresholdRound(plan, takeHits(mergeHits(lists), plan.end, null), rounds);
}

function nextDistinctRound(
  plan: SearchPlan,
  distinct: string,
  parts: readonly PartAnswers[],
  rounds: readonly FurtherAnswers[],
): Ask | undefined {
  const { facts, query } = plan;
  const isFilterable = typeof query.distinct === "string" || facts.distinctAttributeIsFilterable;
  const at = plan.asks.findIndex((ask) => ask.role === "page");
  const page = plan.asks[at];
  if (!isFilterable || page === undefined) return undefined;
  const first = answersOf(parts, at);
  const lists = first.map(({ hits }) => [...hits]);
  const ranked = rankDistinct([lists, ...furtherHits(rounds)], plan.end, distinct);
  if (ranked.open !== undefined && ranked.hits.length > 0) return distinctRound(page, distinct, ranked.open);
  const universe = plan.asks.findIndex((ask) => ask.role === "universe");
  const count = plan.asks[universe];
  const last = ranked.hits.at(-1);
  if (!plan.countsDistinctValues || count === undefined || plan.pagination.style === "page") return undefined;
  if (ranked.hits.length < plan.end || last === undefined || countsOf(rounds) !== undefined) return undefined;
  const longest = Math.min(facts.maxTotalHits, LONGEST_COMPLETION);
  if (plan.end < longest && hasRules(last)) {
    const tied = tiedHits(rounds);
    const mayKeepDuplicates =
      facts.distinctAttribute === null && rounds.every(({ ask }) => !keepsDuplicates(ask));
    if (mayKeepDuplicates && haveSeveralValues(tied ?? lists, distinct)) {
      return tiesRound(page, distinct, longest, true);
    }
    if (tied === undefined && lacksTies(lists, plan.end, last)) {
      return tiesRound(page, distinct, longest, false);
    }
  }
  const { distinctValues } = settledHits(first, ranked, rounds, distinct);
  if (distinctValues.size === 0) return undefined;
  const known = tiedHits(rounds) ?? lists;
  const isSingle = !haveSeveralValues(known, distinct);
  if (isSingle && countsExactly(plan, distinct, answersOf(parts, universe), known)) return undefined;
  return countRound(count, distinct, distinctValues);
}

function keepsDuplicates(ask: Ask): boolean {
  return ask.role === "ties" && ask.body.distinct === undefined;
}

function haveSeveralValues(lists: readonly (readonly Hit[])[], distinct: string): boolean {
  return lists.some((hits) => hits.some((hit) => distinctKeys(hit, distinct).length > 1));
}

/**
 * Whether the facet of the distinct attribute shows every value, and as far as can be told no document under two of them: where as many
 * documents that nobody has seen have no value, documents with several are not told by the counts.
 */
function countsExactly(
  plan: SearchPlan,
  distinct: string,
  universe: readonly PartAnswer[],
  known: readonly (readonly Hit[])[],
): boolean {
  const parts = universe.map((answer) => sumFacets([answer.members.get("facetDistribution")]).get(distinct));
  if (parts.some((counts) => (counts?.size ?? 0) >= plan.facts.maxValuesPerFacet)) return false;
  const counted = parts.flatMap((counts) => [...(counts?.values() ?? [])]);
  const without = known.flat().filter((hit) => distinctKeys(hit, distinct).length === 0).length;
  return counted.reduce((sum, { count }) => sum + count, without) <= sumOfTotals(universe);
}
