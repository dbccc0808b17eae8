import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compareScoreDetails } from "../../../src/merge/compare.js";
import { FoundRules } from "../../../src/merge/found-rules.js";
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

const sequence = fc
  .array(fc.constantFrom(..."(),;[]{}"), { minLength: 18, maxLength: 18 })
  .map((symbols) => symbols.join(""));

/** Details of two hits of one search: the same rules, of which most say the same. */
const pair = fc
  .array(fc.tuple(rule, fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, rule)), { maxLength: 6 })
  .chain((rules) => fc.tuple(fc.constant(rules), fc.option(fc.tuple(sequence, sequence))))
  .map(([rules, sequences]) =>
    [0, 1].map((hit) => {
      const written = rules.map(([[name, members], other], at) => {
        const said = hit === 1 && other?.[0] === name ? other[1] : members;
        return `${name}:{"order":${at},${said}}`;
      });
      const last = sequences?.[hit];
      if (last !== undefined) written.push(`"_miroir_seq:asc":{"order":${rules.length},"value":"${last}"}`);
      return `{${written.join(",")}}`;
    }),
  );

describe("the rules found in score details", () => {
  it("are what JSON.parse reads, or not found, or not known", () => {
    let read = 0;
    fc.assert(
      fc.property(fc.oneof({ weight: 9, arbitrary: details }, jsonText), (text) => {
        const bytes = Buffer.from(`x${text}}`);
        const rules = FoundRules.find(bytes, 1);
        if (rules === undefined) return;
        expect(rules.end).toBe(bytes.length - 1);
        const known = rules.details();
        if (known === undefined) return;
        read++;
        expect(known).toEqual(parseScoreDetails(text));
      }),
      { numRuns: 3_000 },
    );
    expect(read).toBeGreaterThan(300);
  });

  it("compare as they do when they are read, or say that they do not know", () => {
    const compared = { equal: 0, different: 0 };
    fc.assert(
      fc.property(pair, ([first = "", second = ""]) => {
        const a = FoundRules.find(Buffer.from(first), 0);
        const b = FoundRules.find(Buffer.from(`  ${second}`), 2);
        if (a === undefined || b === undefined) return;
        const order = a.compare(b);
        if (order === undefined) return;
        const expected = compareScoreDetails(parseScoreDetails(first), parseScoreDetails(second));
        expect(Math.sign(order)).toBe(Math.sign(expected));
        compared[order === 0 ? "equal" : "different"]++;
      }),
      { numRuns: 3_000 },
    );
    expect(compared.equal).toBeGreaterThan(200);
    expect(compared.different).toBeGreaterThan(500);
  });
});
