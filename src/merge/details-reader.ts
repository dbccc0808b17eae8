import { BACKSLASH, CLOSE_BRACE, COLON, COMMA, OPEN_BRACE, QUOTE } from "../json/bytes.js";
import { decodeKey, decodeString } from "../json/members.js";
import { readNumber } from "../json/number.js";
import { stringEnd } from "../json/scan.js";
import { type RuleDetails, ruleDetails, type ScoreDetails } from "./score-details.js";

/** What {@link readScoreDetails} has read. */
export type ReadDetails = {
  readonly details: ScoreDetails;
  /** Behind the closing brace. */
  readonly end: number;
};

/**
 * Reads the details that begin at `start` as `parseScoreDetails` does, without building what it does not keep: most hits of a search
 * share most of what the first rules say of them, so that a rule which is written as another one was is that one.
 *
 * @returns undefined for what is not written as Meilisearch does; that is for `parseScoreDetails`
 */
export function readScoreDetails(bytes: Uint8Array, start: number): ReadDetails | undefined {
  if (bytes[start] !== OPEN_BRACE) return undefined;
  const details: RuleDetails[] = [];
  let at = start + 1;
  if (bytes[at] === CLOSE_BRACE) return { details, end: at + 1 };
  for (let order = 0; order < MEMORIES.length; order++) {
    const memory = MEMORIES[order] as RuleMemory;
    const rule = startsWith(bytes, at, memory.text) ? memory.rule : undefined;
    const end = rule === undefined ? readRule(bytes, at, order, memory, details) : at + memory.text.length;
    if (end === -1) return undefined;
    if (rule !== undefined) details.push(rule);
    if (bytes[end] === CLOSE_BRACE) return hasOneOfEach(details) ? { details, end: end + 1 } : undefined;
    if (bytes[end] !== COMMA) return undefined;
    at = end + 1;
  }
  return undefined;
}

/** How the rule at one place was written last. */
type RuleMemory = { text: Uint8Array; rule: RuleDetails | undefined };

const NOTHING = Buffer.alloc(0);
const MEMORIES: readonly RuleMemory[] = Array.from({ length: 16 }, () => ({
  text: NOTHING,
  rule: undefined,
}));
const LONGEST_REMEMBERED = 200;

function startsWith(bytes: Uint8Array, start: number, text: Uint8Array): boolean {
  const { length } = text;
  if (length === 0) return false;
  // The values stand at the end, the names in front are nearly always the same.
  for (let i = length - 1; i >= 0; i--) if (bytes[start + i] !== text[i]) return false;
  return true;
}

/** Adds the rule that begins at `start` to `details`; its end, or -1 where it is written otherwise than expected. */
function readRule(
  bytes: Uint8Array,
  start: number,
  order: number,
  memory: RuleMemory,
  details: RuleDetails[],
): number {
  const keyEnd = plainStringEnd(bytes, start);
  if (keyEnd === -1 || bytes[keyEnd] !== COLON || bytes[keyEnd + 1] !== OPEN_BRACE) return -1;
  // Names that JavaScript takes for array indices would be put in another order.
  const first = bytes[start + 1] as number;
  if (first >= 0x30 && first <= 0x39) return -1;
  const entry: Record<string, string | number | null> = {};
  let at = keyEnd + 2;
  for (;;) {
    const nameEnd = plainStringEnd(bytes, at);
    if (nameEnd === -1 || bytes[nameEnd] !== COLON) return -1;
    const name = decodeKey(bytes, at, nameEnd);
    at = readValue(bytes, nameEnd + 1, entry, name);
    if (at === -1) return -1;
    if (bytes[at] === CLOSE_BRACE) break;
    if (bytes[at] !== COMMA) return -1;
    at++;
  }
  if (entry.order !== order) return -1;
  const rule = ruleDetails(decodeKey(bytes, start, keyEnd), entry);
  if (rule === undefined) return -1;
  details.push(rule);
  const end = at + 1;
  if (rule.kind !== "sort" && rule.kind !== "geo" && end - start <= LONGEST_REMEMBERED) {
    memory.text = bytes.slice(start, end);
    memory.rule = rule;
  }
  return end;
}

/** Puts the value at `at` into `entry`; its end, or -1 for what has no place in an entry. */
function readValue(
  bytes: Uint8Array,
  at: number,
  entry: Record<string, string | number | null>,
  name: string,
): number {
  // It would not become a member.
  if (name === "__proto__") return -1;
  const byte = bytes[at] as number;
  if (byte === QUOTE) {
    const end = stringEnd(bytes, at);
    entry[name] = decodeString(bytes, at, end);
    return end;
  }
  if (byte === 0x6e) {
    entry[name] = null;
    return at + 4;
  }
  if (byte !== 0x2d && (byte < 0x30 || byte > 0x39)) return -1;
  let end = at + 1;
  while (end < bytes.length && bytes[end] !== COMMA && bytes[end] !== CLOSE_BRACE) end++;
  entry[name] = readNumber(bytes, at, end);
  return end;
}

/** The end of a string without escapes, -1 for anything else. */
function plainStringEnd(bytes: Uint8Array, start: number): number {
  if (bytes[start] !== QUOTE) return -1;
  for (let at = start + 1; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) return at + 1;
    if (byte === BACKSLASH) return -1;
  }
  return -1;
}

function hasOneOfEach(details: readonly RuleDetails[]): boolean {
  for (let i = 1; i < details.length; i++) {
    const { name } = details[i] as RuleDetails;
    for (let j = 0; j < i; j++) if (details[j]?.name === name) return false;
  }
  return true;
}
