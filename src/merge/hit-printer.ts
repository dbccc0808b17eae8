import { CLOSE_BRACE } from "../json/bytes.js";
import type { Pieces } from "../json/pieces.js";
import { hidesNothing } from "./attribute-view.js";
import { type ClientView, clientHit } from "./client-hit.js";
import type { FlatHit } from "./flat-hit.js";
import type { Hit } from "./hit.js";
import type { Mark, WalkedHit } from "./hit-scan.js";
import { INJECTED_BYTES } from "./injected-bytes.js";

/**
 * Adds hits to `pieces` as {@link clientHit} gives them: where a view does no more than leave members out, whatever stands
 * between them is copied in one go, and nothing of a document is looked at again.
 */
export function hitPrinter(pieces: Pieces, view: ClientView): (hit: Hit) => void {
  const isCut = cutsAreEnough(view);
  const isScored = view.tail.includes("_rankingScore");
  const isFormatted = view.tail.includes("_formatted");
  return (hit) => {
    const { place } = hit;
    const scan = isCut ? place?.scan : undefined;
    if (place === undefined || scan === undefined) pieces.add(clientHit(hit.bytes, view));
    else if (scan.kind === "flat" && scan.isFormatted === isFormatted && (scan.score !== -1) === isScored) {
      addFlat(pieces, place.answer, place.start, scan, view.showRankingScore);
    } else if (scan.kind === "walked" && scan.isCompact && !isFormatted) {
      addWithout(pieces, place.answer, place.start, scan, removedMarks(scan, view));
    } else pieces.add(clientHit(hit.bytes, view));
  };
}

/** Whether members that Miroir added, or asked for, are all that has to go. */
function cutsAreEnough({ attributes, tail, showRankingScoreDetails }: ClientView): boolean {
  return (
    hidesNothing(attributes) &&
    !showRankingScoreDetails &&
    tail.includes("_rankingScoreDetails") &&
    !tail.includes("_matchesPosition")
  );
}

function addFlat(pieces: Pieces, answer: Buffer, start: number, hit: FlatHit, showsScore: boolean): void {
  const { injected, formattedInjected, score, details } = hit;
  let from = start;
  for (const at of [injected, formattedInjected]) {
    if (at === -1) continue;
    pieces.add(answer, from, at);
    from = at + INJECTED_BYTES;
  }
  pieces.add(answer, from, score === -1 || showsScore ? details : score);
  pieces.add(CLOSING);
}

const CLOSING = Buffer.from("}");

/** Injected fields, and of what the node printed behind the document what the client did not ask for. */
function removedMarks({ marks, end }: WalkedHit, view: ClientView): readonly Mark[] {
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

function addWithout(
  pieces: Pieces,
  answer: Buffer,
  start: number,
  { end }: WalkedHit,
  removed: readonly Mark[],
): void {
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
  pieces.add(answer, from, end);
}
