import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compareSortValues } from "../../../src/merge/compare.js";
import { compareScoreDetails, parseScoreDetails } from "../../../src/merge/index.js";
import { compareUtf8, normalizeFacet } from "../../../src/merge/text-order.js";

/** Orders two `_rankingScoreDetails`; -1 where the first document comes first. */
function order(a: object, b: object): number {
  return Math.sign(
    compareScoreDetails(parseScoreDetails(JSON.stringify(a)), parseScoreDetails(JSON.stringify(b))),
  );
}

describe("compareScoreDetails", () => {
  it("compares counts, not the scores that divide them by a node's own maximum", () => {
    const words = (matchingWords: number, maxMatchingWords: number) => ({
      words: { order: 0, matchingWords, maxMatchingWords, score: matchingWords / maxMatchingWords },
    });
    expect(order(words(2, 2), words(3, 5))).toBe(1);
    const typo = (typoCount: number, maxTypoCount: number) => ({
      typo: { order: 0, typoCount, maxTypoCount, score: (maxTypoCount - typoCount + 1) / (maxTypoCount + 1) },
    });
    expect(order(typo(1, 9), typo(0, 1))).toBe(1);
    expect(order(typo(1, 9), typo(1, 2))).toBe(0);
  });

  it("goes through the rules in the order in which nodes applied them", () => {
    const a = {
      "9:asc": { order: 1, value: 1 },
      words: { order: 0, matchingWords: 1, maxMatchingWords: 2, score: 0.5 },
    };
    const b = {
      "9:asc": { order: 1, value: 2 },
      words: { order: 0, matchingWords: 2, maxMatchingWords: 2, score: 1 },
    };
    expect(order(a, b)).toBe(1);
  });

  it("puts exact attributes first, then starts, then the number of exact words", () => {
    const exactness = (matchType: string, matchingWords?: number) => ({
      exactness: { order: 0, matchType, matchingWords, maxMatchingWords: 3, score: 0 },
    });
    expect(order(exactness("exactMatch"), exactness("matchesStart"))).toBe(-1);
    expect(order(exactness("matchesStart"), exactness("noExactMatch", 3))).toBe(-1);
    expect(order(exactness("noExactMatch", 2), exactness("noExactMatch", 1))).toBe(-1);
  });

  it("compares both scores of the attribute rule in turn", () => {
    const attribute = (attributeRankingOrderScore: number, queryWordDistanceScore: number) => ({
      attribute: { order: 0, attributeRankingOrderScore, queryWordDistanceScore, score: 0 },
    });
    expect(order(attribute(1, 0.1), attribute(0.9, 1))).toBe(-1);
    expect(order(attribute(1, 0.1), attribute(1, 0.2))).toBe(1);
  });

  it("orders by distance in the asked direction, without a place last", () => {
    const near = (direction: string, distance: number | null) => ({
      [`_geoPoint(48.8, 2.3):${direction}`]: { order: 0, value: null, distance },
    });
    expect(order(near("asc", 10), near("asc", 20))).toBe(-1);
    expect(order(near("desc", 10), near("desc", 20))).toBe(1);
    expect(order(near("asc", null), near("asc", 20))).toBe(1);
    expect(order(near("desc", null), near("desc", 20))).toBe(1);
  });

  it("orders by similarity, without a vector last", () => {
    const vector = (similarity: number | null) => ({ vectorSort: { order: 0, similarity } });
    expect(order(vector(0.9), vector(0.8))).toBe(-1);
    expect(order(vector(null), vector(0))).toBe(1);
  });

  it("puts what a node had no time to rank behind what it ranked", () => {
    const words = { order: 0, matchingWords: 1, maxMatchingWords: 1, score: 1 };
    expect(order({ words, skipped: { order: 1 } }, { words, proximity: { order: 1, score: 0.1 } })).toBe(1);
    expect(order({ words }, { words, proximity: { order: 1, score: 0.1 } })).toBe(1);
  });

  it("calls documents without any rule ties", () => {
    expect(order({}, {})).toBe(0);
    expect(parseScoreDetails("null")).toEqual([]);
  });
});

describe("compareSortValues", () => {
  it("puts numbers before strings before nothing in either direction", () => {
    for (const ascending of [true, false]) {
      expect(compareSortValues(9, "1", ascending)).toBeLessThan(0);
      expect(compareSortValues("z", null, ascending)).toBeLessThan(0);
      expect(compareSortValues(null, null, ascending)).toBe(0);
    }
    expect(compareSortValues(1, 2, true)).toBeLessThan(0);
    expect(compareSortValues(1, 2, false)).toBeGreaterThan(0);
    expect(compareSortValues("a", "b", false)).toBeGreaterThan(0);
  });
});

describe("compareUtf8", () => {
  it("orders as the bytes do", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "Z", "é", "\uffee", "\ud7ff", "😀", "𐍈") });
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(Math.sign(compareUtf8(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
      }),
    );
  });
});

describe("normalizeFacet", () => {
  it("trims, decomposes and lower-cases", () => {
    expect(normalizeFacet(" Sci-Fi ")).toBe("sci-fi");
    expect(normalizeFacet("É")).toBe("é".normalize("NFD"));
    expect(normalizeFacet("ﬁn")).toBe("fin");
  });

  it("cuts at a whole symbol where a node's key ends", () => {
    expect(normalizeFacet("x".repeat(600))).toHaveLength(468);
    expect(Buffer.byteLength(normalizeFacet("😀".repeat(200)))).toBe(468);
    expect(Buffer.byteLength(normalizeFacet(`a${"😀".repeat(200)}`))).toBe(465);
  });
});
