import { ApiError } from "./errors.js";
import type { JsonObject, JsonValue } from "./exact-json.js";

/** Names a value's type as Meilisearch's error messages do. */
export function typeName(value: JsonValue): string {
  if (value === null) return "null";
  if (typeof value === "boolean") return "a boolean";
  if (typeof value === "string") return "a string";
  if (typeof value === "number") {
    if (!Number.isInteger(value)) return "a float";
    return value < 0 ? "a negative integer" : "a positive integer";
  }
  return Array.isArray(value) ? "an array" : "an object";
}

/** Where a value stands in a body (`.a.b[0]`), its error code, and what parameters are called. */
export interface Place {
  readonly path: string;
  readonly code: string;
}

/** The place of a member below `place`. */
export function below(place: Place, member: string | number): Place {
  return {
    code: place.code,
    path: typeof member === "number" ? `${place.path}[${member}]` : `${place.path}.${member}`,
  };
}

/** The error for a value of a wrong type. */
export function wrongType(value: JsonValue, expected: string, place: Place): ApiError {
  const where = place.path === "" ? "" : ` at \`${place.path}\``;
  return new ApiError(
    place.code,
    `Invalid value type${where}: expected ${expected}, but found ${typeName(value)}${value === null ? "" : `: \`${JSON.stringify(value)}\``}`,
  );
}

/** The error for a value that is not acceptable. */
export function invalidValue(message: string, place: Place): ApiError {
  return new ApiError(
    place.code,
    `Invalid value${place.path === "" ? "" : ` at \`${place.path}\``}: ${message}`,
  );
}

export function asObject(value: JsonValue, place: Place): JsonObject {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw wrongType(value, "an object", place);
}

export function asArray(value: JsonValue, place: Place): JsonValue[] {
  if (Array.isArray(value)) return value;
  throw wrongType(value, "an array", place);
}

export function asString(value: JsonValue, place: Place): string {
  if (typeof value === "string") return value;
  throw wrongType(value, "a string", place);
}

export function asStrings(value: JsonValue, place: Place): string[] {
  return asArray(value, place).map((item, i) => asString(item, below(place, i)));
}

export function asBoolean(value: JsonValue, place: Place): boolean {
  if (typeof value === "boolean") return value;
  throw wrongType(value, "a boolean", place);
}

export function asNumber(value: JsonValue, place: Place): number {
  if (typeof value === "number") return value;
  throw wrongType(value, "a number", place);
}

export function asPositiveInteger(value: JsonValue, place: Place): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0) return value;
  throw wrongType(value, "a positive integer", place);
}

export function asOneOf<T extends string>(value: JsonValue, options: readonly T[], place: Place): T {
  const text = asString(value, place);
  const found = options.find((option) => option === text);
  if (found !== undefined) return found;
  const list = options.map((option) => `\`${option}\``).join(", ");
  throw new ApiError(place.code, `Unknown value \`${text}\` at \`${place.path}\`: expected one of ${list}`);
}

/** Refuses members that are not in `known`. */
export function refuseUnknown(object: JsonObject, known: readonly string[], place: Place): void {
  for (const name of Object.keys(object)) {
    if (known.includes(name)) continue;
    const inside = place.path === "" ? "" : ` inside \`${place.path}\``;
    const list = known.map((option) => `\`${option}\``).join(", ");
    throw new ApiError(place.code, `Unknown field \`${name}\`${inside}: expected one of ${list}`);
  }
}

/** Whether `uid` may name an index. */
export function isIndexUid(uid: string): boolean {
  return /^[A-Za-z0-9_-]{1,512}$/.test(uid);
}

/** The message about a text that may not name an index. */
export function indexUidMessage(uid: string): string {
  return `\`${uid}\` is not a valid index uid. Index uid can be an integer or a string containing only alphanumeric characters, hyphens (-) and underscores (_), and can not be more than 512 bytes.`;
}
