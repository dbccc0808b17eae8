import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Ask,
  type FurtherAnswers,
  type IndexFacts,
  mergeSearch,
  nextRound,
  type PartAnswers,
  planSearch,
  type SearchParameters,
} from "../../../src/merge/index.js";
import { type ModelDocument, type ModelQuery, modelSearch } from "./model-node.js";

const FACTS: IndexFacts = {
  uid: "things",
  primaryKey: "id",
  distinctAttribute: null,
  distinctAttributeIsFilterable: false,
  displayedAttributes: null,
  maxTotalHits: 1000,
  maxValuesPerFacet: 100,
  sortFacetValuesBy: {},
};

/** Values that do not survive being parsed and printed again. */
const awkwardValue = fc.constantFrom(
  "12345678901234567890",
  "1.0",
  "-0.0",
  "1e2",
  '"1e400 \\"_miroir_seq\\": \\u00e9\\/"',
  '{"a":1,"a":2}',
  '[ 1 , {"_rankingScoreDetails":{"words":{"order":0}}} ]',
  '{"_miroir_seq":"theirs, further down"}',
  '"\\"_rankingScoreDetails\\":{"',
  "null",
);

const colour = fc.option(
  fc.constantFrom("red", "Red", "RED ", "green", "blau", "ä", "Ä", "😀", "\uffee", "10", "9"),
  {
    nil: null,
  },
);
const price = fc.oneof(
  fc.integer({ min: -3, max: 3 }),
  fc.constantFrom("a", "b", "😀", "\uffee", "z"),
  fc.constant(null),
);

const corpus = fc
  .array(
    fc.record({
      words: fc.integer({ min: 1, max: 4 }),
      price,
      colour,
      value: awkwardValue,
      part: fc.nat({ max: 3 }),
    }),
    { maxLength: 40 },
  )
  .map((rows) =>
    rows.map((row, sequence) => ({
      part: row.part,
      document: {
        sequence,
        fields: [
          ["id", String(sequence)],
          ["value", row.value],
        ],
        words: row.words,
        price: row.price,
        colour: row.colour,
      } satisfies ModelDocument,
    })),
  );

const pagination = fc.oneof(
  fc.record({ offset: fc.nat({ max: 45 }), limit: fc.nat({ max: 15 }) }),
  fc.record({ page: fc.nat({ max: 5 }), hitsPerPage: fc.nat({ max: 12 }) }),
  fc.record({ page: fc.integer({ min: 1, max: 3 }) }),
  fc.constant({}),
);

type Row = { part: number; document: ModelDocument };

/** What the fleet answers: the plan's asks put to a model node per part, and merged. */
function fleetAnswer(rows: readonly Row[], query: SearchParameters, facts: IndexFacts): string {
  const plan = planSearch(query, facts);
  const askParts = (asks: readonly Ask[]): PartAnswers[] =>
    [0, 1, 2, 3].map((part) => {
      const documents = rows.filter((row) => row.part === part).map((row) => row.document);
      const answer = ({ body }: Ask): Buffer =>
        modelSearch(documents, body as ModelQuery, { ...facts, isMember: true });
      return { answers: asks.map(answer) };
    });
  const parts = askParts(plan.asks);
  const rounds: FurtherAnswers[] = [];
  for (let ask = nextRound(plan, parts, rounds); ask !== undefined; ask = nextRound(plan, parts, rounds)) {
    // The model knows no filters.
    if (ask.body.filter !== undefined) break;
    rounds.push({ ask, parts: askParts([ask]) });
  }
  return mergeSearch(plan, parts, rounds).toString();
}

function wholeAnswer(rows: readonly Row[], query: ModelQuery, facts: IndexFacts): string {
  const documents = rows.map((row) => row.document);
  return modelSearch(documents, query, { ...facts, isMember: false }).toString();
}

/** Facet labels keep the casing of some first document: compared without it. */
function withoutCasing(body: string): string {
  const at = body.indexOf('"facetDistribution"');
  return at === -1 ? body : body.slice(0, at) + body.slice(at).toLowerCase().replaceAll('red "', 'red"');
}

describe("mergeSearch", () => {
  it("gives the bytes that one node holding every part would give", () => {
    fc.assert(
      fc.property(
        corpus,
        pagination,
        fc.record({
          sort: fc.constantFrom(undefined, ["price:asc"], ["price:desc"]),
          facets: fc.constantFrom(undefined, ["colour"], ["*"]),
          showRankingScore: fc.boolean(),
          showRankingScoreDetails: fc.boolean(),
        }),
        fc.constantFrom(7, 1000),
        (rows, pages, query, maxTotalHits) => {
          const asked = { ...pages, ...query };
          const facts = { ...FACTS, maxTotalHits };
          expect(withoutCasing(fleetAnswer(rows, asked, facts))).toBe(
            withoutCasing(wholeAnswer(rows, asked, facts)),
          );
        },
      ),
      { numRuns: 300 },
    );
  });

  it("shows each distinct value once and counts as one node does", () => {
    fc.assert(
      fc.property(
        corpus,
        pagination,
        fc.constantFrom(undefined, ["price:asc"]),
        fc.constantFrom(undefined, ["id"], ["id", "colour"]),
        fc.constantFrom(undefined, ["colour"]),
        (rows, pages, sort, attributesToRetrieve, facets) => {
          const asked = { ...pages, sort, attributesToRetrieve, facets, distinct: "colour" };
          expect(withoutCasing(fleetAnswer(rows, asked, FACTS))).toBe(
            withoutCasing(wholeAnswer(rows, asked, FACTS)),
          );
        },
      ),
      { numRuns: 300 },
    );
  });

  it("counts above a score threshold as one node does, wherever the page ends", () => {
    fc.assert(
      fc.property(
        corpus,
        pagination,
        fc.constantFrom(0.3, 0.5, 0.75, 1),
        fc.constantFrom(undefined, ["colour"]),
        fc.constantFrom(7, 1000),
        (rows, pages, rankingScoreThreshold, facets, maxTotalHits) => {
          const asked = { ...pages, rankingScoreThreshold, facets };
          const facts = { ...FACTS, maxTotalHits };
          expect(withoutCasing(fleetAnswer(rows, asked, facts))).toBe(
            withoutCasing(wholeAnswer(rows, asked, facts)),
          );
        },
      ),
      { numRuns: 300 },
    );
  });

  it("does not depend on how documents are spread over parts", () => {
    fc.assert(
      fc.property(corpus, fc.array(fc.nat({ max: 3 }), { minLength: 40, maxLength: 40 }), (rows, spread) => {
        const again = rows.map((row, at) => ({ ...row, part: spread[at] ?? 0 }));
        const query = { limit: 30, sort: ["price:desc"], facets: ["colour"] };
        expect(withoutCasing(fleetAnswer(again, query, FACTS))).toBe(
          withoutCasing(fleetAnswer(rows, query, FACTS)),
        );
      }),
    );
  });

  it("cuts facets at maxValuesPerFacet after adding them up", () => {
    fc.assert(
      fc.property(corpus, fc.integer({ min: 1, max: 4 }), (rows, maxValuesPerFacet) => {
        const facts = { ...FACTS, maxValuesPerFacet };
        const query = { limit: 1, facets: ["colour"] };
        expect(withoutCasing(fleetAnswer(rows, query, facts))).toBe(
          withoutCasing(wholeAnswer(rows, query, facts)),
        );
      }),
    );
  });

  it("leaves nothing of Miroir's in sight", () => {
    fc.assert(
      fc.property(
        corpus.map((rows) =>
          rows.filter((row) => !row.document.fields.some(([, raw]) => raw.includes("_miroir"))),
        ),
        fc.constantFrom<SearchParameters>(
          {},
          { attributesToRetrieve: ["*"] },
          { attributesToRetrieve: ["_miroir_seq", "_miroir_shard", "id"] },
          { facets: ["*"], showRankingScoreDetails: true },
        ),
        (rows, query) => {
          expect(fleetAnswer(rows, query, FACTS)).not.toContain("_miroir");
        },
      ),
    );
  });

  it("refuses parts that did not answer every ask", () => {
    const plan = planSearch({}, FACTS);
    expect(() => mergeSearch(plan, [{ answers: [] }])).toThrow(RangeError);
    expect(() => mergeSearch(plan, [{ answers: [null] }])).toThrow(/part 0 has no answer to its page ask/);
  });

  it("answers from no parts at all", () => {
    expect(mergeSearch(planSearch({ q: "a" }, FACTS), []).toString()).toBe(
      '{"hits":[],"query":"a","processingTimeMs":0,"limit":20,"offset":0,"estimatedTotalHits":0}',
    );
  });

  it("prints the slowest part's time, the client's index name and the members of a node's answer in order", () => {
    const part = (ms: number): Buffer =>
      Buffer.from(
        `{"hits":[],"query":"a","queryVector":[0.5],"processingTimeMs":${ms},"limit":0,"offset":0,"estimatedTotalHits":1,"facetDistribution":{"n":{}},"facetStats":{"n":{"min":${ms}.0,"max":${ms}.5}},"requestUid":"u","metadata":{"queryUid":"v","indexUid":"mabc_1","primaryKey":"id"}}`,
      );
    const plan = planSearch({ q: "a", limit: 0, facets: ["n"] }, FACTS);
    expect(mergeSearch(plan, [{ answers: [part(3)] }, { answers: [part(7)] }]).toString()).toBe(
      '{"hits":[],"query":"a","queryVector":[0.5],"processingTimeMs":7,"limit":0,"offset":0,"estimatedTotalHits":2,"facetDistribution":{"n":{}},"facetStats":{"n":{"min":3.0,"max":7.5}},"requestUid":"u","metadata":{"queryUid":"v","indexUid":"things","primaryKey":"id"}}',
    );
  });
});

describe("a plan for one part", () => {
  it("asks what the client asked and returns the answer without Miroir's fields", () => {
    fc.assert(
      fc.property(corpus, pagination, fc.boolean(), (rows, pages, showRankingScoreDetails) => {
        const query = { ...pages, facets: ["*"], showRankingScoreDetails };
        const plan = planSearch(query, FACTS, "one");
        const documents = rows.map((row) => row.document);
        const answer = modelSearch(documents, plan.asks[0]?.body as ModelQuery, { ...FACTS, isMember: true });
        expect(mergeSearch(plan, [{ answers: [answer] }]).toString()).toBe(wholeAnswer(rows, query, FACTS));
      }),
    );
  });

  it("returns an answer with nothing to hide as it is", () => {
    const body = Buffer.from('{"hits":[{"id":1}],"query":"","processingTimeMs":0}');
    expect(mergeSearch(planSearch({}, FACTS, "one"), [{ answers: [body] }])).toBe(body);
  });
});
