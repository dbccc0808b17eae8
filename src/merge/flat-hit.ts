import { CLOSE_BRACE, COMMA, OPEN_BRACE } from "../json/bytes.js";
import { valueEnd } from "../json/scan.js";
import { FoundRules } from "./found-rules.js";
import { INJECTED_BYTES, INJECTED_NAME, isInjected, startsAt } from "./injected-bytes.js";

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
const DETAILS = Buffer.from(',"_rankingScoreDetails":{');
/** What nodes print behind a document that is looked for. */
const TAIL = [DETAILS, SCORE, FORMATTED];
const OBJECTS = [DETAILS, FORMATTED];

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
    if (bytes[at] === CLOSE_BRACE) at++;
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

/** Where the members of an object end that holds no objects, and where among them the injected fields are. */
type FlatEnd = {
  readonly injected: number;
  /** Behind the last member; behind the closing brace where other members than the injected ones are the last. */
  readonly end: number;
};

function endOfFlat(bytes: Buffer, start: number): FlatEnd | undefined {
  const brace = bytes.indexOf(OPEN_BRACE, start + 1);
  if (brace === -1) return undefined;
  const injected = findInjected(bytes, start, brace);
  if (injected === undefined) return undefined;
  const end = injected === -1 ? memberWith(bytes, start, brace) : behindInjected(bytes, injected);
  return end === -1 ? undefined : { injected, end };
}

function behindInjected(bytes: Buffer, injected: number): number {
  const end = injected + INJECTED_BYTES;
  if (bytes[end] === CLOSE_BRACE || TAIL.some((name) => startsAt(bytes, end, name))) return end;
  return memberWith(bytes, end, bytes.indexOf(OPEN_BRACE, end));
}

/** Where the member begins, behind `start`, whose value begins with `brace`; -1 where it is none of {@link OBJECTS}. */
function memberWith(bytes: Buffer, start: number, brace: number): number {
  for (const name of OBJECTS) {
    const member = brace + 1 - name.length;
    if (member > start && startsAt(bytes, member, name)) return member;
  }
  return -1;
}

/**
 * Where the injected fields begin in front of `brace`, the first one behind `start`, or around it; -1 where there are none, undefined where there is something like
 * them. Most codes hold a brace themselves, which spares a search.
 */
function findInjected(bytes: Buffer, start: number, brace: number): number | undefined {
  for (let at = brace; at > start && at > brace - INJECTED_BYTES; at--) {
    if (bytes[at] === COMMA && isInjected(bytes, at)) return at;
  }
  const name = bytes.indexOf(INJECTED_NAME, start);
  if (name === -1 || name > brace) return -1;
  return isInjected(bytes, name - 1) ? name - 1 : undefined;
}
