import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type FurtherAnswers,
  type IndexFacts,
  type JsonObject,
  mergeSearch,
  nextRound,
  planSearch,
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
};
const THRESHOLD = 0.5;

interface Film {
  readonly id: number;
  readonly year: number;
  /** In tenths. */
  readonly score: number;
}

/** By year, then by score: a node with the rules `year:asc` and `exactness`. */
function ranked(films: readonly Film[]): Film[] {
  return [...films].sort((a, b) => a.year - b.year || b.score - a.score || a.id - b.id);
}

/** Takes documents until the page is full, leaves out those below the threshold that are met, and counts what is left. */
function oneNode(films: readonly Film[], limit: number): { ids: number[]; total: number } {
  const shown: Film[] = [];
  let left = films.length;
  for (const film of ranked(films)) {
    if (shown.length === limit) break;
    if (film.score / 10 < THRESHOLD) left--;
    else shown.push(film);
  }
  return { ids: shown.map(({ id }) => id), total: left };
}

function partAnswer(films: readonly Film[], body: JsonObject): Buffer {
  const above = films.filter(
    ({ score }) => body.rankingScoreThreshold === undefined || score / 10 >= THRESHOLD,
  );
  const hits = ranked(above)
    .slice(0, Number(body.limit))
    .map(({ id, year, score }) =>
      JSON.stringify({
        id,
        _rankingScore: score / 10,
        _rankingScoreDetails: {
          "year:asc": { order: 0, value: year },
          proximity: { order: 1, score: score / 10 },
          "_miroir_seq:asc": { order: 2, value: sequenceCode(BigInt(id)) },
        },
      }),
    );
  const total = Number(body.limit) === 0 ? films.length : above.length;
  return Buffer.from(
    `{"hits":[${hits.join(",")}],"query":"","processingTimeMs":0,"limit":0,"offset":0,"estimatedTotalHits":${total}}`,
  );
}

describe("a score threshold behind a sort rule", () => {
  it("counts out the documents below it that one node meets before its page is full", () => {
    const film = fc.record({
      year: fc.nat({ max: 3 }),
      score: fc.nat({ max: 10 }),
      part: fc.nat({ max: 2 }),
    });
    fc.assert(
      fc.property(fc.array(film, { maxLength: 30 }), fc.integer({ min: 1, max: 8 }), (rows, limit) => {
        const films = rows.map(({ year, score }, id): Film => ({ id, year, score }));
        const parts = [0, 1, 2].map((part) => films.filter(({ id }) => rows[id]?.part === part));
        const plan = planSearch({ q: "a", limit, rankingScoreThreshold: THRESHOLD }, FACTS);
        const answers = parts.map((own) => ({ answers: plan.asks.map(({ body }) => partAnswer(own, body)) }));
        const rounds: FurtherAnswers[] = [];
        for (let ask = nextRound(plan, answers, rounds); ask; ask = nextRound(plan, answers, rounds)) {
          const { body } = ask;
          rounds.push({ ask, parts: parts.map((own) => ({ answers: [partAnswer(own, body)] })) });
        }
        const merged = JSON.parse(mergeSearch(plan, answers, rounds).toString()) as {
          hits: { id: number }[];
          estimatedTotalHits: number;
        };
        const expected = oneNode(films, limit);
        expect(merged.hits.map(({ id }) => id)).toEqual(expected.ids);
        // Where not even one page is left, the order of what is below it does not matter.
        if (expected.ids.length === limit) expect(merged.estimatedTotalHits).toBe(expected.total);
        else expect(merged.estimatedTotalHits).toBe(expected.ids.length);
      }),
    );
  });
});
