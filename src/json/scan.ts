import { BACKSLASH, QUOTE } from "./bytes.js";

/**
 * A text that is not JSON. The wording and the position follow serde_json, since that is what users of
 * Meilisearch read in its error messages.
 */
export class JsonSyntaxError extends Error {
  override readonly name = "JsonSyntaxError";

  /**
   * @param reason what is wrong, in serde_json's words and without a position
   * @param offset byte offset of the byte at fault; the length of the text where it ended too early
   * @param line line of that byte, from 1
   * @param column bytes of that line up to and including the byte at fault; 0 for the line feed itself
   */
  constructor(
    readonly reason: string,
    readonly offset: number,
    readonly line: number,
    readonly column: number,
  ) {
    super(`${reason} at line ${line} column ${column}`);
  }

  /** True where more bytes could have made the text valid. */
  get endedEarly(): boolean {
    return this.reason.startsWith("EOF ");
  }

  /**
   * The same error seen from a text in which this one starts behind `before.offset` bytes, on line
   * `before.line` (from 1) with `before.column` bytes in front of it on that line.
   */
  shifted(before: TextPosition): JsonSyntaxError {
    return new JsonSyntaxError(
      this.reason,
      before.offset + this.offset,
      before.line + this.line - 1,
      this.line === 1 ? before.column + this.column : this.column,
    );
  }
}

/** A place in a text: bytes before it, its line from 1, and bytes before it on that line. */
export type TextPosition = { readonly offset: number; readonly line: number; readonly column: number };

const LINE_FEED = 0x0a;

/** Strings longer than this are searched with the engine's vectorised `indexOf`, whose call costs about as much. */
const LINEAR_STRING_BYTES = 48;

/** Builds the error for the byte at `offset` (the length of `bytes` for a text that ended too early). */
export function syntaxErrorAt(bytes: Uint8Array, offset: number, reason: string): JsonSyntaxError {
  const position = Math.min(offset + 1, bytes.length);
  let line = 1;
  let lineStart = 0;
  for (let at = bytes.indexOf(LINE_FEED); at !== -1 && at < position; at = bytes.indexOf(LINE_FEED, at + 1)) {
    line++;
    lineStart = at + 1;
  }
  return new JsonSyntaxError(reason, offset, line, position - lineStart);
}

/** Offset of the first byte at or after `at` that is not JSON white space; the length of `bytes` if there is none. */
export function skipWhitespace(bytes: Uint8Array, at: number): number {
  const length = bytes.length;
  let i = at;
  while (i < length) {
    const byte = bytes[i];
    if (byte !== 0x20 && byte !== LINE_FEED && byte !== 0x0d && byte !== 0x09) return i;
    i++;
  }
  return i;
}

/**
 * End (exclusive) of the string whose opening quote is at `start`. Escapes are stepped over, not checked.
 *
 * @throws JsonSyntaxError where the string is not closed
 */
export function stringEnd(bytes: Uint8Array, start: number): number {
  const length = bytes.length;
  let i = start + 1;
  for (;;) {
    const limit = Math.min(i + LINEAR_STRING_BYTES, length);
    while (i < limit) {
      const byte = bytes[i];
      if (byte === QUOTE) return i + 1;
      i += byte === BACKSLASH ? 2 : 1;
    }
    const quote = i < length ? bytes.indexOf(QUOTE, i) : -1;
    if (quote === -1) throw syntaxErrorAt(bytes, length, "EOF while parsing a string");
    // An even run of backslashes escapes itself and leaves the quote closing.
    let run = quote;
    while (run > i && bytes[run - 1] === BACKSLASH) run--;
    if (((quote - run) & 1) === 0) return quote + 1;
    i = quote + 1;
  }
}

/** End (exclusive) of the string whose opening quote is at `start`; -1 where an escape is in it, or it is none, or not closed. */
export function plainStringEnd(bytes: Uint8Array, start: number): number {
  if (bytes[start] !== QUOTE) return -1;
  const { length } = bytes;
  for (let at = start + 1; at < length; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) return at + 1;
    if (byte === BACKSLASH) return -1;
  }
  return -1;
}

/**
 * End (exclusive) of the JSON value that begins at `start`, which must not be white space.
 *
 * The scanner finds spans; it is no validator. It relies on the text being JSON (`validateJson`, or a
 * node's own answer) and notices what breaks a span: a text that ends early, an unknown literal, a byte
 * that starts no value.
 *
 * @throws JsonSyntaxError where no value begins at `start`, or it does not end
 */
export function valueEnd(bytes: Uint8Array, start: number): number {
  switch (bytes[start]) {
    case QUOTE:
      return stringEnd(bytes, start);
    case 0x7b: // {
    case 0x5b: // [
      return containerEnd(bytes, start);
    case 0x74: // t
      return literalEnd(bytes, start, TRUE);
    case 0x66: // f
      return literalEnd(bytes, start, FALSE);
    case 0x6e: // n
      return literalEnd(bytes, start, NULL);
    case undefined:
      throw syntaxErrorAt(bytes, bytes.length, "EOF while parsing a value");
    default:
      return numberEnd(bytes, start);
  }
}

const TRUE = Buffer.from("true");
const FALSE = Buffer.from("false");
const NULL = Buffer.from("null");

function containerEnd(bytes: Uint8Array, start: number): number {
  const length = bytes.length;
  let depth = 1;
  let i = start + 1;
  while (i < length) {
    const byte = bytes[i] as number;
    if (byte === QUOTE) {
      i = stringEnd(bytes, i);
      continue;
    }
    i++;
    // Bit 0x20 is all that tells `[` from `{` and `]` from `}`.
    const folded = byte | 0x20;
    if (folded === 0x7d) {
      if (--depth === 0) return i;
    } else if (folded === 0x7b) {
      depth++;
    }
  }
  throw syntaxErrorAt(
    bytes,
    length,
    bytes[start] === 0x7b ? "EOF while parsing an object" : "EOF while parsing a list",
  );
}

function literalEnd(bytes: Uint8Array, start: number, literal: Uint8Array): number {
  for (let i = 1; i < literal.length; i++) {
    const at = start + i;
    if (bytes[at] === literal[i]) continue;
    if (at >= bytes.length) throw syntaxErrorAt(bytes, bytes.length, "EOF while parsing a value");
    throw syntaxErrorAt(bytes, at, "expected ident");
  }
  return start + literal.length;
}

function numberEnd(bytes: Uint8Array, start: number): number {
  const length = bytes.length;
  const first = bytes[start] as number;
  if (first !== 0x2d && (first < 0x30 || first > 0x39)) throw syntaxErrorAt(bytes, start, "expected value");
  let i = start + 1;
  while (i < length) {
    const byte = bytes[i] as number;
    // Digits, and the letters and signs that only a number may hold: + - . E e
    const inNumber =
      (byte >= 0x30 && byte <= 0x39) ||
      byte === 0x2e ||
      byte === 0x65 ||
      byte === 0x45 ||
      byte === 0x2d ||
      byte === 0x2b;
    if (!inNumber) return i;
    i++;
  }
  return i;
}
