import { DistinctValues, distinctKeys } from "./distinct.js";
import { type Hit, sequenceOf } from "./hit.js";
import { mergeHits, type RankedHits } from "./merge-hits.js";
import { type Ask, NO_FORMATTING } from "./part-request.js";
import { conditionOn, withConditions } from "./restrictions.js";

/** The hits of every part, in the answers to one ask. */
export type Round = readonly (readonly Hit[])[];

/** Hits up to the page's end, and whether the rounds so far leave it open what follows some of them. */
export type DistinctRanking = RankedHits & {
  /** The values that a further round has to leave out; undefined where nothing is open. */
  readonly open: ReadonlySet<string> | undefined;
};

/**
 * Merges hits that each part cut to one document a distinct value. A document with several values breaks this
 * up: its part dropped others for its sake, and where the merge drops the document itself, one of those may belong in
 * its place, and a part's list may end before the page does. What follows is then taken from the next round, which parts answer without documents that have one
 * of the values met so far. With a single value each, nothing is ever open.
 *
 * @param rounds at least one; of the last one everything is used, since nothing better is known
 */
export function rankDistinct(rounds: readonly Round[], end: number, distinct: string): DistinctRanking {
  const hits: Hit[] = [];
  const values = new DistinctValues();
  const taken = new Set<string>();
  let open: ReadonlySet<string> | undefined;
  for (const [at, lists] of rounds.entries()) {
    if (hits.length >= end) break;
    const isLast = at === rounds.length - 1;
    for (const hit of mergeHits(lists)) {
      const sequence = sequenceOf(hit);
      const keys = distinctKeys(hit, distinct);
      // A document without values comes again in every round.
      const isNew = sequence === undefined ? at === 0 || keys.length > 0 : !taken.has(sequence);
      const conflicts = keys.some((key) => values.seen.has(key));
      if (isNew && !conflicts) {
        values.keep(keys);
        hits.push(hit);
        if (sequence !== undefined) taken.add(sequence);
        if (hits.length >= end) break;
      }
      const droppedOthers = conflicts && keys.some((key) => !values.seen.has(key));
      if (!droppedOthers && !endsCutList(lists, hit, end)) continue;
      if (!isLast) break;
      open ??= new Set(values.seen);
    }
  }
  return { hits, distinctValues: values.seen, open };
}

/** Whether a part that was asked for `end` hits had no room for those that follow this one. */
function endsCutList(lists: Round, hit: Hit, end: number): boolean {
  const length = lists[hit.part]?.length ?? 0;
  return length >= end && hit.position === length - 1;
}

/** What every part is to be asked next, for what a ranking left open. */
export function distinctRound(page: Ask, distinct: string, open: ReadonlySet<string>): Ask {
  const filter = withConditions(page.body.filter, [conditionOn(distinct, valuesOf(open), "NOT IN")]);
  return { role: "page", body: { ...page.body, facets: undefined, filter } };
}

/**
 * Asks every part for all that it gives, as far as it takes to find the ties of a page's last document and their values.
 *
 * @param keepsDuplicates whether parts are to leave it to the merge which documents go: with several values in one document, a part drops
 *   what the whole would keep
 */
export function tiesRound(page: Ask, distinct: string, limit: number, keepsDuplicates: boolean): Ask {
  const body = {
    ...page.body,
    ...NO_FORMATTING,
    ...(keepsDuplicates ? { distinct: undefined } : {}),
    showRankingScoreDetails: true,
    facets: undefined,
  };
  return {
    role: "ties",
    body: { ...body, attributesToRetrieve: [distinct], offset: 0, limit },
  };
}

/** Asks every part how many documents have one of these values. */
export function countRound(universe: Ask, distinct: string, values: ReadonlySet<string>): Ask {
  const filter = withConditions(universe.body.filter, [conditionOn(distinct, valuesOf(values))]);
  return { role: "universe", body: { ...universe.body, facets: undefined, filter } };
}

function valuesOf(keys: ReadonlySet<string>): string[] {
  return [...keys].map((key) => key.slice(1));
}
