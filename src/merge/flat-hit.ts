import { CLOSE_BRACE, COMMA, OPEN_BRACE } from "../json/bytes.js";
import { valueEnd } from "../json/scan.js";
import { FoundRules } from "./found-rules.js";
import { INJECTED_BYTES, isInjected, startsAt } from "./injected-bytes.js";

/** A hit whose document holds no object, as offsets into the text that holds the hit; -1 for what it does not have. Ends are exclusive. */
export type FlatHit = {
  readonly kind: "flat";
  /** Behind the hit's closing brace. */
  readonly end: number;
  /** Where both injected fields of the document begin, with the comma in front of them. */
  readonly injected: number;
  /** Where those of `_formatted` begin. */
  readonly formattedInjected: number;
  /** Whether the hit has a `_formatted`. */
  readonly isFormatted: boolean;
  /** Where `_rankingScore` begins, with the comma in front of it. */
  readonly score: number;
  /** Where `_rankingScoreDetails` begins, with the comma in front of it: the last member of the hit. */
  readonly details: number;
  readonly rules: FoundRules;
};

const FORMATTED = Buffer.from(',"_formatted":{');
const SCORE = Buffer.from(',"_rankingScore":');
/** At most so many bytes lie between a document's end and the brace of its details, a score's among them. */
const BETWEEN_BYTES = 80;
const DETAILS = Buffer.from(',"_rankingScoreDetails":{');

/**
 * Finds the parts of the hit that begins at `start`. Where its document holds no object, the first brace within the hit is in the code of an
 * injected field, or begins what the node printed behind the document: one search over many bytes at a time finds the document's
 * end. Undefined where anything is otherwise. No string looks like these names, as its quotes are escaped; names that are
 * written with escapes are the caller's to exclude.
 *
 * @param previous the rules of another hit, which are likely to be written alike
 */
export function findFlatHit(
  bytes: Buffer,
  start: number,
  previous: FoundRules | undefined,
): FlatHit | undefined {
  const document = bytes[start] === OPEN_BRACE ? endOfFlat(bytes, start) : undefined;
  if (document === undefined) return undefined;
  let at = document.end;
  let formatted: FlatEnd | undefined;
  if (startsAt(bytes, at, FORMATTED)) {
    formatted = endOfFlat(bytes, at + FORMATTED.length - 1);
    if (formatted === undefined) return undefined;
    at = formatted.end;
    if (formatted.injected !== -1 && bytes[at++] !== CLOSE_BRACE) return undefined;
    if (bytes[at - 1] !== CLOSE_BRACE) return undefined;
  }
  const score = startsAt(bytes, at, SCORE) ? at : -1;
  if (score !== -1) at = valueEnd(bytes, score + SCORE.length);
  if (!startsAt(bytes, at, DETAILS)) return undefined;
  const rules = FoundRules.find(bytes, at + DETAILS.length - 1, previous);
  if (rules === undefined || bytes[rules.end] !== CLOSE_BRACE) return undefined;
  return {
    kind: "flat",
    end: rules.end + 1,
    injected: document.injected,
    formattedInjected: formatted?.injected ?? -1,
    isFormatted: formatted !== undefined,
    score,
    details: at,
    rules,
  };
}

/** Where the members of an object without objects in it end: behind its injected fields, or before what follows behind the object. */
type FlatEnd = { readonly injected: number; readonly end: number };

function endOfFlat(bytes: Buffer, start: number): FlatEnd | undefined {
  const brace = bytes.indexOf(OPEN_BRACE, start + 1);
  if (brace === -1) return undefined;
  const injected = injectedBefore(bytes, Math.max(start, brace - INJECTED_BYTES - BETWEEN_BYTES), brace);
  if (injected !== -1) return { injected, end: injected + INJECTED_BYTES };
  for (const name of [DETAILS, FORMATTED]) {
    const end = brace + 1 - name.length;
    if (end > start && startsAt(bytes, end, name)) return { injected, end };
  }
  return undefined;
}

/** Where both injected fields are written that begin from `from` to `brace`; -1 where they are not. */
function injectedBefore(bytes: Buffer, from: number, brace: number): number {
  for (let at = brace; at >= from; at--) if (bytes[at] === COMMA && isInjected(bytes, at)) return at;
  return -1;
}
