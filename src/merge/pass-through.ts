import { CLOSE_BRACE, CLOSE_BRACKET, COMMA, OPEN_BRACE } from "../json/bytes.js";
import { valueEnd } from "../json/scan.js";
import { hidesNothing } from "./attribute-view.js";
import type { ClientView } from "./client-hit.js";
import { scanHit } from "./hit-scan.js";
import { CODED_CHARACTER, INJECTED_BYTES, INJECTED_NAME, isInjected, startsAt } from "./injected-bytes.js";

/**
 * A search answer without the injected fields of its hits, found by searches that look at many bytes at a time: all others are only
 * copied. Undefined where the client is to see anything else otherwise than a node prints it, and wherever an answer is not exactly as
 * Meilisearch prints what Miroir wrote: that is left to those who read any JSON.
 *
 * @throws JsonSyntaxError where a hit does not end
 */
export function passThrough(answer: Buffer, view: ClientView): Buffer | undefined {
  if (!cutsAreEnough(view) || !startsAt(answer, 0, HITS_FIRST) || answer.includes(CODED_CHARACTER)) {
    return undefined;
  }
  const passing = new PassingAnswer(answer, view);
  let at = HITS_FIRST.length;
  while (answer[at] !== CLOSE_BRACKET) {
    if (at > HITS_FIRST.length && answer[at++] !== COMMA) return undefined;
    at = passing.behindHit(at);
    if (at === -1) return undefined;
  }
  return answer.includes(INJECTED_NAME, at) || answer.includes(METADATA_MEMBER, at)
    ? undefined
    : passing.rest();
}

/** In an answer that tells which index it is of, by the name that the node knows. */
export const METADATA_MEMBER = Buffer.from('"metadata":');

const HITS_FIRST = Buffer.from('{"hits":[');
const FORMATTED = Buffer.from(',"_formatted":');
const RANKING_SCORE = Buffer.from(',"_rankingScore":');

/** Whether nothing but injected fields has to go. */
function cutsAreEnough({ attributes, tail, showRankingScore }: ClientView): boolean {
  return (
    hidesNothing(attributes) &&
    tail.every((member) => member === "_formatted" || (member === "_rankingScore" && showRankingScore))
  );
}

/** An answer from which the injected fields are left out, hit by hit. */
class PassingAnswer {
  readonly #answer: Buffer;
  /** Where injected fields begin. */
  readonly #cuts: number[] = [];
  readonly #isFormatted: boolean;
  readonly #isScored: boolean;

  constructor(answer: Buffer, { tail }: ClientView) {
    this.#answer = answer;
    this.#isFormatted = tail.includes("_formatted");
    this.#isScored = tail.includes("_rankingScore");
  }

  /** Goes on behind the hit that begins at `start`; -1 where it is not as expected. */
  behindHit(start: number): number {
    const answer = this.#answer;
    let at = this.#behindInjected(start);
    if (at !== -1 && this.#isFormatted && startsAt(answer, at, FORMATTED)) {
      at = this.#behindInjected(at + FORMATTED.length);
      if (at === -1 || answer[at++] !== CLOSE_BRACE) return -1;
    }
    if (at !== -1 && this.#isScored && startsAt(answer, at, RANKING_SCORE)) {
      at = valueEnd(answer, at + RANKING_SCORE.length);
    }
    return at !== -1 && answer[at] === CLOSE_BRACE ? at + 1 : -1;
  }

  /** The answer without what was left out. */
  rest(): Buffer {
    // Copied whole, and moved together: that makes no object for each piece.
    const bytes = Buffer.from(this.#answer);
    let length = this.#cuts[0] ?? bytes.length;
    this.#cuts.forEach((cut, at) => {
      const next = this.#cuts[at + 1] ?? bytes.length;
      bytes.copyWithin(length, cut + INJECTED_BYTES, next);
      length += next - cut - INJECTED_BYTES;
    });
    return bytes.subarray(0, length);
  }

  /** Leaves out the injected fields of the object that begins at `start` and goes on behind them; -1 where they are not as expected. */
  #behindInjected(start: number): number {
    const answer = this.#answer;
    if (answer[start] !== OPEN_BRACE) return -1;
    const name = answer.indexOf(INJECTED_NAME, start);
    if (name === -1) return -1;
    // Where no other object begins in front of the name, it belongs to this one.
    const inner = answer.indexOf(OPEN_BRACE, start + 1);
    const at = (inner === -1 || inner > name ? name : injectedName(answer, start)) - 1;
    if (!isInjected(answer, at)) return -1;
    this.#cuts.push(at);
    return at + INJECTED_BYTES;
  }
}

/** Where the first injected field of an object that has others inside is named; -1 where it does not have exactly both. */
function injectedName(answer: Buffer, start: number): number {
  const injected = scanHit(answer, start).marks.filter(({ kind }) => kind === "injected");
  return injected.length === 2 ? (injected[0]?.keyStart ?? -1) : -1;
}
