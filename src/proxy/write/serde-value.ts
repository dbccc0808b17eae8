import { arrayElements, decodeString, objectMembers } from "../../json/members.js";
import { skipWhitespace } from "../../json/scan.js";

/**
 * A JSON value as Meilisearch's parser holds it: integers of 64 bits apart from floats, members in the order of
 * their first occurrence with the last value. Only for values that end up in messages or checks; documents themselves
 * pass as bytes (invariant 14).
 */
export type SerdeValue =
  | { readonly kind: "null" }
  | { readonly kind: "boolean"; readonly value: boolean }
  | { readonly kind: "integer"; readonly text: string; readonly negative: boolean }
  | { readonly kind: "float"; readonly value: number }
  | { readonly kind: "string"; readonly value: string }
  | { readonly kind: "array"; readonly items: readonly SerdeValue[] }
  | { readonly kind: "object"; readonly members: ReadonlyMap<string, SerdeValue> };

const MIN_I64 = -(2n ** 63n);
const MAX_U64 = 2n ** 64n - 1n;

/** Reads the value that begins at or behind `start` of a valid JSON text and ends before `end`. */
export function readSerdeValue(bytes: Buffer, start = 0, end = bytes.length): SerdeValue {
  const at = skipWhitespace(bytes, start);
  switch (bytes[at]) {
    case 0x6e: // n
      return { kind: "null" };
    case 0x74: // t
      return { kind: "boolean", value: true };
    case 0x66: // f
      return { kind: "boolean", value: false };
    case 0x22: // "
      return { kind: "string", value: decodeString(bytes, at, end) };
    case 0x5b: // [
      return {
        kind: "array",
        items: arrayElements(bytes, at).map((element) => readSerdeValue(bytes, element.start, element.end)),
      };
    case 0x7b: {
      const members = new Map<string, SerdeValue>();
      for (const member of objectMembers(bytes, at)) {
        members.set(member.key, readSerdeValue(bytes, member.valueStart, member.valueEnd));
      }
      return { kind: "object", members };
    }
    default:
      return readNumber(bytes.toString("latin1", at, end).trimEnd());
  }
}

function readNumber(text: string): SerdeValue {
  const integer = integerText(text);
  if (integer !== undefined) return { kind: "integer", text: integer, negative: integer.startsWith("-") };
  return { kind: "float", value: Number(text) };
}

/**
 * The canonical decimal text of a JSON number that Meilisearch holds as an integer; undefined for floats, for
 * `-0`, and for integers that fit neither a signed nor an unsigned 64-bit integer.
 */
export function integerText(text: string): string | undefined {
  if (!/^-?\d+$/.test(text) || text === "-0") return undefined;
  if (text.length < 18) return text;
  const value = BigInt(text);
  return value >= MIN_I64 && value <= MAX_U64 ? value.toString() : undefined;
}

/** The value as compact JSON, printed as serde_json prints it. */
export function printSerdeValue(value: SerdeValue): string {
  switch (value.kind) {
    case "null":
      return "null";
    case "boolean":
      return String(value.value);
    case "integer":
      return value.text;
    case "float":
      return printFloat(value.value);
    case "string":
      return JSON.stringify(value.value);
    case "array":
      return `[${value.items.map(printSerdeValue).join(",")}]`;
    case "object":
      return printSerdeObject(value.members);
  }
}

/** An object's members as compact JSON. */
export function printSerdeObject(members: ReadonlyMap<string, SerdeValue>): string {
  const parts = [...members].map(([key, member]) => `${JSON.stringify(key)}:${printSerdeValue(member)}`);
  return `{${parts.join(",")}}`;
}

/** A finite double with the shortest digits that read back as it: always with a point or an exponent. */
export function printFloat(value: number): string {
  if (!Number.isFinite(value)) return "null";
  if (Object.is(value, -0)) return "-0.0";
  if (value === 0) return "0.0";
  const [mantissa = "", exponentText = "0"] = Math.abs(value).toExponential().split("e");
  const digits = mantissa.replace(".", "");
  const point = Number(exponentText) + 1;
  const sign = value < 0 ? "-" : "";
  if (point > 16 || point <= -5) {
    const fraction = digits.length > 1 ? `.${digits.slice(1)}` : "";
    const exponent = point - 1;
    return `${sign}${digits[0]}${fraction}e${exponent < 0 ? "-" : "+"}${Math.abs(exponent)}`;
  }
  if (point <= 0) return `${sign}0.${"0".repeat(-point)}${digits}`;
  if (digits.length <= point) return `${sign}${digits}${"0".repeat(point - digits.length)}.0`;
  return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
}

/** Reads a double as Rust's standard library does; undefined where it would refuse. */
export function parseRustFloat(text: string): number | undefined {
  if (/^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(text)) return Number(text);
  const named = /^([+-]?)(inf|infinity|nan)$/i.exec(text);
  if (named === null) return undefined;
  if (named[2]?.toLowerCase() === "nan") return Number.NaN;
  return named[1] === "-" ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
}

/** Reads a signed 64-bit integer as Rust's standard library does, in canonical text; undefined where it would refuse. */
export function parseRustInteger(text: string): string | undefined {
  if (!/^[+-]?\d+$/.test(text)) return undefined;
  const value = BigInt(text.startsWith("+") ? text.slice(1) : text);
  return value >= MIN_I64 && value < 2n ** 63n ? value.toString() : undefined;
}
