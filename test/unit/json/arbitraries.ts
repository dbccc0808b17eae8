import fc from "fast-check";

const whitespace = fc.constantFrom("", "", " ", "\n", "\t", "\r\n", "  \n ");

/** A string literal: plain, hostile, or written with needless escapes. */
export const stringLiteral: fc.Arbitrary<string> = fc.oneof(
  fc.string().map((text) => JSON.stringify(text)),
  fc.string({ unit: "binary" }).map((text) => JSON.stringify(text)),
  fc
    .array(
      fc.constantFrom(
        '\\"',
        "\\\\",
        "\\/",
        "\\n",
        "\\u0041",
        "\\u00e9",
        "\\ud83d\\ude00",
        "é",
        "日本",
        "😀",
        "{",
        "]",
        ",",
        ":",
      ),
      { maxLength: 12 },
    )
    .map((parts) => `"${parts.join("")}"`),
  fc.integer({ min: 40, max: 400 }).map((length) => `"${"long \\\\ ".repeat(length / 8)}"`),
);

const numberLiteral = fc.oneof(
  fc.integer().map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
  fc.constantFrom(
    "9007199254740993",
    "123456789012345678901234567890",
    "-0",
    "0.10",
    "1E5",
    "1e-400",
    "18446744073709551616",
  ),
);

/** A random JSON text with odd white space, duplicate keys and hostile strings. */
export const jsonText: fc.Arbitrary<string> = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 6, withCrossShrink: true },
    fc.oneof(stringLiteral, numberLiteral, fc.constantFrom("true", "false", "null")),
    fc
      .array(fc.tuple(whitespace, tie("value"), whitespace), { maxLength: 4 })
      .chain((elements) =>
        whitespace.map((inside) => `[${inside}${elements.map((e) => e.join("")).join(",")}]`),
      ),
    objectFrom(tie("value")),
  ),
})).value;

/** A random JSON object, as text; `jsonText` for its values. */
export const objectText: fc.Arbitrary<string> = objectFrom(jsonText);

function objectFrom(value: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const key = fc.oneof(stringLiteral, fc.constantFrom('"a"', '"\\u0061"', '"b"', '"_miroir_shard"', '""'));
  const member = fc.tuple(whitespace, key, whitespace, fc.constant(":"), whitespace, value, whitespace);
  return fc
    .tuple(whitespace, fc.array(member, { maxLength: 5 }))
    .map(
      ([inside, members]) =>
        `{${members.length === 0 ? inside : ""}${members.map((m) => m.join("")).join(",")}}`,
    );
}

/** Cuts `text` at the given fractions of its length. */
export function cutAt(bytes: Buffer, fractions: readonly number[]): Buffer[] {
  const cuts = fractions.map((fraction) => Math.floor(fraction * bytes.length)).sort((a, b) => a - b);
  return [0, ...cuts].map((from, i) => bytes.subarray(from, [...cuts, bytes.length][i]));
}
