import { compareHits, type Hit, rankingScoreOf } from "./hit.js";
import type { RankedHits } from "./merge-hits.js";
import { type Ask, NO_FORMATTING, type SearchPlan } from "./part-request.js";
import { type FurtherAnswers, tiedHits } from "./round-answers.js";
import { LONGEST_COMPLETION } from "./search-parameters.js";

/**
 * Asks every part for its hits whatever their score, where it takes them to count as one node does under a score threshold: documents below it that a
 * sort rule puts in front of the page's last one are met, and not counted. Undefined where no sort rule stands in front of a scoring one, or the
 * page is not full: then scores only fall, and nothing below the threshold is met, or everything is.
 */
export function thresholdRound(
  plan: SearchPlan,
  ranked: RankedHits,
  rounds: readonly FurtherAnswers[],
): Ask | undefined {
  const page = plan.asks.find((ask) => ask.role === "page");
  const last = ranked.hits.at(-1);
  if (plan.distinct !== null || plan.pagination.style === "page" || tiedHits(rounds) !== undefined)
    return undefined;
  if (typeof plan.query.rankingScoreThreshold !== "number" || page === undefined || last === undefined)
    return undefined;
  if (ranked.hits.length < plan.end || !isSortedBeforeScored(last)) return undefined;
  const limit = Math.min(plan.facts.maxTotalHits, LONGEST_COMPLETION);
  const all = {
    rankingScoreThreshold: undefined,
    facets: undefined,
    attributesToRetrieve: [],
    offset: 0,
    limit,
  };
  return {
    role: "ties",
    body: { ...page.body, ...NO_FORMATTING, ...all, showRankingScore: true, showRankingScoreDetails: true },
  };
}

/** How many documents below the threshold one node meets in front of the page's last one. */
export function belowThreshold(
  plan: SearchPlan,
  ranked: RankedHits,
  rounds: readonly FurtherAnswers[],
): number {
  const last = ranked.hits.at(-1);
  const lists = tiedHits(rounds);
  const threshold = plan.query.rankingScoreThreshold;
  if (lists === undefined || last === undefined || typeof threshold !== "number") return 0;
  return lists.flat().filter((hit) => compareHits(hit, last) < 0 && rankingScoreOf(hit) < threshold).length;
}

function isSortedBeforeScored({ details }: Hit): boolean {
  const sorted = details.findIndex((rule) => rule.kind === "sort" || rule.kind === "geo");
  return sorted !== -1 && details.slice(sorted).some((rule) => rule.kind !== "sort" && rule.kind !== "geo");
}
