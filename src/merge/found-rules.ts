import { BACKSLASH, CLOSE_BRACE, COLON, COMMA, OPEN_BRACE, QUOTE } from "../json/bytes.js";
import { asBuffer } from "../json/members.js";
import { plainStringEnd, stringEnd } from "../json/scan.js";
import { SEQUENCE_SYMBOLS } from "../placement/injected-fields.js";
import { compareRule } from "./compare.js";
import { startsAt } from "./injected-bytes.js";
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
    private readonly start: number,
    /** Where the rules' names begin, each behind the brace or comma in front of it, counted from `start`. */
    private readonly names: readonly number[],
    /** Behind the brace that closes the details. */
    readonly end: number,
    /** Bytes in front of the sequence, where the last rule is the sequence rule and nothing follows it; -1 elsewhere. */
    private readonly head: number,
  ) {}

  /**
   * Finds the rules of the details that begin at `start`.
   *
   * @param previous the rules of another hit: where these are written alike but for the sequence, they need no second look
   * @returns undefined for what is not written as Meilisearch does; that is for `parseScoreDetails`
   */
  static find(bytes: Uint8Array, start: number, previous?: FoundRules): FoundRules | undefined {
    if (previous?.isWrittenAt(bytes, start) === true) {
      const end = start + previous.end - previous.start;
      return new FoundRules(bytes, start, previous.names, end, previous.head);
    }
    if (bytes[start] !== OPEN_BRACE) return undefined;
    const names: number[] = [];
    let at = start + 1;
    if (bytes[at] === CLOSE_BRACE) return new FoundRules(bytes, start, names, at + 1, -1);
    for (;;) {
      const nameEnd = plainNameEnd(bytes, at);
      if (nameEnd === -1 || isNamedBefore(bytes, start, names, at, nameEnd)) return undefined;
      const end = entryEnd(bytes, nameEnd, names.length);
      if (end === -1) return undefined;
      names.push(at - start);
      if (bytes[end] === CLOSE_BRACE) {
        return new FoundRules(bytes, start, names, end + 1, sequenceHead(bytes, start, at, end));
      }
      if (bytes[end] !== COMMA) return undefined;
      at = end + 1;
    }
  }

  /** All of them, read; undefined where one of them is none that is known. */
  details(): ScoreDetails | undefined {
    const details: RuleDetails[] = [];
    for (let at = 0; at < this.names.length; at++) {
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
    if (this.#hasHeadOf(other.bytes, other.start, other.head)) return this.#compareSequence(other);
    const { length } = this.names;
    if (other.names.length !== length) return undefined;
    for (let at = 0; at < length; at++) {
      if (this.#isWrittenLike(other, at)) continue;
      const rule = this.#rule(at);
      const otherRule = other.#rule(at);
      if (rule === undefined || otherRule === undefined) return undefined;
      const order = compareRule(rule, otherRule);
      if (order !== 0) return order;
    }
    return 0;
  }

  /** Whether details like these, with any sequence, begin at `start`. */
  private isWrittenAt(bytes: Uint8Array, start: number): boolean {
    if (!this.#hasHeadOf(bytes, start, this.head)) return false;
    const at = start + this.head;
    return isSequence(bytes, at) && startsAt(bytes, at + SEQUENCE_SYMBOLS, SEQUENCE_END);
  }

  /** Whether all in front of the sequence is the same as the `head` bytes at `start`. */
  #hasHeadOf(bytes: Uint8Array, start: number, head: number): boolean {
    if (head === -1 || head !== this.head || start + head > bytes.length) return false;
    return asBuffer(this.bytes).compare(bytes, start, start + head, this.start, this.start + head) === 0;
  }

  /** Symbols are in the order of their bytes, and there are as many in every sequence. */
  #compareSequence(other: FoundRules): number {
    const mine = this.start + this.head;
    const theirs = other.start + other.head;
    for (let i = 0; i < SEQUENCE_SYMBOLS; i++) {
      const order = (this.bytes[mine + i] as number) - (other.bytes[theirs + i] as number);
      if (order !== 0) return order;
    }
    return 0;
  }

  #isWrittenLike(other: FoundRules, at: number): boolean {
    const start = this.#ruleStart(at);
    const theirs = other.#ruleStart(at);
    const length = this.#ruleEnd(at) - start;
    if (other.#ruleEnd(at) - theirs !== length) return false;
    const { bytes } = this;
    const others = other.bytes;
    for (let i = 0; i < length; i++) if (bytes[start + i] !== others[theirs + i]) return false;
    return true;
  }

  #ruleStart(at: number): number {
    return this.start + (this.names[at] as number);
  }

  #ruleEnd(at: number): number {
    return (at + 1 < this.names.length ? this.#ruleStart(at + 1) : this.end) - 1;
  }

  #rule(at: number): RuleDetails | undefined {
    this.#read ??= [];
    this.#read[at] ??= readRule(this.bytes, this.#ruleStart(at), at);
    return this.#read[at];
  }
}

const SEQUENCE_START = Buffer.from(`"${SEQUENCE_RULE}":{"order":`);
const SEQUENCE_VALUE = Buffer.from(',"value":"');
const SEQUENCE_END = Buffer.from('"}}');
const ORDER = Buffer.from('"order":');
const DIGIT_0 = 0x30;

/** Behind the closing quote of a name without escapes; -1 for anything else, and for one that JavaScript would put elsewhere. */
function plainNameEnd(bytes: Uint8Array, start: number): number {
  const first = bytes[start + 1] as number;
  return first >= DIGIT_0 && first <= DIGIT_0 + 9 ? -1 : plainStringEnd(bytes, start);
}

function isNamedBefore(
  bytes: Uint8Array,
  start: number,
  names: readonly number[],
  name: number,
  nameEnd: number,
): boolean {
  for (const other of names) {
    let i = 0;
    while (name + i < nameEnd && bytes[start + other + i] === bytes[name + i]) i++;
    if (name + i === nameEnd) return true;
  }
  return false;
}

/** How far behind `start` the sequence of the rule that is written from `name` to `end` stands; -1 where that is another rule. */
function sequenceHead(bytes: Uint8Array, start: number, name: number, end: number): number {
  const sequence = end - SEQUENCE_END.length + 1 - SEQUENCE_SYMBOLS;
  if (sequence - SEQUENCE_VALUE.length <= name || !startsAt(bytes, name, SEQUENCE_START)) return -1;
  if (!startsAt(bytes, sequence - SEQUENCE_VALUE.length, SEQUENCE_VALUE)) return -1;
  return isSequence(bytes, sequence) ? sequence - start : -1;
}

/** Whether so many symbols stand at `at`: a quote or a backslash among them would make it another value. */
function isSequence(bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < SEQUENCE_SYMBOLS; i++) {
    const byte = bytes[at + i];
    if (byte === undefined || byte === QUOTE || byte === BACKSLASH) return false;
  }
  return true;
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
