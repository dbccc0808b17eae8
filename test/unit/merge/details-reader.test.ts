import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readScoreDetails } from "../../../src/merge/details-reader.js";
import { parseScoreDetails } from "../../../src/merge/score-details.js";
import { jsonText, stringLiteral } from "../json/arbitraries.js";

const score = fc.oneof(
  fc.double({ min: 0, max: 1, noNaN: true }).map((value) => JSON.stringify(value)),
  fc.constantFrom("0.0", "1.0", "0.9696969696969697", "0.3333333333333333"),
);
const count = fc.nat({ max: 12 }).map(String);
const value = fc.oneof(score, count, stringLiteral, fc.constantFrom("null", "true", "[1]", '{"a":1}'));

function entry(...members: readonly (readonly [name: string, value: fc.Arbitrary<string>])[]) {
  return fc
    .tuple(...members.map(([, text]) => text))
    .map((values) => members.map(([name], at) => `"${name}":${values[at]}`).join(","));
}

/** A rule's name and the members behind its order. */
const rule = fc.oneof(
  fc.tuple(
    fc.constant('"words"'),
    entry(["matchingWords", count], ["maxMatchingWords", count], ["score", score]),
  ),
  fc.tuple(fc.constant('"typo"'), entry(["typoCount", count], ["maxTypoCount", count], ["score", score])),
  fc.tuple(fc.constantFrom('"proximity"', '"attributeRank"', '"wordPosition"'), entry(["score", score])),
  fc.tuple(
    fc.constant('"attribute"'),
    entry(["attributeRankingOrderScore", score], ["queryWordDistanceScore", score], ["score", score]),
  ),
  fc.tuple(
    fc.constant('"exactness"'),
    entry(
      ["matchType", fc.constantFrom('"exactMatch"', '"matchesStart"', '"noExactMatch"')],
      ["matchingWords", count],
      ["maxMatchingWords", count],
      ["score", score],
    ),
  ),
  fc.tuple(fc.constantFrom('"price:asc"', '"naïve:desc"', '"_miroir_seq:asc"'), entry(["value", value])),
  fc.tuple(fc.constant('"_geoPoint(1,2):asc"'), entry(["value", value], ["distance", value])),
  fc.tuple(fc.constant('"vectorSort"'), entry(["similarity", value])),
  fc.tuple(fc.constantFrom('"skipped"', '"7"', '"__proto__"', '"\\u0077ords"'), entry(["score", score])),
);

const details = fc
  .array(fc.tuple(rule, fc.boolean()), { maxLength: 8 })
  .map((rules) =>
    rules.map(([[name, members], isOdd], at) => `${name}:{"order":${isOdd && at > 4 ? 0 : at},${members}}`),
  )
  .map((rules) => `{${rules.join(",")}}`);

describe("readScoreDetails", () => {
  it("reads what JSON.parse reads, or nothing, whatever was read before", () => {
    let read = 0;
    fc.assert(
      fc.property(fc.array(fc.oneof({ weight: 9, arbitrary: details }, jsonText)), (texts) => {
        for (const text of texts) {
          const bytes = Buffer.from(`x${text}}`);
          const found = readScoreDetails(bytes, 1);
          if (found === undefined) continue;
          read++;
          expect(found.end).toBe(bytes.length - 1);
          expect(found.details).toEqual(parseScoreDetails(text));
        }
      }),
      { numRuns: 500 },
    );
    expect(read).toBeGreaterThan(100);
  });

  it("gives equal rules of two hits as one", () => {
    const words = '"words":{"order":0,"matchingWords":1,"maxMatchingWords":2,"score":0.5}';
    const [first, second] = ['"price:asc":{"order":1,"value":1}', '"price:asc":{"order":1,"value":2}'].map(
      (price) => readScoreDetails(Buffer.from(`{${words},${price}}`), 0)?.details,
    );
    expect(second?.[0]).toBe(first?.[0]);
    expect(second?.[1]).toMatchObject({ kind: "sort", value: 2 });
    expect(first?.[1]).toMatchObject({ kind: "sort", value: 1 });
  });
});
