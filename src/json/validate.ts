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
import { skipWhitespace, syntaxErrorAt } from "./scan.js";

/** serde_json refuses the 128th container inside one another. */
const MAX_DEPTH = 127;

/** A number shorter than this and without an exponent cannot leave the range of a double. */
const SHORT_NUMBER_BYTES = 300;

/** Which byte may follow a backslash, `u` apart. */
const SIMPLE_ESCAPE = byteSet('"\\/bfnrt');

/** Bytes that continue a string without a closer look: everything but controls, quote and backslash. */
export const PLAIN = plainBytes();

/**
 * Checks that `bytes` hold one JSON value and nothing else but white space, as strictly as serde_json:
 * UTF-8 and surrogate escapes must be sound, numbers must fit a double, containers nest 127 deep at most.
 *
 * @throws JsonSyntaxError with serde_json's wording, line and column
 */
export function validateJson(bytes: Uint8Array): void {
  const end = validateValue(bytes, 0);
  const rest = skipWhitespace(bytes, end);
  if (rest < bytes.length) throw syntaxErrorAt(bytes, rest, "trailing characters");
}

/**
 * How serde_json reads a value, which shows in the wording of its errors alone: `value` builds it, `raw`
 * steps over it to keep its text, as Meilisearch does with the documents of an array or of NDJSON. The
 * same texts pass either way: a `raw` reader of Meilisearch's finds lone surrogates, numbers out of range
 * and bottomless nesting later, in a task that fails the tasks beside it too.
 */
export type Reading = "value" | "raw";

/**
 * Checks the one JSON value that begins at or, behind white space, after `start`, and says where it ends
 * (exclusive). What follows it is not looked at.
 *
 * @param reading whose wording errors have; `value` by default
 * @throws JsonSyntaxError with serde_json's wording, line and column
 */
export function validateValue(bytes: Uint8Array, start: number, reading: Reading = "value"): number {
  // One native pass over the whole text spares every string its own check.
  const utf8Known = isUtf8(bytes);
  if (reading === "value") return walkValue(bytes, start, utf8Known, false);
  const end = walkValue(bytes, start, true, true);
  if (!utf8Known && !isUtf8(bytes.subarray(start, end))) {
    throw syntaxErrorAt(bytes, end - 1, "invalid unicode code point");
  }
  return end;
}

function walkValue(bytes: Uint8Array, start: number, utf8Known: boolean, raw: boolean): number {
  const enclosing = new Uint8Array(MAX_DEPTH);
  let depth = 0;
  let at = start;
  for (;;) {
    at = skipWhitespace(bytes, at);
    const byte = at < bytes.length ? bytes[at] : undefined;
    switch (byte) {
      case QUOTE:
        at = validateString(bytes, at, utf8Known, raw);
        break;
      case OPEN_BRACE:
      case OPEN_BRACKET: {
        if (depth === MAX_DEPTH) throw syntaxErrorAt(bytes, at, "recursion limit exceeded");
        const inside = skipWhitespace(bytes, at + 1);
        if (inside < bytes.length && bytes[inside] === byte + 2) {
          // `}` and `]` lie two behind their opening brackets.
          at = inside + 1;
          break;
        }
        enclosing[depth++] = byte;
        at =
          byte === OPEN_BRACE
            ? memberValueStart(bytes, inside, false, utf8Known, raw)
            : firstElement(bytes, inside);
        continue;
      }
      case 0x74: // t
        at = validateLiteral(bytes, at, "true");
        break;
      case 0x66: // f
        at = validateLiteral(bytes, at, "false");
        break;
      case 0x6e: // n
        at = validateLiteral(bytes, at, "null");
        break;
      case undefined:
        throw syntaxErrorAt(bytes, at, "EOF while parsing a value");
      default:
        at = validateNumber(bytes, at, byte, raw);
    }

    // A value is complete: close what it completes, up to the next value.
    for (;;) {
      if (depth === 0) return at;
      at = skipWhitespace(bytes, at);
      const next = at < bytes.length ? bytes[at] : undefined;
      if (enclosing[depth - 1] === OPEN_BRACE) {
        if (next === COMMA) {
          at = memberValueStart(bytes, skipWhitespace(bytes, at + 1), true, utf8Known, raw);
          break;
        }
        if (next !== CLOSE_BRACE) throw delimiterError(bytes, at, "object", "}");
      } else {
        if (next === COMMA) {
          at = laterElement(bytes, skipWhitespace(bytes, at + 1), raw);
          break;
        }
        if (next !== CLOSE_BRACKET) throw delimiterError(bytes, at, "list", "]");
      }
      depth--;
      at++;
    }
  }
}

/** Reads a key and its colon; `at` is where the key should begin. */
function memberValueStart(
  bytes: Uint8Array,
  at: number,
  afterComma: boolean,
  utf8Known: boolean,
  raw: boolean,
): number {
  if (at >= bytes.length) {
    throw syntaxErrorAt(
      bytes,
      at,
      afterComma && !raw ? "EOF while parsing a value" : "EOF while parsing an object",
    );
  }
  if (bytes[at] !== QUOTE) {
    const trailing = afterComma && !raw && bytes[at] === CLOSE_BRACE;
    throw syntaxErrorAt(bytes, at, trailing ? "trailing comma" : "key must be a string");
  }
  const colon = skipWhitespace(bytes, validateString(bytes, at, utf8Known, raw));
  if (colon >= bytes.length) throw syntaxErrorAt(bytes, colon, "EOF while parsing an object");
  if (bytes[colon] !== COLON) throw syntaxErrorAt(bytes, colon, "expected `:`");
  return colon + 1;
}

function firstElement(bytes: Uint8Array, at: number): number {
  if (at >= bytes.length) throw syntaxErrorAt(bytes, at, "EOF while parsing a list");
  return at;
}

function laterElement(bytes: Uint8Array, at: number, raw: boolean): number {
  if (!raw && at < bytes.length && bytes[at] === CLOSE_BRACKET)
    throw syntaxErrorAt(bytes, at, "trailing comma");
  return at;
}

function delimiterError(bytes: Uint8Array, at: number, kind: "object" | "list", close: string): Error {
  if (at < bytes.length) return syntaxErrorAt(bytes, at, `expected \`,\` or \`${close}\``);
  return syntaxErrorAt(
    bytes,
    at,
    kind === "object" ? "EOF while parsing an object" : "EOF while parsing a list",
  );
}

export function validateLiteral(bytes: Uint8Array, start: number, literal: string): number {
  for (let i = 1; i < literal.length; i++) {
    const at = start + i;
    if (at >= bytes.length) throw syntaxErrorAt(bytes, bytes.length, "EOF while parsing a value");
    if (bytes[at] !== literal.charCodeAt(i)) throw syntaxErrorAt(bytes, at, "expected ident");
  }
  return start + literal.length;
}

function validateString(bytes: Uint8Array, start: number, utf8Known: boolean, raw: boolean): number {
  const length = bytes.length;
  let i = start + 1;
  while (i < length) {
    const byte = bytes[i] as number;
    if (PLAIN[byte] === 1) {
      i++;
    } else if (byte === QUOTE) {
      if (!utf8Known && !isUtf8(bytes.subarray(start + 1, i))) {
        throw syntaxErrorAt(bytes, i, "invalid unicode code point");
      }
      return i + 1;
    } else if (byte === BACKSLASH) {
      i = validateEscape(bytes, i);
    } else {
      // A raw reader has not taken the byte yet when it complains.
      throw syntaxErrorAt(
        bytes,
        raw ? i - 1 : i,
        "control character (\\u0000-\\u001F) found while parsing a string",
      );
    }
  }
  throw syntaxErrorAt(bytes, length, "EOF while parsing a string");
}

/** End of the escape whose backslash is at `start`; a pair of surrogate escapes is one. */
export function validateEscape(bytes: Uint8Array, start: number): number {
  const kind = byteInString(bytes, start + 1);
  if (kind !== 0x75) {
    if (SIMPLE_ESCAPE[kind] === 1) return start + 2;
    throw syntaxErrorAt(bytes, start + 1, "invalid escape");
  }
  const lead = hexEscape(bytes, start + 2);
  const leadEnd = start + 6;
  if (lead < 0xd800 || lead > 0xdfff) return leadEnd;
  if (lead >= 0xdc00) throw syntaxErrorAt(bytes, leadEnd - 1, "lone leading surrogate in hex escape");
  if (byteInString(bytes, leadEnd) !== BACKSLASH) {
    throw syntaxErrorAt(bytes, leadEnd, "unexpected end of hex escape");
  }
  if (byteInString(bytes, leadEnd + 1) !== 0x75) {
    throw syntaxErrorAt(bytes, leadEnd + 1, "unexpected end of hex escape");
  }
  const trail = hexEscape(bytes, leadEnd + 2);
  const trailEnd = leadEnd + 6;
  if (trail < 0xdc00 || trail > 0xdfff) {
    throw syntaxErrorAt(bytes, trailEnd - 1, "lone leading surrogate in hex escape");
  }
  return trailEnd;
}

function byteInString(bytes: Uint8Array, at: number): number {
  if (at >= bytes.length) throw syntaxErrorAt(bytes, bytes.length, "EOF while parsing a string");
  return bytes[at] as number;
}

function hexEscape(bytes: Uint8Array, start: number): number {
  if (start + 4 > bytes.length) throw syntaxErrorAt(bytes, bytes.length, "EOF while parsing a string");
  let value = 0;
  for (let i = start; i < start + 4; i++) {
    const digit = hexDigit(bytes[i] as number);
    if (digit === -1) throw syntaxErrorAt(bytes, start + 3, "invalid escape");
    value = value * 16 + digit;
  }
  return value;
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

export function validateNumber(bytes: Uint8Array, start: number, first: number, raw: boolean): number {
  const length = bytes.length;
  let i = start;
  if (first === 0x2d) {
    i++;
    if (i >= length || !isDigit(bytes[i])) throw numberCutShort(bytes, i, raw);
  } else if (!isDigit(first)) {
    throw syntaxErrorAt(bytes, start, "expected value");
  }

  const leadingZero = bytes[i] === 0x30;
  i++;
  if (leadingZero) {
    if (i < length && isDigit(bytes[i])) throw syntaxErrorAt(bytes, i, "invalid number");
  } else {
    i = digitsEnd(bytes, i);
  }

  if (i < length && bytes[i] === 0x2e) {
    const fraction = i + 1;
    i = digitsEnd(bytes, fraction);
    if (i === fraction) throw numberCutShort(bytes, i, raw);
  }

  let exponentDigits = -1;
  if (i < length && ((bytes[i] as number) | 0x20) === 0x65) {
    i++;
    if (i < length && (bytes[i] === 0x2b || bytes[i] === 0x2d)) i++;
    exponentDigits = i;
    i = digitsEnd(bytes, i);
    if (i === exponentDigits) throw numberCutShort(bytes, i, raw);
  }

  if ((exponentDigits !== -1 || i - start >= SHORT_NUMBER_BYTES) && !isFiniteNumber(bytes, start, i)) {
    throw syntaxErrorAt(bytes, rangeErrorOffset(bytes, exponentDigits, i), "number out of range");
  }
  return i;
}

/** serde_json gives up inside an exponent that no longer fits 32 bits, and behind the number otherwise. */
function rangeErrorOffset(bytes: Uint8Array, exponentDigits: number, end: number): number {
  if (exponentDigits === -1 || bytes[exponentDigits - 1] === 0x2d) return end - 1;
  let exponent = 0;
  for (let i = exponentDigits; i < end; i++) {
    exponent = exponent * 10 + (bytes[i] as number) - 0x30;
    if (exponent > 0x7fffffff) return i;
  }
  return end - 1;
}

function isFiniteNumber(bytes: Uint8Array, start: number, end: number): boolean {
  return Number.isFinite(Number(Buffer.from(bytes.subarray(start, end)).toString("latin1")));
}

function numberCutShort(bytes: Uint8Array, at: number, raw: boolean): Error {
  return at >= bytes.length && !raw
    ? syntaxErrorAt(bytes, bytes.length, "EOF while parsing a value")
    : syntaxErrorAt(bytes, at, "invalid number");
}

function digitsEnd(bytes: Uint8Array, start: number): number {
  let i = start;
  while (i < bytes.length && isDigit(bytes[i])) i++;
  return i;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

function byteSet(characters: string): Uint8Array {
  const set = new Uint8Array(256);
  for (const character of characters) set[character.charCodeAt(0)] = 1;
  return set;
}

function plainBytes(): Uint8Array {
  const set = new Uint8Array(256).fill(1, 0x20);
  set[QUOTE] = 0;
  set[BACKSLASH] = 0;
  return set;
}
