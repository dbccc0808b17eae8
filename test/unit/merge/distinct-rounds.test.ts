import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type FurtherAnswers, mergeSearch, nextRound, planSearch } from "../../../src/merge/index.js";
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
  /** What documents are ranked by; 0 unless given. */
  readonly rank?: number;
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
  const matching = films.filter((film) =>
    filters.every((filter) => {
      const [, not, list = "[]"] = /^"tags" (NOT )?IN (.*)$/.exec(filter) ?? [];
      const values = JSON.parse(list) as string[];
      return film.tags.some((tag) => values.includes(tag)) === (not === undefined);
    }),
  );
  const counts: Record<string, number> = {};
  for (const tag of matching.flatMap((film) => film.tags)) counts[tag] = (counts[tag] ?? 0) + 1;
  const facets = body.facets === undefined ? "" : `,"facetDistribution":${JSON.stringify({ tags: counts })}`;
  const shown =
    body.distinct === undefined
      ? matching.slice(0, Number(body.limit))
      : distinctFilms(matching, Number(body.limit));
  const hits = shown.map((film) =>
    JSON.stringify({
      ...film,
      _rankingScoreDetails: {
        "rank:asc": { order: 0, value: film.rank ?? 0 },
        "_miroir_seq:asc": { order: 1, value: sequenceCode(BigInt(film.id)) },
      },
    }),
  );
  return Buffer.from(
    `{"hits":[${hits.join(",")}],"query":"","processingTimeMs":0,"limit":0,"offset":0,"estimatedTotalHits":${matching.length}${facets}}`,
  );
}

function fleetIds(
  parts: readonly (readonly Film[])[],
  limit: number,
): { ids: number[]; total: number; rounds: number } {
  const plan = planSearch({ q: "", distinct: "tags", limit }, FACTS);
  const answers = parts.map((films) => ({ answers: plan.asks.map((ask) => nodeAnswer(films, ask.body)) }));
  const rounds: FurtherAnswers[] = [];
  for (let ask = nextRound(plan, answers, rounds); ask; ask = nextRound(plan, answers, rounds)) {
    const { body } = ask;
    rounds.push({ ask, parts: parts.map((films) => ({ answers: [nodeAnswer(films, body)] })) });
  }
  const merged = JSON.parse(mergeSearch(plan, answers, rounds).toString()) as {
    hits: { id: number }[];
    estimatedTotalHits: number;
  };
  return {
    ids: merged.hits.map(({ id }) => id),
    total: merged.estimatedTotalHits,
    rounds: rounds.length,
  };
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
          const shown = distinctFilms(films, limit);
          const answer = fleetIds(parts, limit);
          expect(answer.ids).toEqual(shown.map(({ id }) => id));
          // Where the page is not full, nothing is left but the page.
          if (shown.length < limit) expect(answer.total).toBe(shown.length);
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it("counts as one node does, which takes all ties of the page's last document for shown", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ tags, part: fc.nat({ max: 2 }), rank: fc.nat({ max: 3 }) }), { maxLength: 40 }),
        fc.integer({ min: 1, max: 12 }),
        (rows, limit) => {
          const films = rows
            .map(({ tags: own, rank }, id): Film => ({ id, tags: own, rank }))
            .sort((a, b) => (a.rank ?? 0) - (b.rank ?? 0) || a.id - b.id);
          const parts = [0, 1, 2].map((part) => films.filter(({ id }) => rows[id]?.part === part));
          const shown = distinctFilms(films, limit);
          const last = shown.at(-1)?.rank ?? 0;
          const kept = distinctFilms(
            films.filter(({ rank = 0 }) => rank <= last),
            films.length,
          );
          const values = new Set(kept.flatMap(({ tags: own }) => own));
          const left = films.filter(
            (film) => kept.includes(film) || !film.tags.some((own) => values.has(own)),
          );
          // Where enough documents have no value, counts do not tell that others have several, and parts may show neither.
          const valueCount = films.flatMap(({ tags: own }) => own).length;
          const areHidden = films.some(({ tags: own }) => own.length === 0) && valueCount <= films.length;
          fc.pre(!areHidden || films.every(({ tags: own }) => own.length < 2));
          const answer = fleetIds(parts, limit);
          expect(answer.ids).toEqual(shown.map(({ id }) => id));
          expect(answer.total).toBe(shown.length < limit ? shown.length : left.length);
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it("counts documents with several values where one that is seen to have none hides them from the counts", () => {
    const films = [
      { id: 0, tags: ["h"], rank: 0 },
      { id: 1, tags: ["g"], rank: 0 },
      { id: 3, tags: ["g", "h"], rank: 0 },
      { id: 2, tags: [], rank: 1 },
    ];
    expect(fleetIds([films, [], []], 1)).toMatchObject({ ids: [0], total: 3 });
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
    expect(fleetIds(single, 20)).toEqual({ ids: [0, 2], total: 2, rounds: 0 });
    const several = [
      [{ id: 0, tags: ["a"] }],
      [
        { id: 1, tags: ["a", "b"] },
        { id: 2, tags: ["b"] },
      ],
    ];
    expect(fleetIds(several, 20)).toEqual({ ids: [0, 2], total: 2, rounds: 1 });
  });
});
