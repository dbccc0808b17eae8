import { compareScoreDetails } from "./compare.js";
import { mayAskLess } from "./first-share.js";
import { type Hit, sequenceOf } from "./hit.js";
import { parsePartAnswer } from "./part-answer.js";
import { type Ask, NO_FORMATTING, type SearchPlan } from "./part-request.js";
import type { PartAnswers } from "./round-answers.js";
import type { JsonObject } from "./search-parameters.js";

/**
 * Above how many bytes of documents in front of a page the page is found by its hits' ranks first, without documents: asking a node twice costs it as much as
 * printing about a megabyte does.
 */
const WORTHWHILE_BYTES = 2_000_000;

/** Whether a page lies so deep that its hits' ranks are to be asked for first. `documentBytes`: of one document, on average. */
export function asksRanksFirst(plan: SearchPlan, documentBytes: number): boolean {
  return mayAskLess(plan) && plan.from * documentBytes >= WORTHWHILE_BYTES;
}

/** The same ask for ranks alone: score details, and nothing of the documents. */
export function ranksAsk(ask: Ask): Ask {
  return {
    ...ask,
    body: { ...ask.body, ...NO_FORMATTING, attributesToRetrieve: [], showRankingScoreDetails: true },
  };
}

/** The hits that one part has on a page: neighbours in its own list, as parts' lists have the order of the whole. */
export type PagePlace = {
  /** Index of the part, from 0. */
  readonly part: number;
  /** Place of the first one in the part's list, from 0. */
  readonly offset: number;
  readonly hits: readonly Hit[];
};

/** Where the hits of a page are, part by part; parts without any are left out. */
export function pagePlaces(page: readonly Hit[]): PagePlace[] {
  const byPart = new Map<number, Hit[]>();
  for (const hit of page) {
    const hits = byPart.get(hit.part);
    if (hits === undefined) byPart.set(hit.part, [hit]);
    else hits.push(hit);
  }
  return [...byPart].map(([part, hits]) => ({ part, offset: hits[0]?.position ?? 0, hits }));
}

/** The same ask for the hits of one place, whole. */
export function placeAsk(ask: Ask, { offset, hits }: PagePlace): Ask {
  const page: JsonObject = { page: undefined, hitsPerPage: undefined, facets: undefined };
  return { ...ask, body: { ...ask.body, ...page, offset, limit: hits.length } };
}

/**
 * The page with its hits whole.
 *
 * @param answers by place: what the part answered to its {@link placeAsk}
 * @returns undefined where a part's list has changed in between, so that the ranks are not those of these hits any more
 */
export function wholePage(
  page: readonly Hit[],
  places: readonly PagePlace[],
  answers: readonly PartAnswers[],
): Hit[] | undefined {
  const wholeOf = new Map<Hit, Hit>();
  for (const [at, { part, hits }] of places.entries()) {
    const body = answers[at]?.answers[0];
    if (body === null || body === undefined) return undefined;
    const { list } = parsePartAnswer(body, part);
    for (const [position, hit] of hits.entries()) {
      const whole = list.at(position);
      if (whole === undefined || !isSame(hit, whole)) return undefined;
      wholeOf.set(hit, whole);
    }
  }
  return page.map((hit) => wholeOf.get(hit) ?? hit);
}

/** Whether two hits are one document that ranks as it did. */
function isSame(a: Hit, b: Hit): boolean {
  return sequenceOf(a) !== undefined && compareScoreDetails(a.details, b.details) === 0;
}
