import { CLOSE_BRACE } from "../json/bytes.js";
import type { Pieces } from "../json/pieces.js";
import { type ClientView, clientHit } from "./client-hit.js";
import type { Hit, HitPlace } from "./hit.js";
import type { Mark } from "./hit-scan.js";

/**
 * Adds hits to `pieces` as {@link clientHit} gives them: where a view does no more than leave top-level members out, whatever stands
 * between them is copied in one go, and nothing of a document is looked at again.
 */
export function hitPrinter(pieces: Pieces, view: ClientView): (hit: Hit) => void {
  const onlyLeavesOut = leavesOutOnly(view);
  return (hit) => {
    const { place } = hit;
    if (onlyLeavesOut && place?.scan.isCompact === true) addWithout(pieces, place, removedMarks(place, view));
    else pieces.add(clientHit(hit.bytes, view));
  };
}

function leavesOutOnly({ attributes, tail, showRankingScoreDetails }: ClientView): boolean {
  return (
    attributes.displayed === null &&
    attributes.extraInDocument.length === 0 &&
    !showRankingScoreDetails &&
    tail.every((member) => member === "_rankingScore" || member === "_rankingScoreDetails")
  );
}

/** Injected fields, and of what the node printed behind the document what the client did not ask for. */
function removedMarks({ scan: { marks, end } }: HitPlace, view: ClientView): readonly Mark[] {
  const removed: Mark[] = [];
  let behind = end - 1;
  let at = marks.length - 1;
  const tail = [...view.tail];
  for (; at >= 0; at--) {
    const mark = marks[at] as Mark;
    const name = mark.kind === "details" ? "_rankingScoreDetails" : "_rankingScore";
    // What stands in front of other members is the document's, whatever its name.
    if (mark.valueEnd !== behind || (mark.kind !== "details" && mark.kind !== "score")) break;
    while (tail.length > 0 && tail.at(-1) !== name) tail.pop();
    if (tail.pop() === undefined) break;
    if (mark.kind === "details" || !view.showRankingScore) removed.push(mark);
    behind = mark.keyStart - 1;
  }
  for (; at >= 0; at--) if (marks[at]?.kind === "injected") removed.push(marks[at] as Mark);
  return removed.reverse();
}

function addWithout(pieces: Pieces, { answer, start, scan }: HitPlace, removed: readonly Mark[]): void {
  let from = start;
  let isFirst = true;
  for (const { keyStart, valueEnd } of removed) {
    // The comma in front goes too; with the first members it is the one behind.
    isFirst &&= keyStart === from || keyStart === start + 1;
    if (isFirst) {
      pieces.add(answer, from, from === start ? keyStart : from);
      from = answer[valueEnd] === CLOSE_BRACE ? valueEnd : valueEnd + 1;
    } else {
      pieces.add(answer, from, keyStart - 1);
      from = valueEnd;
    }
  }
  pieces.add(answer, from, scan.end);
}
