import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  facetsWithout,
  type IndexFacts,
  indexFacets,
  mergedSearch,
  mergeIndexes,
  mergeIndexFacets,
  mergeQueries,
  planFederatedQuery,
  printFederatedAnswer,
  rankingIncompatibility,
  type SearchParameters,
  totalAndFacets,
  unionAsks,
  unionOf,
} from "../../../src/merge/index.js";
import { type ModelDocument, type ModelQuery, modelSearch } from "./model-node.js";

const SETTINGS = { maxTotalHits: 1000, maxValuesPerFacet: 100, isMember: true };

function factsOf(uid: string): IndexFacts {
  return {
    uid,
    primaryKey: "id",
    distinctAttribute: null,
    distinctAttributeIsFilterable: false,
    displayedAttributes: null,
    maxTotalHits: 1000,
    maxValuesPerFacet: 100,
    sortFacetValuesBy: {},
  };
}

/** Sound JSON that a parser would spoil: numbers above 2^53, escapes, white space. */
const raw = fc.constantFrom("9007199254740993", '"\\u00e9 {"', "[ 1, 2.50 ]", "1e2");
const documents = fc
  .array(
    fc.record({
      words: fc.integer({ min: 1, max: 4 }),
      price: fc.constantFrom(null, 1, 2, "a"),
      colour: fc.constantFrom(null, "red", "Green", "blue"),
      raw,
      part: fc.nat({ max: 2 }),
    }),
    { maxLength: 25 },
  )
  .map((rows) =>
    rows.map(({ raw: value, part, ...row }, sequence) => {
      const fields = [
        ["id", String(sequence)],
        ["raw", value],
      ] as const;
      return { part, document: { ...row, sequence, fields } satisfies ModelDocument };
    }),
  );

type Row = { readonly part: number; readonly document: ModelDocument };

interface Asked {
  readonly uid: string;
  readonly weight: number;
  readonly parameters: SearchParameters;
}

/** A whole federated search over model nodes: every index in as many parts as its rows say. */
function search(
  corpora: ReadonlyMap<string, readonly Row[]>,
  asked: readonly Asked[],
  page: { offset: number; limit: number },
  facets: readonly string[] | undefined,
  distinct: string | undefined,
): string {
  const end = page.offset + page.limit;
  const answered = asked.map(({ uid, parameters, weight }, position) => {
    const query = { ...parameters, offset: 0, limit: end, facets, distinct };
    const plan = planFederatedQuery(query, factsOf(uid), facets ?? []);
    const parts = partsOf(corpora.get(uid) ?? []).map((part) => ({
      answers: plan.asks.map((ask) => modelSearch(part, ask.body as ModelQuery, SETTINGS)),
    }));
    return { position, weight, asked: parameters, plan, merged: mergedSearch(plan, parts), uid };
  });
  const uids = [...new Set(asked.map(({ uid }) => uid))].sort();
  const indexes = uids.map((uid) => {
    const own = answered.filter((query) => query.uid === uid);
    const merged = mergeQueries(
      own.map(({ position, weight, merged: { page: hits } }) => ({ position, weight, hits })),
      end,
      distinct ?? null,
    );
    const rounds = unionAsks(own).map((ask) => ({
      ask,
      parts: partsOf(corpora.get(uid) ?? []).map((part) => ({
        answers: [modelSearch(part, ask.body as ModelQuery, SETTINGS)],
      })),
    }));
    const union = unionOf(own, merged.rejected, rounds, totalAndFacets);
    return { uid, merged, union };
  });
  const merged = indexes.map((index) => index.merged);
  const { hits, rejected } = mergeIndexes(merged, page.offset, page.limit, distinct ?? null);
  const shown = new Map(
    indexes.flatMap(({ uid, union }, at) => {
      const own = indexFacets(union, factsOf(uid));
      return own === undefined ? [] : [[uid, facetsWithout(own, rejected[at] ?? [])] as const];
    }),
  );
  const lost = rejected.flat().length;
  return printFederatedAnswer({
    hits,
    queries: answered.map((query) => ({ ...query, namesServer: false })),
    pagination: { style: "offset", ...page },
    total: indexes.reduce((sum, { union }) => sum + union.total, 0) - lost,
    facets: shown,
    includeMetadata: false,
    server: undefined,
    requestUid: "u",
  }).toString();
}

function partsOf(rows: readonly Row[]): ModelDocument[][] {
  return [0, 1, 2].map((part) => rows.filter((row) => row.part === part).map(({ document }) => document));
}

function inOnePart(rows: readonly Row[]): Row[] {
  return rows.map((row) => ({ ...row, part: 0 }));
}

const parameters = fc.record({
  rankingScoreThreshold: fc.constantFrom(undefined, undefined, 0.5),
  attributesToRetrieve: fc.constantFrom(undefined, ["raw"], []),
  showRankingScore: fc.constantFrom(undefined, true),
});

describe("a federated search", () => {
  it("does not depend on how documents are spread over parts", () => {
    fc.assert(
      fc.property(
        fc.tuple(documents, documents),
        fc.array(
          fc.record({ uid: fc.constantFrom("a", "b"), weight: fc.constantFrom(0.5, 1, 2), parameters }),
          { minLength: 1, maxLength: 3 },
        ),
        fc.constantFrom(undefined, ["price:asc"], ["price:desc"]),
        fc.record({ offset: fc.nat({ max: 5 }), limit: fc.nat({ max: 12 }) }),
        ([a, b], asked, sort, page) => {
          const all = asked.map((one) => ({ ...one, parameters: { ...one.parameters, sort } }));
          // A threshold and several queries make totals that no part can tell.
          const facets = asked.length === 1 ? ["colour"] : undefined;
          const spread = search(
            new Map([
              ["a", a],
              ["b", b],
            ]),
            all,
            page,
            facets,
            undefined,
          );
          const whole = search(
            new Map([
              ["a", inOnePart(a)],
              ["b", inOnePart(b)],
            ]),
            all,
            page,
            facets,
            undefined,
          );
          expect(withoutTotal(spread)).toBe(withoutTotal(whole));
          if (all.every((one) => one.parameters.rankingScoreThreshold === undefined))
            expect(spread).toBe(whole);
        },
      ),
    );
  });

  it("keeps every distinct value once over all indexes", () => {
    fc.assert(
      fc.property(fc.tuple(documents, documents), ([a, b]) => {
        const asked = ["a", "b"].map((uid) => ({ uid, weight: 1, parameters: {} }));
        const page = { offset: 0, limit: 100 };
        const answer = JSON.parse(
          search(
            new Map([
              ["a", a],
              ["b", b],
            ]),
            asked,
            page,
            ["colour"],
            "colour",
          ),
        );
        const colours: string[] = answer.hits.flatMap((hit: { colour?: string }) => hit.colour ?? []);
        expect(new Set(colours).size).toBe(colours.length);
        expect(answer.estimatedTotalHits).toBe(answer.hits.length);
        const counts = Object.values(answer.facetsByIndex as object).flatMap(({ distribution }) =>
          Object.values(distribution.colour ?? {}),
        );
        expect(counts).toEqual(colours.map(() => 1));
      }),
    );
  });

  it("puts `_federation` behind the document, in the place of a member of that name", () => {
    const document = (fields: ModelDocument["fields"]): Row => ({
      part: 0,
      document: { sequence: 1, fields, words: 2, price: null, colour: null },
    });
    const federation = '"_federation":{"indexUid":"a","queriesPosition":0,"weightedRankingScore":1.0}';
    const hits = (fields: ModelDocument["fields"], own: SearchParameters = {}): string => {
      const asked = [{ uid: "a", weight: 2, parameters: own }];
      const corpora = new Map([["a", [document(fields)]]]);
      return search(corpora, asked, { offset: 0, limit: 1 }, undefined, undefined).replace(
        /\],"processing.*/,
        "]",
      );
    };
    expect(hits([["id", "1"]])).toBe(`{"hits":[{"id":1,${federation}}]`);
    expect(
      hits([
        ["_federation", "[ 1 ]"],
        ["id", "9007199254740993"],
      ]),
    ).toBe(`{"hits":[{${federation},"id":9007199254740993}]`);
    expect(hits([["id", "1"]], { attributesToRetrieve: [] })).toBe(`{"hits":[{${federation}}]`);
    expect(hits([["id", "1"]], { showRankingScore: true })).toBe(
      `{"hits":[{"id":1,${federation},"_rankingScore":0.5}]`,
    );
  });
});

function withoutTotal(answer: string): string {
  return answer.replace(/"estimatedTotalHits":\d+/, "");
}

describe("what several queries of an index match together", () => {
  const answered = (parameters: SearchParameters) => {
    const plan = planFederatedQuery({ ...parameters, offset: 0, limit: 0 }, factsOf("a"), []);
    return { plan, merged: mergedSearch(plan, []) };
  };
  const alternatives = fc.array(
    fc.array(fc.constantFrom("a", "b", "c", "d"), { minLength: 1, maxLength: 3 }),
    {
      minLength: 1,
      maxLength: 3,
    },
  );

  it("is one search where only filters differ, under a filter that holds where one of theirs does", () => {
    fc.assert(
      fc.property(
        fc.array(alternatives, { minLength: 2, maxLength: 3 }),
        fc.nat({ max: 15 }),
        (filters, bits) => {
          const asks = unionAsks(filters.map((filter) => answered({ q: "x", filter })));
          const [ask, ...others] = asks;
          expect(others).toEqual([]);
          const holds = (filter: readonly (readonly string[])[]): boolean =>
            filter.every((any) => any.some((name) => (bits & (1 << "abcd".indexOf(name))) !== 0));
          expect(holds(ask?.body.filter as string[][])).toBe(filters.some(holds));
        },
      ),
    );
  });

  it("takes lists of documents where words differ, and nothing where one query matches everything", () => {
    expect(unionAsks([answered({ q: "x" })])).toEqual([]);
    expect(unionAsks([answered({ q: "x" }), answered({})])).toEqual([]);
    const asks = unionAsks([answered({ q: "x" }), answered({ q: "y", filter: "a" })]);
    expect(asks.map(({ body }) => [body.q, body.filter, body.limit, body.attributesToRetrieve])).toEqual([
      ["x", undefined, 1000, ["_miroir_seq"]],
      ["y", "a", 1000, ["_miroir_seq"]],
    ]);
  });
});

describe("merged facets", () => {
  it("add up counts by label and are ordered as the indexes order them", () => {
    const facets = (counts: Readonly<Record<string, number>>, stats: string) => ({
      values: new Map([
        [
          "colour",
          Object.entries(counts).map(([label, count]) => ({ label, count, key: label, isNumber: false })),
        ],
      ]),
      stats,
    });
    const both = [
      facets({ blue: 1, Red: 3 }, '{"n":{"min":1.0,"max":2.0}}'),
      facets({ Red: 1, ash: 2 }, '{"n":{"min":0.5,"max":1.0}}'),
    ];
    const labels = (order: "alpha" | "count", max?: number) =>
      [...(mergeIndexFacets(both, () => order, max).values.get("colour") ?? [])].map(
        ({ label, count }) => `${label} ${count}`,
      );
    expect(labels("alpha")).toEqual(["Red 4", "ash 2", "blue 1"]);
    expect(labels("count", 2)).toEqual(["Red 4", "ash 2"]);
    expect(mergeIndexFacets(both, () => "alpha", 1).stats).toBe('{"n":{"min":0.5,"max":2.0}}');
  });
});

describe("ranking rules of federated queries", () => {
  const RULES = ["words", "typo", "proximity", "attributeRank", "sort", "wordPosition", "exactness"];
  const query = (position: number, sort: string[] | null, kind: "placeholder" | "keyword" | "vector") => ({
    position,
    indexUid: "a",
    rankingRules: RULES,
    sort,
    matchesAllWords: false,
    kind,
  });

  it.each([
    ["the same kinds", [query(0, ["x:asc"], "keyword"), query(1, ["y:asc"], "keyword")]],
    ["a query without rules", [query(0, null, "placeholder"), query(1, ["y:asc"], "keyword")]],
    ["vectors beside words", [query(0, null, "vector"), query(1, null, "keyword")]],
  ])("agree: %s", (_name, queries) => {
    expect(rankingIncompatibility(queries)).toBeUndefined();
  });

  it("disagree where a relevancy rule meets a sort rule, whichever query has more of them", () => {
    const found = rankingIncompatibility([
      query(0, ["x:asc"], "placeholder"),
      query(1, null, "placeholder"),
      query(2, null, "keyword"),
    ]);
    expect(found?.position).toBe(2);
    expect(found?.message).toContain(
      "  1. `queries[0].sort[0]`, `a.rankingRules[0]`: ascending sort rule(s) on field `x`\n",
    );
    expect(found?.message).toContain(
      "  2. `queries[2]`, `a.rankingRules[0..=5]`: relevancy rule(s) words, typo,",
    );
    expect(found?.message).toContain("  - cannot compare a relevancy rule with a sort rule\n");
  });
});
