import { asBuffer } from "./members.js";

const ZERO = 0x30;
const POINT = 0x2e;
const MINUS = 0x2d;

/** Whole numbers up to this one, and these powers of ten, are exact as doubles, so that one division of them is rounded right. */
const MAX_EXACT = Number.MAX_SAFE_INTEGER;
const POWERS_OF_TEN = Array.from({ length: 23 }, (_, power) => 10 ** power);

/**
 * The number that is written from `start` to `end` (exclusive), the same as `Number` makes of its text; without a text for those of
 * few digits and no exponent. The bytes have to be a JSON number.
 */
export function readNumber(bytes: Uint8Array, start: number, end: number): number {
  const isNegative = bytes[start] === MINUS;
  let mantissa = 0;
  let decimals = -1;
  for (let at = isNegative ? start + 1 : start; at < end; at++) {
    const byte = bytes[at] as number;
    if (byte === POINT) {
      decimals = 0;
      continue;
    }
    const digit = byte - ZERO;
    mantissa = mantissa * 10 + digit;
    if (digit < 0 || digit > 9 || mantissa > MAX_EXACT) return fromText(bytes, start, end);
    if (decimals >= 0) decimals++;
  }
  if (decimals >= POWERS_OF_TEN.length) return fromText(bytes, start, end);
  const value = decimals > 0 ? mantissa / (POWERS_OF_TEN[decimals] as number) : mantissa;
  return isNegative ? -value : value;
}

function fromText(bytes: Uint8Array, start: number, end: number): number {
  return Number(asBuffer(bytes).toString("latin1", start, end));
}
