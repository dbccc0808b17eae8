import { isUtf8 } from "node:buffer";
import {
  BACKSLASH,
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
} from "./bytes.js";
import { decodeKey, type JsonMember } from "./members.js";
import { JsonSyntaxError, skipWhitespace } from "./scan.js";
import { PLAIN, validateEscape, validateLiteral, validateNumber } from "./validate.js";

/** An object that was found whole, checked and good. */
export interface ScannedObject {
  /** Behind its closing brace. */
  readonly end: number;
  /** Its own members, as offsets from its opening brace; as `objectMembers` gives them. */
  readonly members: JsonMember[];
}

/** Deeper objects are left to `validateValue`, which goes as deep as serde_json. */
const MAX_DEPTH = 64;

/** Bytes of a string looked at one by one before words of four are. */
const SHORT_STRING_BYTES = 12;

/**
 * Reads objects out of a chunk in one pass: where each ends, that it is sound, and its members. What it gives,
 * `validateValue` and `objectMembers` give too. It says nothing about what it does not give: that may be cut off by the
 * chunk's end, wrong, or too unusual, and is for `validateValue` to judge.
 */
export class ObjectScanner {
  private readonly utf8Known: boolean;
  /** The chunk's bytes from `wordStart` on, four at a time. */
  private readonly words: Int32Array;
  private readonly wordStart: number;

  constructor(private readonly bytes: Buffer) {
    // One native pass over the chunk spares every object its own check.
    this.utf8Known = isUtf8(bytes);
    this.wordStart = -bytes.byteOffset & 3;
    const words = Math.max(0, (bytes.length - this.wordStart) >> 2);
    this.words = new Int32Array(bytes.buffer, words === 0 ? 0 : bytes.byteOffset + this.wordStart, words);
  }

  /** The object whose opening brace is at `start`; undefined where this is not for the scanner to say. */
  scan(start: number): ScannedObject | undefined {
    const members: JsonMember[] = [];
    let end: number;
    try {
      end = this.objectEnd(start, 0, members);
    } catch (error) {
      if (error instanceof JsonSyntaxError) return undefined;
      throw error;
    }
    if (end === -1 || (!this.utf8Known && !isUtf8(this.bytes.subarray(start, end)))) return undefined;
    return { end, members };
  }

  /** @param members filled for the outermost object alone */
  private objectEnd(start: number, depth: number, members: JsonMember[] | undefined): number {
    const { bytes } = this;
    const { length } = bytes;
    if (depth === MAX_DEPTH) return -1;
    let memberStart = start + 1;
    let keyStart = skipWhitespace(bytes, memberStart);
    if (bytes[keyStart] === CLOSE_BRACE) return keyStart + 1;
    for (;;) {
      if (bytes[keyStart] !== QUOTE) return -1;
      const keyEnd = this.stringEnd(keyStart);
      if (keyEnd === -1) return -1;
      const colon = bytes[keyEnd] === COLON ? keyEnd : skipWhitespace(bytes, keyEnd);
      if (bytes[colon] !== COLON) return -1;
      const valueStart = skipWhitespace(bytes, colon + 1);
      const valueEnd = this.valueEnd(valueStart, depth);
      if (valueEnd === -1) return -1;
      if (members !== undefined) {
        members.push({
          key: decodeKey(bytes, keyStart, keyEnd),
          memberStart: memberStart - start,
          keyStart: keyStart - start,
          keyEnd: keyEnd - start,
          valueStart: valueStart - start,
          valueEnd: valueEnd - start,
        });
      }
      const next = skipWhitespace(bytes, valueEnd);
      if (next >= length) return -1;
      if (bytes[next] === CLOSE_BRACE) return next + 1;
      if (bytes[next] !== COMMA) return -1;
      memberStart = next + 1;
      keyStart = skipWhitespace(bytes, memberStart);
    }
  }

  private arrayEnd(start: number, depth: number): number {
    const { bytes } = this;
    const { length } = bytes;
    if (depth === MAX_DEPTH) return -1;
    let at = skipWhitespace(bytes, start + 1);
    if (bytes[at] === CLOSE_BRACKET) return at + 1;
    for (;;) {
      const end = this.valueEnd(at, depth);
      if (end === -1) return -1;
      const next = skipWhitespace(bytes, end);
      if (next >= length) return -1;
      if (bytes[next] === CLOSE_BRACKET) return next + 1;
      if (bytes[next] !== COMMA) return -1;
      at = skipWhitespace(bytes, next + 1);
    }
  }

  private valueEnd(at: number, depth: number): number {
    const { bytes } = this;
    if (at >= bytes.length) return -1;
    const byte = bytes[at] as number;
    switch (byte) {
      case QUOTE:
        return this.stringEnd(at);
      case OPEN_BRACE:
        return this.objectEnd(at, depth + 1, undefined);
      case OPEN_BRACKET:
        return this.arrayEnd(at, depth + 1);
      case 0x74: // t
        return validateLiteral(bytes, at, "true");
      case 0x66: // f
        return validateLiteral(bytes, at, "false");
      case 0x6e: // n
        return validateLiteral(bytes, at, "null");
      default:
        return validateNumber(bytes, at, byte, true);
    }
  }

  private stringEnd(start: number): number {
    const { bytes } = this;
    const { length } = bytes;
    let at = start + 1;
    for (;;) {
      at = this.plainEnd(at);
      if (at >= length) return -1;
      const byte = bytes[at];
      if (byte === QUOTE) return at + 1;
      if (byte !== BACKSLASH) return -1;
      at = validateEscape(bytes, at);
    }
  }

  /** The first byte from `from` on that is a quote, a backslash or a control character; the chunk's length if there is none. */
  private plainEnd(from: number): number {
    const { bytes, words, wordStart } = this;
    const { length } = bytes;
    let at = from;
    const near = Math.min(from + SHORT_STRING_BYTES, length);
    while (at < near && PLAIN[bytes[at] as number] === 1) at++;
    if (at < near) return at;
    while (at < length && ((at - wordStart) & 3) !== 0) {
      if (PLAIN[bytes[at] as number] !== 1) return at;
      at++;
    }
    // Behind the last whole word there is none to go on with.
    if (at >= length) return length;
    let word = (at - wordStart) >> 2;
    while (word < words.length && isPlainWord(words[word] as number)) word++;
    at = wordStart + word * 4;
    while (at < length && PLAIN[bytes[at] as number] === 1) at++;
    return Math.min(at, length);
  }
}

/** Whether none of the word's four bytes is below 0x20, a quote or a backslash. */
function isPlainWord(word: number): boolean {
  const quotes = word ^ 0x22222222;
  const backslashes = word ^ 0x5c5c5c5c;
  // A byte's high bit is set where the byte was smaller than what is taken from it and had no high bit itself.
  const found =
    ((word - 0x20202020) & ~word) |
    ((quotes - 0x01010101) & ~quotes) |
    ((backslashes - 0x01010101) & ~backslashes);
  return (found & 0x80808080) === 0;
}
