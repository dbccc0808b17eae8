import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type IndexFacts, mergeSearch, planSearch, type SearchParameters } from "../../../src/merge/index.js";

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

type Scored = { id: number; words: number; similarity: number; part: number };

/** Words of 10: enough steps for weighted scores to interleave. Similarities have single precision. */
const corpus = fc.uniqueArray(
  fc.record({
    id: fc.nat({ max: 200 }),
    words: fc.integer({ min: 0, max: 10 }),
    similarity: fc.integer({ min: 0, max: 20 }).map((n) => Math.fround(n / 20)),
    part: fc.nat({ max: 2 }),
  }),
  { selector: (row) => row.id, maxLength: 30 },
);

function keywordHits(rows: readonly Scored[]): Scored[] {
  return rows.filter((row) => row.words > 0).sort((a, b) => b.words - a.words || a.id - b.id);
}

function semanticHits(rows: readonly Scored[]): Scored[] {
  return [...rows].sort((a, b) => b.similarity - a.similarity || a.id - b.id);
}

function body(hits: string[], total: number): Buffer {
  return Buffer.from(
    `{"hits":[${hits.join(",")}],"query":"q","processingTimeMs":0,"estimatedTotalHits":${total}}`,
  );
}

function sequence(row: Scored, order: number): string {
  return `"_miroir_seq:asc":{"order":${order},"value":"${String(row.id).padStart(18, "0")}"}`;
}

function answers(rows: readonly Scored[], limit: number): Buffer[] {
  const keyword = keywordHits(rows);
  const semantic = semanticHits(rows);
  return [
    body(
      keyword
        .slice(0, limit)
        .map(
          (row) =>
            `{"id":${row.id},"_rankingScore":${row.words / 10},"_rankingScoreDetails":{"words":{"order":0,"matchingWords":${row.words},"maxMatchingWords":10,"score":0},${sequence(row, 1)}}}`,
        ),
      keyword.length,
    ),
    body(
      semantic
        .slice(0, limit)
        .map(
          (row) =>
            `{"id":${row.id},"_rankingScore":${row.similarity},"_rankingScoreDetails":{"vectorSort":{"order":0,"similarity":${row.similarity}},${sequence(row, 1)}}}`,
        ),
      semantic.length,
    ),
  ];
}

/** Hybrid search over one list of each kind, written down as plainly as it goes. */
function naiveHybrid(
  rows: readonly Scored[],
  end: number,
  ratio: number,
): { id: number; semantic: boolean }[] {
  const keyword = keywordHits(rows).slice(0, end);
  const keywordWeight = Math.fround(1 - ratio);
  if (keyword.length === end && keyword.every((row) => (row.words / 10) * keywordWeight >= 0.45)) {
    return keyword.map((row) => ({ id: row.id, semantic: false }));
  }
  const semantic = semanticHits(rows).slice(0, end);
  const merged: { id: number; semantic: boolean }[] = [];
  while (keyword.length > 0 || semantic.length > 0) {
    const k = keyword[0];
    const s = semantic[0];
    const isSemantic =
      s !== undefined &&
      (k === undefined || s.similarity * ratio - (k.words / 10) * keywordWeight >= -(2 ** -52));
    const row = isSemantic ? semantic.shift() : keyword.shift();
    if (row !== undefined && !merged.some((known) => known.id === row.id)) {
      merged.push({ id: row.id, semantic: isSemantic });
    }
  }
  return merged.slice(0, end);
}

function ask(query: SearchParameters, rows: readonly Scored[], parts: number): Record<string, unknown> {
  const plan = planSearch(query, FACTS);
  const bodies = Array.from({ length: parts }, (_, part) => ({
    answers: answers(
      rows.filter((row) => row.part === part),
      plan.end,
    ),
  }));
  return JSON.parse(mergeSearch(plan, bodies).toString());
}

describe("hybrid search over parts", () => {
  it("orders as one node does, decides over all parts, and counts semantic hits", () => {
    fc.assert(
      fc.property(
        corpus,
        fc.constantFrom(0.1, 0.2, 0.5, 0.8),
        fc.nat({ max: 4 }),
        fc.integer({ min: 1, max: 8 }),
        (rows, semanticRatio, offset, limit) => {
          const query = { q: "q", hybrid: { embedder: "e", semanticRatio }, offset, limit };
          const answer = ask(query, rows, 3);
          const expected = naiveHybrid(rows, offset + limit, Math.fround(semanticRatio)).slice(offset);
          expect(answer.hits).toEqual(expected.map(({ id }) => ({ id })));
          expect(answer.semanticHitCount).toBe(expected.filter(({ semantic }) => semantic).length);
        },
      ),
      { numRuns: 500 },
    );
  });

  it("counts what the half it used covers", () => {
    const rows = [
      { id: 1, words: 10, similarity: 0.9, part: 0 },
      { id: 2, words: 0, similarity: 0.1, part: 1 },
      { id: 3, words: 10, similarity: 0.1, part: 2 },
    ];
    const query = { q: "q", hybrid: { embedder: "e", semanticRatio: 0.2 } };
    expect(ask({ ...query, limit: 2 }, rows, 3)).toMatchObject({
      estimatedTotalHits: 2,
      semanticHitCount: 0,
    });
    expect(ask({ ...query, limit: 3 }, rows, 3)).toMatchObject({ estimatedTotalHits: 3 });
  });

  it("answers with the keyword half alone where the text could not be embedded", () => {
    const plan = planSearch({ q: "q", hybrid: { embedder: "e" } }, FACTS);
    const rows = [{ id: 1, words: 1, similarity: 1, part: 0 }];
    const [keyword] = answers(rows, 20);
    const answer = JSON.parse(mergeSearch(plan, [{ answers: [keyword ?? null, null] }]).toString());
    expect(answer).toMatchObject({ hits: [{ id: 1 }], semanticHitCount: 0, estimatedTotalHits: 1 });
  });

  it("weighs the run of rules in front of a sort rule, whose ranks it learns from all hits", () => {
    const plan = planSearch(
      { q: "q", hybrid: { embedder: "e", semanticRatio: 0.5 }, sort: ["n:asc"] },
      FACTS,
    );
    const keyword = (id: number, proximity: number) =>
      `{"id":${id},"_rankingScore":0.5,"_rankingScoreDetails":{"words":{"order":0,"matchingWords":2,"maxMatchingWords":2,"score":1.0},"proximity":{"order":1,"score":${proximity}},"n:asc":{"order":2,"value":1},"exactness":{"order":3,"matchType":"noExactMatch","matchingWords":0,"maxMatchingWords":2,"score":0.1}}}`;
    const semantic = (id: number, similarity: number) =>
      `{"id":${id},"_rankingScore":${similarity},"_rankingScoreDetails":{"vectorSort":{"order":0,"similarity":${similarity}},"n:asc":{"order":1,"value":1}}}`;
    // Two words of two and proximity 3/4 of the step below: 1 - 1/2 + 1/2 * 3/4 = 0.875.
    const body1 = body([keyword(1, 0.75), keyword(2, 0.25)], 2);
    const body2 = body([semantic(3, 0.9), semantic(4, 0.87), semantic(5, 0.7), semantic(6, 0.6)], 4);
    const answer = JSON.parse(mergeSearch(plan, [{ answers: [body1, body2] }]).toString());
    expect(answer.hits.map((hit: { id: number }) => hit.id)).toEqual([3, 1, 4, 5, 2, 6]);
  });
});
