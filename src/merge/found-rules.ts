import { BACKSLASH, CLOSE_BRACE, COLON, COMMA, OPEN_BRACE, QUOTE } from "../json/bytes.js";
import { stringEnd } from "../json/scan.js";
import { SEQUENCE_SYMBOLS } from "../placement/injected-fields.js";
import { compareRule } from "./compare.js";
import { SEQUENCE_RULE } from "./injected-fields.js";
import { readRule } from "./rule-reader.js";
import type { RuleDetails, ScoreDetails } from "./score-details.js";

/**
 * The rules of a hit's score details, found but not read: most of what hits are compared by is written alike, which their bytes tell
 * without a value made of them.
 */
export class FoundRules {
  /** What was read so far, by place. */
  #read: (RuleDetails | undefined)[] | undefined;

  private constructor(
    private readonly bytes: Uint8Array,
    /** Where the rules' names begin, each behind the brace or comma in front of it. */
    private readonly starts: readonly number[],
    /** Behind the brace that closes the details. */
    readonly end: number,
  ) {}

  /**
   * Finds the rules of the details that begin at `start`.
   *
   * @returns undefined for what is not written as Meilisearch does; that is for `parseScoreDetails`
   */
  static find(bytes: Uint8Array, start: number): FoundRules | undefined {
    if (bytes[start] !== OPEN_BRACE) return undefined;
    const starts: number[] = [];
    let at = start + 1;
    if (bytes[at] === CLOSE_BRACE) return new FoundRules(bytes, starts, at + 1);
    for (;;) {
      const nameEnd = plainNameEnd(bytes, at);
      if (nameEnd === -1 || isNamedBefore(bytes, starts, at, nameEnd)) return undefined;
      const end = entryEnd(bytes, nameEnd, starts.length);
      if (end === -1) return undefined;
      starts.push(at);
      if (bytes[end] === CLOSE_BRACE) return new FoundRules(bytes, starts, end + 1);
      if (bytes[end] !== COMMA) return undefined;
      at = end + 1;
    }
  }

  /** All of them, read; undefined where one of them is none that is known. */
  details(): ScoreDetails | undefined {
    const details: RuleDetails[] = [];
    for (let at = 0; at < this.starts.length; at++) {
      const rule = this.#rule(at);
      if (rule === undefined) return undefined;
      details.push(rule);
    }
    return details;
  }

  /**
   * Compares as `compareScoreDetails` does, reading no more than the rules that are written differently.
   *
   * @returns undefined where that is not to be told from single rules
   */
  compare(other: FoundRules): number | undefined {
    const { length } = this.starts;
    if (other.starts.length !== length) return undefined;
    for (let at = 0; at < length; at++) {
      const difference = this.#difference(other, at);
      if (difference === -1) continue;
      if (this.#isSequence(at) && other.#isSequence(at)) {
        // Symbols are in the order of their bytes, and there are as many in every sequence.
        const start = this.starts[at] as number;
        const theirs = other.starts[at] as number;
        return (this.bytes[start + difference] as number) - (other.bytes[theirs + difference] as number);
      }
      const rule = this.#rule(at);
      const otherRule = other.#rule(at);
      if (rule === undefined || otherRule === undefined) return undefined;
      const order = compareRule(rule, otherRule);
      if (order !== 0) return order;
    }
    return 0;
  }

  #ruleEnd(at: number): number {
    return (at + 1 < this.starts.length ? (this.starts[at + 1] as number) : this.end) - 1;
  }

  /** Where two rules begin to be written differently, counted from their start; -1 where they do not. */
  #difference(other: FoundRules, at: number): number {
    const { bytes } = this;
    const start = this.starts[at] as number;
    const theirs = other.starts[at] as number;
    const length = this.#ruleEnd(at) - start;
    const theirLength = other.#ruleEnd(at) - theirs;
    const common = length < theirLength ? length : theirLength;
    const others = other.bytes;
    for (let i = 0; i < common; i++) if (bytes[start + i] !== others[theirs + i]) return i;
    return length === theirLength ? -1 : common;
  }

  #isSequence(at: number): boolean {
    const { bytes } = this;
    const start = this.starts[at] as number;
    if (this.#ruleEnd(at) - start !== SEQUENCE_RULE_BYTES + `${at}`.length) return false;
    for (let i = 0; i < SEQUENCE_START.length; i++) if (bytes[start + i] !== SEQUENCE_START[i]) return false;
    return true;
  }

  #rule(at: number): RuleDetails | undefined {
    this.#read ??= [];
    this.#read[at] ??= readRule(this.bytes, this.starts[at] as number, at);
    return this.#read[at];
  }
}

const SEQUENCE_START = Buffer.from(`"${SEQUENCE_RULE}":{"order":`);
/** Of the rule, without the digits of its place. */
const SEQUENCE_RULE_BYTES = SEQUENCE_START.length + ',"value":""}'.length + SEQUENCE_SYMBOLS;
const ORDER = Buffer.from('"order":');
const DIGIT_0 = 0x30;

/** Behind the closing quote of a name without escapes; -1 for anything else, and for one that JavaScript would put elsewhere. */
function plainNameEnd(bytes: Uint8Array, start: number): number {
  if (bytes[start] !== QUOTE) return -1;
  const first = bytes[start + 1] as number;
  if (first >= DIGIT_0 && first <= DIGIT_0 + 9) return -1;
  for (let at = start + 1; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) return at + 1;
    if (byte === BACKSLASH) return -1;
  }
  return -1;
}

function isNamedBefore(bytes: Uint8Array, starts: readonly number[], start: number, end: number): boolean {
  for (const other of starts) {
    let i = 0;
    while (start + i < end && bytes[other + i] === bytes[start + i]) i++;
    if (start + i === end) return true;
  }
  return false;
}

/** Behind the brace that closes a rule's entry, which says first that it stands at `place` and holds no entries itself; -1 otherwise. */
function entryEnd(bytes: Uint8Array, nameEnd: number, place: number): number {
  if (bytes[nameEnd] !== COLON || bytes[nameEnd + 1] !== OPEN_BRACE) return -1;
  let at = nameEnd + 2;
  for (let i = 0; i < ORDER.length; i++) if (bytes[at + i] !== ORDER[i]) return -1;
  at += ORDER.length;
  let order = 0;
  const digits = at;
  for (; ; at++) {
    const digit = (bytes[at] as number) - DIGIT_0;
    if (!(digit >= 0 && digit <= 9)) break;
    order = order * 10 + digit;
  }
  if (at === digits || order !== place) return -1;
  while (at < bytes.length) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      at = stringEnd(bytes, at);
      continue;
    }
    if (byte === CLOSE_BRACE) return at + 1;
    if (byte === OPEN_BRACE) return -1;
    at++;
  }
  return -1;
}
