import type { Hit } from "./hit.js";
import type { SearchPlan } from "./part-request.js";

/**
 * How far above what is expected of a part it is asked, in standard deviations: about one search in a hundred then needs more of
 * some part.
 */
const DEVIATIONS = 3;

/** A list that would be hardly shorter is asked whole. */
const WORTHWHILE = 0.8;

/** Whether a search's totals and facets are the same however few hits its parts are asked for. */
export function mayAskLess({ parts, kind, distinct, query }: SearchPlan): boolean {
  const hasThreshold = (query.rankingScoreThreshold ?? null) !== null;
  return parts === "many" && kind === "keyword" && distinct === null && !hasThreshold;
}

/**
 * How many hits a part is asked for at first that holds `share` (from 0 to 1) of an index's shards. Shards are hashes, so that a part's number of hits among
 * the best `end` is binomially distributed; asked for all of `end`, it would rank and print many for nothing. What the merge then
 * lacks is found by {@link cutShort}. All of `end` where {@link mayAskLess} says no.
 */
export function firstShare(plan: SearchPlan, share: number): number {
  const { end } = plan;
  if (!mayAskLess(plan)) return end;
  const most = Math.ceil(end * share + DEVIATIONS * Math.sqrt(end * share * (1 - share)));
  return most <= end * WORTHWHILE ? most : end;
}

/**
 * The parts whose lists ended too early to be sure of the page: merging took all hits that they were asked for, and went on without them. To be
 * asked for `plan.end` hits; then the merge is as if all parts had been, since no part gives more than it gave without them.
 *
 * @param ranked the hits up to the page's end, as merged
 * @param asked by part: for how many hits it was asked
 */
export function cutShort(plan: SearchPlan, ranked: readonly Hit[], asked: readonly number[]): number[] {
  if (asked.every((most) => most >= plan.end)) return [];
  const taken = asked.map(() => 0);
  for (const { part } of ranked) taken[part] = (taken[part] ?? 0) + 1;
  // The page ends with the last hit of a list: what would follow it is not on the page.
  const lastPart = ranked.length === plan.end ? ranked.at(-1)?.part : undefined;
  return [...asked.keys()].filter((part) => {
    const most = asked[part] ?? plan.end;
    return most < plan.end && (taken[part] ?? 0) >= most && part !== lastPart;
  });
}
