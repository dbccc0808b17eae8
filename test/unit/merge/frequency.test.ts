import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hitAt } from "../../../src/merge/hit.js";
import {
  countBodies,
  type FrequencyStep,
  frequencyQuery,
  frequencySteps,
  type IndexFacts,
  joinSteps,
  type SearchParameters,
} from "../../../src/merge/index.js";
import { sequenceCode } from "../../../src/placement/injected-fields.js";

const FACTS: IndexFacts = {
  uid: "films",
  primaryKey: "id",
  distinctAttribute: null,
  distinctAttributeIsFilterable: false,
  displayedAttributes: null,
  maxTotalHits: 1000,
  maxValuesPerFacet: 100,
  sortFacetValuesBy: {},
  stopWords: ["the"],
};

const search = (q: string, more: SearchParameters = {}): SearchParameters => ({
  q,
  matchingStrategy: "frequency",
  ...more,
});

describe("frequencyQuery", () => {
  it("takes plain words apart", () => {
    expect(frequencyQuery(search("white Élan 1999"), FACTS)).toEqual({
      words: ["white", "Élan", "1999"],
      endsInPrefix: true,
    });
    expect(frequencyQuery(search("Lizzie McGuire"), FACTS)?.words).toEqual(["Lizzie", "McGuire"]);
    expect(frequencyQuery(search("white  night "), FACTS)).toEqual({
      words: ["white", "night"],
      endsInPrefix: false,
    });
  });

  it.each([
    search('"white night"'),
    search("white -night"),
    search("白い 夜"),
    search("white"),
    search("one two three four five six"),
    search("The night"),
    search("white night", { distinct: "id" }),
    search("white night", { rankingScoreThreshold: 0.1 }),
    search("white night", { hybrid: { embedder: "own" } }),
    search("white night", { matchingStrategy: "last" }),
  ])("leaves %j to the nodes", (query) => {
    expect(frequencyQuery(query, FACTS)).toBeUndefined();
  });

  it("leaves an index to its nodes where another rule stands in front of `words`", () => {
    expect(frequencyQuery(search("white night"), { ...FACTS, ranksByWordsFirst: false })).toBeUndefined();
  });

  it("counts every word but the last as a whole one", () => {
    const query = { words: ["white", "nig"], endsInPrefix: true };
    expect(countBodies(query, search("white nig")).map(({ q }) => q)).toEqual(["white ", "nig"]);
  });
});

describe("frequencySteps", () => {
  it("drops more frequent words behind a dropped one with it, and never the rarest", () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 4 }), { minLength: 2, maxLength: 5 }), (counts) => {
        const words = counts.map((_, at) => `w${at}`);
        const weights = counts.map((count) => (count === 0 ? Number.POSITIVE_INFINITY : count));
        const rarest = Math.min(...weights);
        const expected = new Set<string>();
        for (let set = 0; set < 1 << words.length; set++) {
          const isKept = (at: number): boolean => ((set >> at) & 1) === 1;
          const isAllowed = weights.every((weight, at) => {
            if (isKept(at)) return true;
            return (
              weight > rarest &&
              weights.every((other, behind) => behind <= at || other <= weight || !isKept(behind))
            );
          });
          if (isAllowed) expected.add(words.filter((_, at) => isKept(at)).join(" "));
        }
        const steps = frequencySteps({ words, endsInPrefix: true }, counts);
        const kept = steps.map((level) => level.map(({ q }) => q.match(/\bw\d/g)?.join(" ") ?? ""));
        expect(new Set(kept.flat())).toEqual(expected);
        for (const [dropped, level] of steps.entries()) {
          for (const step of level) expect(step.words).toBe(words.length - dropped);
        }
      }),
    );
  });

  it("keeps the places of the words that are left", () => {
    const steps = frequencySteps({ words: ["the", "white", "nig"], endsInPrefix: true }, [9, 1, 5]);
    expect(steps.map((level) => level.map(({ q, hasHole }) => ({ q, hasHole })))).toEqual([
      [{ q: "the white nig", hasHole: false }],
      [
        { q: "-qzxjvkwq white nig", hasHole: true },
        { q: "the white ", hasHole: false },
      ],
      [{ q: "-qzxjvkwq white ", hasHole: true }],
    ]);
  });
});

describe("joinSteps", () => {
  const step: FrequencyStep = { q: "", words: 2, hasHole: true, matchingWords: 2, maxMatchingWords: 3 };
  const hit = (sequence: bigint, matchingWords: number, typoCount: number, matchType = "noExactMatch") =>
    hitAt(
      Buffer.from(
        JSON.stringify({
          _rankingScore: 1,
          _rankingScoreDetails: {
            words: { order: 0, matchingWords, maxMatchingWords: 2, score: matchingWords / 2 },
            typo: { order: 1, typoCount, maxTypoCount: 1, score: 1 / (typoCount + 1) },
            exactness: { order: 2, matchType, matchingWords: 2, maxMatchingWords: 2, score: 0.3 },
            "_miroir_seq:asc": { order: 3, value: sequenceCode(sequence) },
          },
        }),
      ),
      0,
      0,
    );

  it("takes a document where it is ranked best, once, and only if it has all words", () => {
    const seen = new Set<string>();
    const joined = joinSteps(
      [
        { step, hits: [hit(1n, 2, 1), hit(2n, 2, 1), hit(3n, 1, 0)] },
        { step, hits: [hit(2n, 2, 0)] },
      ],
      seen,
      false,
    );
    expect(
      joined.map(({ details }) =>
        details.map((rule) => (rule.kind === "typo" ? rule.typoCount : "")).join(""),
      ),
    ).toEqual(["0", "1"]);
    expect(seen.size).toBe(2);
    expect(joinSteps([{ step, hits: [hit(1n, 2, 0)] }], seen, false)).toEqual([]);
  });

  it("scores as one node does that knows of the dropped words", () => {
    const [joined] = joinSteps([{ step, hits: [hit(1n, 2, 0, "matchesStart")] }], new Set(), true);
    const shown = JSON.parse(joined?.bytes.toString() ?? "{}") as Record<string, Record<string, unknown>>;
    expect(shown._rankingScoreDetails?.words).toEqual({
      order: 0,
      matchingWords: 2,
      maxMatchingWords: 3,
      score: 2 / 3,
    });
    expect(shown._rankingScoreDetails?.exactness).toMatchObject({ order: 2, matchType: "noExactMatch" });
    expect(shown._rankingScore).toBeLessThan(2 / 3);
  });
});
