import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mergeSearch, nextRound, type PartAnswers, planSearch } from "../../../src/merge/index.js";
import type { IndexFacts, JsonObject } from "../../../src/merge/search-parameters.js";
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

interface Film {
  readonly id: number;
  readonly tags: readonly string[];
}

/** Walks documents in order and keeps those of which no value was met: what one Meilisearch does. */
function distinctFilms(films: readonly Film[], limit: number): Film[] {
  const seen = new Set<string>();
  const kept: Film[] = [];
  for (const film of films) {
    if (kept.length === limit || film.tags.some((tag) => seen.has(tag))) continue;
    for (const tag of film.tags) seen.add(tag);
    kept.push(film);
  }
  return kept;
}

function nodeAnswer(films: readonly Film[], body: JsonObject): Buffer {
  const filters = (body.filter ?? []) as readonly string[];
  const excluded = new Set(
    filters.flatMap((filter) => JSON.parse(filter.replace('"tags" NOT IN ', "")) as string[]),
  );
  const matching = films.filter((film) => !film.tags.some((tag) => excluded.has(tag)));
  const hits = distinctFilms(matching, Number(body.limit)).map((film) =>
    JSON.stringify({
      ...film,
      _rankingScoreDetails: { "_miroir_seq:asc": { order: 0, value: sequenceCode(BigInt(film.id)) } },
    }),
  );
  return Buffer.from(
    `{"hits":[${hits.join(",")}],"query":"","processingTimeMs":0,"limit":0,"offset":0,"estimatedTotalHits":${matching.length}}`,
  );
}

function fleetIds(parts: readonly (readonly Film[])[], limit: number): { ids: number[]; rounds: number } {
  const plan = planSearch({ q: "", distinct: "tags", limit }, FACTS);
  const answers = parts.map((films) => ({ answers: plan.asks.map((ask) => nodeAnswer(films, ask.body)) }));
  const rounds: PartAnswers[][] = [];
  for (let ask = nextRound(plan, answers, rounds); ask; ask = nextRound(plan, answers, rounds)) {
    const { body } = ask;
    rounds.push(parts.map((films) => ({ answers: [nodeAnswer(films, body)] })));
  }
  const merged = JSON.parse(mergeSearch(plan, answers, rounds).toString()) as { hits: { id: number }[] };
  return { ids: merged.hits.map(({ id }) => id), rounds: rounds.length };
}

describe("distinct over an attribute with several values in one document", () => {
  const tags = fc.uniqueArray(fc.constantFrom("a", "b", "c", "d", "e", "f", "g", "h"), { maxLength: 3 });

  it("shows the documents that one node would show", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ tags, part: fc.nat({ max: 2 }) }), { maxLength: 40 }),
        fc.integer({ min: 1, max: 12 }),
        (rows, limit) => {
          const films = rows.map((row, id) => ({ id, tags: row.tags }));
          const parts = [0, 1, 2].map((part) => films.filter(({ id }) => rows[id]?.part === part));
          expect(fleetIds(parts, limit).ids).toEqual(distinctFilms(films, limit).map(({ id }) => id));
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it("asks once more only where a document with several values was dropped", () => {
    const single = [
      [
        { id: 0, tags: ["a"] },
        { id: 3, tags: ["b"] },
      ],
      [
        { id: 1, tags: ["a"] },
        { id: 2, tags: ["b"] },
      ],
    ];
    expect(fleetIds(single, 20)).toEqual({ ids: [0, 2], rounds: 0 });
    const several = [
      [{ id: 0, tags: ["a"] }],
      [
        { id: 1, tags: ["a", "b"] },
        { id: 2, tags: ["b"] },
      ],
    ];
    expect(fleetIds(several, 20)).toEqual({ ids: [0, 2], rounds: 1 });
  });
});
