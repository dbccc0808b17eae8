import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { IndexFacts } from "../../../src/merge/index.js";
import {
  mergeSimilar,
  nearestAsk,
  type SimilarParameters,
  similarAsk,
  similarityRule,
} from "../../../src/merge/similar.js";
import { sequenceCode } from "../../../src/placement/injected-fields.js";

const FACTS: IndexFacts = {
  uid: "docs",
  primaryKey: "id",
  distinctAttribute: null,
  distinctAttributeIsFilterable: false,
  displayedAttributes: null,
  maxTotalHits: 50,
  maxValuesPerFacet: 100,
  sortFacetValuesBy: {},
};

type Document = { readonly id: number; readonly score: number | null };

/** A part's documents as its node gives them: nearest first unless it is to sort by something else. */
function answer(documents: readonly Document[], isRanked: boolean): { body: Buffer; isRanked: boolean } {
  const hits = documents.map(({ id, score }) => ({
    id,
    _miroir_seq: sequenceCode(id),
    _rankingScore: score ?? 0,
    _rankingScoreDetails: isRanked
      ? { vectorSort: { order: 0, similarity: score } }
      : { "price:asc": { order: 0, value: 1 }, vectorSort: { order: 1, similarity: score } },
  }));
  const body = { hits, processingTimeMs: 2, limit: 20, offset: 0, estimatedTotalHits: documents.length };
  return { body: Buffer.from(JSON.stringify(body)), isRanked };
}

function byScore(a: Document, b: Document): number {
  return (b.score ?? -1) - (a.score ?? -1) || a.id - b.id;
}

/** What one node says, looking at what it shows alone. */
function naive(documents: readonly Document[], query: SimilarParameters): { ids: number[]; total: number } {
  const { offset = 0, limit = 20, rankingScoreThreshold = null } = query;
  const ids: number[] = [];
  const ranked = documents.filter(({ score }) => score !== null).sort(byScore);
  for (const [at, { id, score }] of ranked.entries()) {
    if (at < offset || at >= offset + limit) continue;
    if (rankingScoreThreshold !== null && (score ?? 0) < rankingScoreThreshold) {
      return { ids, total: Math.min(at, FACTS.maxTotalHits) };
    }
    ids.push(id);
  }
  return { ids, total: Math.min(documents.length, FACTS.maxTotalHits) };
}

const scores = fc.array(
  fc.oneof(
    fc.integer({ min: 0, max: 8 }).map((n) => n / 8),
    fc.constant(null),
  ),
  { maxLength: 70 },
);
const queries = fc.record(
  {
    embedder: fc.constant("e"),
    offset: fc.nat({ max: 30 }),
    limit: fc.nat({ max: 30 }),
    rankingScoreThreshold: fc.option(fc.integer({ min: 0, max: 8 }).map((n) => n / 8)),
  },
  { requiredKeys: ["embedder"] },
);

describe("similar documents over parts", () => {
  it("are those of one node: order, page, threshold, total", () => {
    fc.assert(
      fc.property(scores, queries, fc.integer({ min: 1, max: 4 }), (all, query, parts) => {
        const documents = all.map((score, at): Document => ({ id: at + 1, score }));
        const answers = Array.from({ length: parts }, (_, part) => {
          const own = documents.filter(({ id }) => id % parts === part);
          return part === 0 ? answer([...own].sort(byScore), true) : answer(own, false);
        });
        const merged = JSON.parse(mergeSimilar(query, FACTS, "7", answers).toString()) as {
          hits: { id: number }[];
          estimatedTotalHits: number;
        };
        const wanted = naive(documents, query);
        expect(merged.hits.map(({ id }) => id)).toEqual(wanted.ids);
        expect(merged.estimatedTotalHits).toBe(wanted.total);
      }),
    );
  });

  it("are shown as one node shows them", () => {
    const parts = [
      answer([{ id: 1, score: 0.5 }], true),
      answer(
        [
          { id: 3, score: null },
          { id: 2, score: 0.75 },
        ],
        false,
      ),
    ];
    const printed = (query: Partial<SimilarParameters>): string =>
      mergeSimilar({ embedder: "e", ...query }, FACTS, "7", parts).toString();
    expect(printed({})).toBe(
      '{"hits":[{"id":2},{"id":1}],"id":"7","processingTimeMs":2,"limit":20,"offset":0,"estimatedTotalHits":3}',
    );
    expect(printed({ limit: 1, showRankingScore: true, showRankingScoreDetails: true })).toContain(
      '{"id":2,"_rankingScore":0.75,"_rankingScoreDetails":{"vectorSort":{"order":0,"similarity":0.75}}}',
    );
  });
});

describe("what parts are asked", () => {
  const query = {
    embedder: "e",
    offset: 2,
    limit: 3,
    attributesToRetrieve: ["id"],
    rankingScoreThreshold: 0.5,
  };

  it("are all hits up to the page's end, whatever their score", () => {
    expect(JSON.parse(similarAsk(query, FACTS, "7", "f"))).toMatchObject({
      id: "7",
      filter: "f",
      offset: 0,
      limit: 5,
    });
    expect(similarAsk(query, FACTS, "7", "f")).not.toContain("rankingScoreThreshold");
    expect(JSON.parse(nearestAsk(query, FACTS, "[1.0]", "first", undefined))).toMatchObject({
      limit: 5,
      vector: [1],
    });
  });

  it("are all that a search gives where similarity does not rank first", () => {
    expect(JSON.parse(nearestAsk(query, FACTS, "[1.0]", "later", undefined))).toMatchObject({ limit: 50 });
    expect(similarityRule(["sort", "words"])).toBe("first");
    expect(similarityRule(["price:asc", "words"])).toBe("later");
    expect(similarityRule(["words", "price:asc"])).toBe("first");
    expect(similarityRule(["price:asc"])).toBe("never");
  });
});
