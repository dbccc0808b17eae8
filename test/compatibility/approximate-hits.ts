import { withMembersInOrder } from "./member-order.js";

/** Hits that one side may have and the other one not: each that was missed on a full page lets another one in at its end. */
const MAX_MISSED = 4;

interface Hits {
  readonly hits: readonly object[];
  readonly estimatedTotalHits?: number;
  readonly totalHits?: number;
  readonly totalPages?: number;
}

/**
 * Whether two answers are the same but for a few hits that one of them lacks: the nearest vectors are found approximately, and the graph that
 * leads to them is built anew, by chance, on every node. All that both have is the same, in the same order.
 */
export function differInMissedHitsAlone(wanted: string, got: string): boolean {
  if (!wanted.startsWith('{"hits":[') || !got.startsWith('{"hits":[')) return false;
  const [want, have] = [JSON.parse(wanted) as Hits, JSON.parse(got) as Hits];
  const [wantHits, haveHits] = [want.hits.map(printed), have.hits.map(printed)];
  const commonWanted = wantHits.filter((hit) => haveHits.includes(hit));
  const commonGot = haveHits.filter((hit) => wantHits.includes(hit));
  const missed = wantHits.length + haveHits.length - commonWanted.length - commonGot.length;
  return (
    missed <= MAX_MISSED &&
    commonWanted.join() === commonGot.join() &&
    withoutHits(want) === withoutHits(have)
  );
}

function printed(hit: object): string {
  return withMembersInOrder(JSON.stringify({ hit }));
}

/** What goes along with hits, without their numbers. */
function withoutHits({
  hits: _,
  estimatedTotalHits: _estimate,
  totalHits: _total,
  totalPages: _pages,
  ...rest
}: Hits): string {
  return JSON.stringify(rest);
}
