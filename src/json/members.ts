import { CLOSE_BRACE, CLOSE_BRACKET, COLON, COMMA, OPEN_BRACE, OPEN_BRACKET, QUOTE } from "./bytes.js";
import { skipWhitespace, stringEnd, syntaxErrorAt, valueEnd } from "./scan.js";

/** One member of an object, as offsets into the text it was found in. All ends are exclusive. */
export type JsonMember = {
  /** The key, with its escapes decoded. */
  key: string;
  /** The byte behind the `{` or `,` in front of the member: white space before the key belongs to the member. */
  memberStart: number;
  /** The key's opening quote. */
  keyStart: number;
  /** Behind the key's closing quote. */
  keyEnd: number;
  /** First byte of the value. */
  valueStart: number;
  /** Behind the last byte of the value. */
  valueEnd: number;
};

/** A value inside a text, from `start` to `end` (exclusive). */
export type JsonSpan = { start: number; end: number };

/**
 * The members of the object that begins at `start` (white space in front of it is skipped), in their
 * order and with duplicates. Where a key occurs twice, readers take the last one, as serde_json does.
 *
 * @param start offset of the object; 0 by default
 * @throws JsonSyntaxError where there is no object, or it does not hold together
 */
export function objectMembers(bytes: Uint8Array, start = 0): JsonMember[] {
  const first = openObject(bytes, start);
  return first === -1 ? [] : membersFrom(bytes, first);
}

/**
 * The members of an object from the one that begins at `first` (or at the white space in front of it) to its end.
 *
 * @throws JsonSyntaxError where there is no member, or the object does not hold together
 */
export function membersFrom(bytes: Uint8Array, first: number): JsonMember[] {
  const members: JsonMember[] = [];
  let memberStart = first;
  for (;;) {
    const keyStart = skipWhitespace(bytes, memberStart);
    const keyEnd = memberKeyEnd(bytes, keyStart);
    const valueStart = memberValueStart(bytes, keyEnd);
    const end = valueEnd(bytes, valueStart);
    members.push({
      key: decodeKey(bytes, keyStart, keyEnd),
      memberStart,
      keyStart,
      keyEnd,
      valueStart,
      valueEnd: end,
    });
    const next = skipWhitespace(bytes, end);
    if (bytes[next] === COMMA) {
      memberStart = next + 1;
      continue;
    }
    if (bytes[next] === CLOSE_BRACE) return members;
    throw objectDelimiterError(bytes, next);
  }
}

/**
 * The member called `key` of the object that begins at `start`, or undefined. Of several the last one,
 * so the whole object is always walked.
 *
 * @param start offset of the object; 0 by default
 * @throws JsonSyntaxError where there is no object, or it does not hold together
 */
export function findMember(bytes: Uint8Array, key: string, start = 0): JsonMember | undefined {
  let found: JsonMember | undefined;
  let memberStart = openObject(bytes, start);
  if (memberStart === -1) return undefined;
  const wanted = Buffer.from(key);
  for (;;) {
    const keyStart = skipWhitespace(bytes, memberStart);
    const keyEnd = memberKeyEnd(bytes, keyStart);
    const valueStart = memberValueStart(bytes, keyEnd);
    const end = valueEnd(bytes, valueStart);
    if (keyIs(bytes, keyStart, keyEnd, wanted, key)) {
      found = { key, memberStart, keyStart, keyEnd, valueStart, valueEnd: end };
    }
    const next = skipWhitespace(bytes, end);
    if (bytes[next] === COMMA) {
      memberStart = next + 1;
      continue;
    }
    if (bytes[next] === CLOSE_BRACE) return found;
    throw objectDelimiterError(bytes, next);
  }
}

/**
 * The elements of the array that begins at `start` (white space in front of it is skipped).
 *
 * @param start offset of the array; 0 by default
 * @throws JsonSyntaxError where there is no array, or it does not hold together
 */
export function arrayElements(bytes: Uint8Array, start = 0): JsonSpan[] {
  const elements: JsonSpan[] = [];
  const open = skipWhitespace(bytes, start);
  if (bytes[open] !== OPEN_BRACKET) {
    if (open >= bytes.length) throw syntaxErrorAt(bytes, open, "EOF while parsing a value");
    throw syntaxErrorAt(bytes, open, "expected an array");
  }
  let at = skipWhitespace(bytes, open + 1);
  if (bytes[at] === CLOSE_BRACKET) return elements;
  if (at >= bytes.length) throw syntaxErrorAt(bytes, at, "EOF while parsing a list");
  for (;;) {
    const end = valueEnd(bytes, at);
    elements.push({ start: at, end });
    const next = skipWhitespace(bytes, end);
    if (bytes[next] === COMMA) {
      at = skipWhitespace(bytes, next + 1);
      if (bytes[at] === CLOSE_BRACKET) throw syntaxErrorAt(bytes, at, "trailing comma");
      continue;
    }
    if (bytes[next] === CLOSE_BRACKET) return elements;
    throw syntaxErrorAt(
      bytes,
      next,
      next >= bytes.length ? "EOF while parsing a list" : "expected `,` or `]`",
    );
  }
}

/**
 * Decodes the string whose quotes enclose `start` to `end` (both quotes inside the span).
 *
 * @throws JsonSyntaxError where an escape is wrong
 */
export function decodeString(bytes: Uint8Array, start: number, end: number): string {
  const buffer = asBuffer(bytes);
  for (let i = start + 1; i < end - 1; i++) {
    const byte = bytes[i] as number;
    if (byte === 0x5c) return decodeEscapedString(buffer, start, end);
    if (byte >= 0x80) {
      const text = buffer.toString("utf8", start + 1, end - 1);
      return text.includes("\\") ? decodeEscapedString(buffer, start, end) : text;
    }
  }
  return buffer.toString("latin1", start + 1, end - 1);
}

/** `bytes` as a `Buffer` over the same memory. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Keys repeat from document to document: most are found here instead of being decoded again. */
const KNOWN_KEYS: string[] = new Array<string>(512).fill("");
const LONGEST_KNOWN_KEY = 48;

/** As {@link decodeString}, but short ASCII keys come out of a bounded memory of earlier ones. */
export function decodeKey(bytes: Uint8Array, start: number, end: number): string {
  const length = end - start - 2;
  if (length === 0 || length > LONGEST_KNOWN_KEY) return decodeString(bytes, start, end);
  const first = start + 1;
  const spread =
    length * 31 +
    (bytes[first] as number) * 7 +
    (bytes[first + (length >> 1)] as number) * 131 +
    (bytes[end - 2] as number) * 17;
  const slot = spread & (KNOWN_KEYS.length - 1);
  const known = KNOWN_KEYS[slot] as string;
  if (known.length === length) {
    let i = 0;
    while (i < length && known.charCodeAt(i) === bytes[first + i]) i++;
    if (i === length) return known;
  }
  const key = decodeString(bytes, start, end);
  // Anything decoded from other than one plain byte a character would be compared wrongly.
  if (key.length === length && isPlainAscii(bytes, first, end - 1)) KNOWN_KEYS[slot] = key;
  return key;
}

function isPlainAscii(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    const byte = bytes[i] as number;
    if (byte >= 0x80 || byte === 0x5c) return false;
  }
  return true;
}

function decodeEscapedString(buffer: Buffer, start: number, end: number): string {
  try {
    return String(JSON.parse(buffer.toString("utf8", start, end)));
  } catch (cause) {
    const error = syntaxErrorAt(buffer, start, "invalid escape");
    error.cause = cause;
    throw error;
  }
}

/** Offset behind the object's `{`, or -1 for an empty object. */
function openObject(bytes: Uint8Array, start: number): number {
  const open = skipWhitespace(bytes, start);
  if (bytes[open] !== OPEN_BRACE) {
    if (open >= bytes.length) throw syntaxErrorAt(bytes, open, "EOF while parsing a value");
    throw syntaxErrorAt(bytes, open, "expected an object");
  }
  return bytes[skipWhitespace(bytes, open + 1)] === CLOSE_BRACE ? -1 : open + 1;
}

function memberKeyEnd(bytes: Uint8Array, keyStart: number): number {
  const byte = bytes[keyStart];
  if (byte === QUOTE) return stringEnd(bytes, keyStart);
  if (byte === undefined) throw syntaxErrorAt(bytes, keyStart, "EOF while parsing an object");
  throw syntaxErrorAt(bytes, keyStart, byte === CLOSE_BRACE ? "trailing comma" : "key must be a string");
}

function memberValueStart(bytes: Uint8Array, keyEnd: number): number {
  const colon = skipWhitespace(bytes, keyEnd);
  if (bytes[colon] !== COLON) {
    throw syntaxErrorAt(bytes, colon, colon >= bytes.length ? "EOF while parsing an object" : "expected `:`");
  }
  return skipWhitespace(bytes, colon + 1);
}

function objectDelimiterError(bytes: Uint8Array, at: number): Error {
  return syntaxErrorAt(bytes, at, at >= bytes.length ? "EOF while parsing an object" : "expected `,` or `}`");
}

function keyIs(bytes: Uint8Array, start: number, end: number, wanted: Uint8Array, key: string): boolean {
  let i = start + 1;
  let k = 0;
  while (i < end - 1) {
    const byte = bytes[i];
    if (byte === 0x5c) return decodeString(bytes, start, end) === key;
    if (byte !== wanted[k]) {
      // A difference before any escape is final; one escape anywhere later cannot mend it.
      return false;
    }
    i++;
    k++;
  }
  return k === wanted.length;
}
