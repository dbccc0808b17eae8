import { asBuffer } from "./members.js";

/** A valid value in serde's words, and the column to which serde_json has read when it finds it is not of the type it wants. */
export function describeJson(value: Buffer): { found: string; column: number } {
  const text = asBuffer(value).toString("utf8").trim();
  switch (value[0]) {
    case 0x5b: // [
      return { found: "sequence", column: 0 };
    case 0x7b: // {
      return { found: "map", column: 0 };
    case 0x22: // "
      return { found: `string ${JSON.stringify(JSON.parse(text))}`, column: value.length };
    case 0x6e: // n
      return { found: "null", column: value.length };
    case 0x74: // t
    case 0x66: // f
      return { found: `boolean \`${text}\``, column: value.length };
    default:
      return { found: describeNumber(text), column: value.length };
  }
}

function describeNumber(text: string): string {
  if (/^-?\d+$/.test(text)) {
    const integer = BigInt(text);
    if (integer >= -(2n ** 63n) && integer < 2n ** 64n && text !== "-0") return `integer \`${text}\``;
  }
  const float = Number(text);
  const printed = Object.is(float, -0) ? "-0" : String(float);
  return `floating point \`${Number.isInteger(float) && !printed.includes("e") ? `${printed}.0` : printed}\``;
}
