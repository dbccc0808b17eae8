import { DistinctValues, distinctKeys, hasFacetValue } from "./distinct.js";
import { rankDistinct } from "./distinct-rounds.js";
import { distinctTotal, settledHits } from "./distinct-total.js";
import { facetsOfHits, mergeFacetStats, statsOfHits, sumFacets } from "./facets.js";
import type { Hit } from "./hit.js";
import { type HybridHits, mergeHybrid } from "./hybrid.js";
import { mergeHits, type RankedHits, takeHits } from "./merge-hits.js";
import type { MergedFacets, MergedSearch, SummedFacets } from "./merged-search.js";
import { type PartAnswer, parsePartAnswer, sumOfTotals, totalOf } from "./part-answer.js";
import { type AskRole, type SearchPlan, semanticRatioOf } from "./part-request.js";
import { answersOf, type FurtherAnswers, furtherHits, type PartAnswers } from "./round-answers.js";
import { printAnswer, singleAnswer } from "./search-body.js";
import { belowThreshold } from "./threshold-total.js";

/**
 * Merges the parts' raw answers into the body that one Meilisearch holding all of their documents would
 * have given (invariant 10), hits copied byte for byte (invariant 14), with nothing of Miroir's in it
 * (invariant 11). Parts whose shards are not to be shown are simply left out.
 *
 * The order of `parts` decides ties where no sequence rule does: keep it the same from request to request.
 *
 * @param rounds what the parts answered to each {@link nextRound}, in their order
 * @throws JsonSyntaxError where an answer is no search answer
 * @throws RangeError where a part did not answer every ask, or a plan for one part got several
 */
export function mergeSearch(
  plan: SearchPlan,
  parts: readonly PartAnswers[],
  rounds: readonly FurtherAnswers[] = [],
): Buffer {
  checkAnswers(plan, parts);
  if (plan.parts === "one") return singleAnswer(plan, parts);
  return printAnswer(plan, mergedSearch(plan, parts, rounds));
}

/**
 * What {@link mergeSearch} prints, before it is printed: for answers that are made of several searches. Takes a plan for many
 * parts.
 */
export function mergedSearch(
  plan: SearchPlan,
  parts: readonly PartAnswers[],
  rounds: readonly FurtherAnswers[] = [],
): MergedSearch {
  checkAnswers(plan, parts);
  const byRole = answersByRole(plan, parts);
  return plan.kind === "hybrid" ? hybridResult(plan, byRole) : rankedResult(plan, byRole, rounds);
}

function checkAnswers(plan: SearchPlan, parts: readonly PartAnswers[]): void {
  for (const { answers } of parts) {
    if (answers.length !== plan.asks.length) {
      throw new RangeError(`a part has to answer ${plan.asks.length} asks, not ${answers.length}`);
    }
  }
}

type AnswersByRole = ReadonlyMap<AskRole, readonly PartAnswer[]>;

function answersByRole(plan: SearchPlan, parts: readonly PartAnswers[]): AnswersByRole {
  const byRole = new Map<AskRole, PartAnswer[]>();
  plan.asks.forEach((ask, at) => {
    const answers: PartAnswer[] = [];
    parts.forEach(({ answers: bodies }, part) => {
      const body = bodies[at];
      if (body !== null && body !== undefined) answers.push(parsePartAnswer(body, part));
      else if (ask.role !== "semantic")
        throw new RangeError(`part ${part} has no answer to its ${ask.role} ask`);
    });
    byRole.set(ask.role, answers);
  });
  return byRole;
}

function rankedResult(
  plan: SearchPlan,
  byRole: AnswersByRole,
  rounds: readonly FurtherAnswers[],
): MergedSearch {
  const answers = byRole.get("page") ?? [];
  const universe = byRole.get("universe");
  const ranked =
    plan.distinct === null || rounds.length === 0
      ? takeHits(mergeHits(answers.map(({ list }) => list)), plan.end, plan.distinct)
      : rankDistinct([answers.map(({ hits }) => hits), ...furtherHits(rounds)], plan.end, plan.distinct);
  const page = ranked.hits.slice(plan.from);
  const isFilled = stopsEarly(plan, ranked.hits.length);
  const settled =
    isFilled && universe !== undefined && plan.distinct !== null && plan.countsDistinctValues
      ? settledHits(answers, ranked, rounds, plan.distinct)
      : undefined;
  const facets = rankedFacets(plan, answers, universe, isFilled, ranked, settled);
  return {
    page,
    ranked: ranked.hits,
    total: rankedTotal(plan, byRole, ranked, isFilled, settled, rounds),
    facets,
    semanticHitCount: plan.kind === "semantic" ? page.length : undefined,
    answers: [...answers, ...(universe ?? [])],
  };
}

function rankedTotal(
  plan: SearchPlan,
  byRole: AnswersByRole,
  ranked: RankedHits,
  isFilled: boolean,
  settled: RankedHits | undefined,
  rounds: readonly FurtherAnswers[],
): number {
  const values = byRole.get("values");
  if (values !== undefined && plan.distinct !== null) return countDistinct(values, plan.distinct);
  const total = sumOfTotals(byRole.get("page") ?? []);
  if (plan.distinct === null && !hasThreshold(plan)) return total;
  if (!isFilled) return plan.distinct === null ? total : ranked.hits.length;
  const universe = byRole.get("universe");
  if (universe === undefined) return total;
  if (plan.distinct === null) return sumOfTotals(universe) - belowThreshold(plan, ranked, rounds);
  return settled === undefined ? total : distinctTotal(plan.distinct, universe, settled, rounds);
}

/**
 * Whether one node would have stopped, at the page's end, before it had met everything that a threshold or
 * distinct takes away. Asked for page numbers, it looks at all documents for the sake of a threshold.
 */
function stopsEarly(plan: SearchPlan, found: number): boolean {
  return found === plan.end && !(plan.pagination.style === "page" && hasThreshold(plan));
}

function hasThreshold(plan: SearchPlan): boolean {
  return plan.query.rankingScoreThreshold !== null && plan.query.rankingScoreThreshold !== undefined;
}

function countDistinct(answers: readonly PartAnswer[], distinct: string): number {
  const values = new DistinctValues();
  let count = 0;
  for (const answer of answers) {
    for (const hit of answer.hits) {
      if (values.keep(distinctKeys(hit, distinct))) count++;
    }
    // What lies beyond the longest list that a node gives is counted, but not compared.
    count += totalOf(answer) - answer.hits.length;
  }
  return count;
}

function rankedFacets(
  plan: SearchPlan,
  answers: readonly PartAnswer[],
  universe: readonly PartAnswer[] | undefined,
  isFilled: boolean,
  ranked: RankedHits,
  settled: RankedHits = ranked,
): MergedFacets | undefined {
  if (!asksForFacets(plan)) return undefined;
  const own = facetsOf(answers, "page");
  if (plan.distinct !== null && ranked.hits.length < plan.end) return hitFacets(plan, own, ranked.hits);
  if (universe === undefined) return withDistinctFacet(plan, own, undefined, ranked.distinctValues);
  const all = facetsOf(universe, "universe");
  // Counting distinct values may have added their attribute.
  for (const attribute of all.distribution.keys()) {
    if (!own.distribution.has(attribute)) all.distribution.delete(attribute);
  }
  if (isFilled && plan.distinct === null) return all;
  return withDistinctFacet(plan, own, isFilled ? all : undefined, settled.distinctValues);
}

/**
 * Facets under distinct where all hits are known: what is left of the documents is these hits. Only
 * attributes asked for by name are sure to be in them.
 */
function hitFacets(plan: SearchPlan, own: MergedFacets, hits: readonly Hit[]): MergedFacets {
  if ((plan.query.facets ?? []).some((facet) => facet.includes("*"))) return own;
  const distribution = new Map(
    [...own.distribution].map(([attribute, counts]) => [attribute, facetsOfHits(counts, attribute, hits)]),
  );
  return { ...own, distribution, stats: statsOfHits(distribution.keys(), hits) };
}

/** The facet of the distinct attribute itself can be exact: a value that is shown, or tied with the last one shown, counts once. */
function withDistinctFacet(
  plan: SearchPlan,
  own: MergedFacets,
  all: MergedFacets | undefined,
  shownValues: ReadonlySet<string>,
): MergedFacets {
  if (plan.distinct === null) return own;
  const counts = all?.distribution.get(plan.distinct) ?? own.distribution.get(plan.distinct);
  if (counts === undefined) return own;
  const capped = new Map(counts);
  for (const [key, value] of counts) {
    const isShown = hasFacetValue(shownValues, value.key, value.isNumber);
    if (isShown || plan.pagination.style === "page") capped.set(key, { ...value, count: 1 });
  }
  return { ...own, distribution: new Map(own.distribution).set(plan.distinct, capped) };
}

function hybridResult(plan: SearchPlan, byRole: AnswersByRole): MergedSearch {
  const keyword = byRole.get("keyword") ?? [];
  const semantic = byRole.get("semantic") ?? [];
  const merged = mergeHybrid(
    {
      keyword: keyword.map((answer) => answer.hits),
      semantic: semantic.length === 0 ? null : semantic.map((answer) => answer.hits),
    },
    {
      end: plan.end,
      semanticRatio: semanticRatioOf(plan.query),
      distinct: plan.distinct,
      primaryKey: plan.facts.primaryKey,
    },
  );
  const page = merged.hits.slice(plan.from);
  // The semantic half sees every document that passes the filter, so that it covers the keyword half.
  const covering = merged.keywordOnly ? keyword : semantic;
  return {
    page,
    total: hybridTotal(plan, byRole, merged, covering),
    facets: asksForFacets(plan) ? hybridFacets(plan, covering, merged) : undefined,
    semanticHitCount: page.filter((hit) => merged.semantic.has(hit)).length,
    answers: merged.keywordOnly ? keyword : [...semantic, ...keyword],
  };
}

function hybridFacets(
  plan: SearchPlan,
  covering: readonly PartAnswer[],
  { hits, keywordOnly }: HybridHits,
): MergedFacets {
  const facets = facetsOf(covering, keywordOnly ? "keyword" : "semantic");
  return plan.distinct !== null && hits.length < plan.end ? hitFacets(plan, facets, hits) : facets;
}

function hybridTotal(
  plan: SearchPlan,
  byRole: AnswersByRole,
  merged: HybridHits,
  covering: readonly PartAnswer[],
): number {
  const total = sumOfTotals(covering);
  if (plan.distinct !== null) {
    if (merged.hits.length < plan.end) return merged.hits.length;
    const universe = byRole.get("universe");
    if (universe === undefined || merged.keywordOnly) return total;
    return distinctTotal(plan.distinct, universe, merged, []);
  }
  return merged.keywordOnly ? total : Math.max(total, sumOfTotals(byRole.get("keyword") ?? []));
}

function asksForFacets(plan: SearchPlan): boolean {
  return (plan.query.facets ?? []).length > 0;
}

function facetsOf(answers: readonly PartAnswer[], source: AskRole): MergedFacets {
  return {
    source,
    distribution: sumFacets(answers.map((answer) => answer.members.get("facetDistribution"))),
    stats: mergeFacetStats(answers.map((answer) => answer.members.get("facetStats"))),
  };
}

/** Total and facets over the answers to one ask that gives no hits. */
export function totalAndFacets(round: FurtherAnswers): {
  readonly total: number;
  readonly facets: SummedFacets;
} {
  const answers = answersOf(round.parts, 0);
  return { total: sumOfTotals(answers), facets: facetsOf(answers, "universe") };
}
