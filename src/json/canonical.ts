/**
 * One text for one JSON value: object keys sorted by UTF-16 code units, no white space. Two values that
 * differ only in the order of their keys have the same text, which makes it fit for fingerprints.
 * Members whose value is undefined are left out, as `JSON.stringify` does; a bigint prints as an integer.
 *
 * @throws TypeError for what JSON cannot hold: NaN, infinities, functions, symbols, undefined elements, cycles
 */
export function canonicalJson(value: unknown): string {
  return print(value, new Set());
}

function print(value: unknown, ancestors: Set<object>): string {
  switch (typeof value) {
    case "string":
    case "boolean":
      return JSON.stringify(value);
    case "bigint":
      return value.toString();
    case "number":
      if (!Number.isFinite(value)) throw new TypeError(`canonical JSON cannot hold the number ${value}`);
      return JSON.stringify(value);
    case "object":
      break;
    default:
      throw new TypeError(`canonical JSON cannot hold a value of type ${typeof value}`);
  }
  if (value === null) return "null";
  if (ancestors.has(value)) throw new TypeError("canonical JSON cannot hold a cycle");
  ancestors.add(value);
  const text = Array.isArray(value) ? printArray(value, ancestors) : printObject(value, ancestors);
  ancestors.delete(value);
  return text;
}

function printArray(values: readonly unknown[], ancestors: Set<object>): string {
  return `[${values.map((value) => print(value, ancestors)).join(",")}]`;
}

function printObject(value: object, ancestors: Set<object>): string {
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([key, member]) => `${JSON.stringify(key)}:${print(member, ancestors)}`);
  return `{${members.join(",")}}`;
}
