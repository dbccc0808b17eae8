import { describe, expect, it } from "vitest";
import { askBody, type IndexFacts, planSearch, type SearchParameters } from "../../../src/merge/index.js";
import { SHARD_FIELD, shardCode } from "../../../src/placement/injected-fields.js";

const FACTS: IndexFacts = {
  uid: "movies",
  primaryKey: "id",
  distinctAttribute: null,
  distinctAttributeIsFilterable: false,
  displayedAttributes: null,
  maxTotalHits: 1000,
  maxValuesPerFacet: 100,
  sortFacetValuesBy: {},
};

/** What each ask sends, by role. */
function sent(
  query: SearchParameters,
  facts: Partial<IndexFacts> = {},
): Record<string, Record<string, unknown>> {
  const plan = planSearch(query, { ...FACTS, ...facts });
  return Object.fromEntries(plan.asks.map((ask) => [ask.role, JSON.parse(askBody(ask, null))]));
}

describe("planSearch", () => {
  it("asks for everything up to the page's end, with score details", () => {
    expect(sent({ q: "a", offset: 30, limit: 10, locales: ["eng"] })).toEqual({
      page: { q: "a", offset: 0, limit: 40, showRankingScoreDetails: true, locales: ["eng"] },
    });
    expect(sent({ page: 3, hitsPerPage: 5 })).toEqual({
      page: { page: 1, hitsPerPage: 15, showRankingScoreDetails: true },
    });
    expect(sent({ page: 2 }).page).toMatchObject({ page: 1, hitsPerPage: 40 });
    expect(sent({ page: 0, hitsPerPage: 5 }).page).toMatchObject({ page: 1, hitsPerPage: 0 });
  });

  it("asks for no more than maxTotalHits", () => {
    expect(sent({ offset: 990, limit: 50 }).page).toMatchObject({ limit: 1000 });
    expect(sent({ offset: 5000, limit: 50 }).page).toMatchObject({ limit: 1000 });
    expect(sent({ page: 100, hitsPerPage: 50 }).page).toMatchObject({ hitsPerPage: 1000 });
  });

  it("retrieves the distinct attribute where the client did not, and only there", () => {
    const attributesToRetrieve = ["title"];
    expect(sent({ distinct: "brand", attributesToRetrieve }).page?.attributesToRetrieve).toEqual([
      "title",
      "brand",
    ]);
    expect(sent({ attributesToRetrieve }, { distinctAttribute: "brand" }).page?.attributesToRetrieve).toEqual(
      ["title", "brand"],
    );
    expect(
      sent({ distinct: "brand.id", attributesToRetrieve: ["brand"] }).page?.attributesToRetrieve,
    ).toEqual(["brand"]);
    expect(
      sent({ distinct: "brand", attributesToRetrieve, facets: ["size", "a.*"] }).page?.attributesToRetrieve,
    ).toEqual(["title", "brand", "size"]);
    expect(sent({ distinct: "brand" }).page).not.toHaveProperty("attributesToRetrieve");
    expect(sent({ distinct: "brand", attributesToRetrieve: ["*"] }).page).not.toHaveProperty(
      "attributesToRetrieve",
    );
  });

  it("asks besides for what exact counts take", () => {
    expect(sent({ distinct: "brand", facets: ["size"] }).universe).toMatchObject({
      limit: 0,
      facets: ["size", "brand"],
    });
    expect(sent({ distinct: "brand", hitsPerPage: 5 }).values).toMatchObject({
      page: 1,
      hitsPerPage: 1000,
      attributesToRetrieve: ["brand"],
      distinct: "brand",
    });
    const threshold = sent({ rankingScoreThreshold: 0.5, facets: ["size"] });
    expect(threshold.universe).toMatchObject({ limit: 0, facets: ["size"] });
    expect(threshold.universe).not.toHaveProperty("rankingScoreThreshold");
    expect(Object.keys(sent({ rankingScoreThreshold: 0.5, page: 1 }))).toEqual(["page"]);
    expect(Object.keys(sent({}, { distinctAttribute: "brand" }))).toEqual(["page"]);
    expect(
      Object.keys(sent({}, { distinctAttribute: "brand", distinctAttributeIsFilterable: true })),
    ).toEqual(["page", "universe"]);
  });

  it("asks for nothing under the names of injected fields", () => {
    const body = JSON.stringify(
      sent({
        filter: ["_miroir_shard = a", ["_miroir_seq = b"]],
        sort: ["_miroir_seq:asc"],
        facets: ["_miroir_shard"],
        distinct: "_miroir_shard",
        attributesToSearchOn: ["_miroir_seq"],
        attributesToRetrieve: ["_miroir_seq"],
        attributesToHighlight: ["_miroir_seq"],
        attributesToCrop: ["_miroir_seq:5"],
      }).universe,
    );
    expect(body).not.toContain("_miroir_shard");
    expect(body).not.toContain("_miroir_seq");
  });

  it("applies displayedAttributes, which nodes do not have", () => {
    const displayedAttributes = ["title", "year"];
    const all = sent(
      { attributesToHighlight: ["*"], attributesToCrop: ["*:5", "secret"] },
      { displayedAttributes },
    );
    expect(all.page).toMatchObject({
      attributesToRetrieve: ["title", "year"],
      attributesToHighlight: ["title", "year"],
      attributesToCrop: ["title:5", "year:5"],
    });
    expect(sent({ attributesToRetrieve: ["secret", "year"] }, { displayedAttributes }).page).toMatchObject({
      attributesToRetrieve: ["year"],
    });
  });

  it("takes a hybrid search apart into its halves", () => {
    const query: SearchParameters = {
      q: "a",
      vector: [1, 0],
      hybrid: { embedder: "default", semanticRatio: 0.3 },
      limit: 5,
      offset: 5,
    };
    const { keyword, semantic } = sent(query);
    expect(keyword).toEqual({
      q: "a",
      offset: 0,
      limit: 10,
      showRankingScore: true,
      showRankingScoreDetails: true,
    });
    expect(semantic).toMatchObject({
      vector: [1, 0],
      hybrid: { embedder: "default", semanticRatio: 1 },
      limit: 10,
    });
    // A purely semantic search highlights nothing.
    expect(sent({ ...query, attributesToHighlight: ["*"] }).semantic?.hybrid).toEqual({
      embedder: "default",
      semanticRatio: 0.999999,
    });
  });

  it.each<[string, SearchParameters, string]>([
    ["no hybrid", { q: "a" }, "keyword"],
    ["a ratio of 0", { q: "a", hybrid: { embedder: "e", semanticRatio: 0 } }, "keyword"],
    ["a ratio of 1", { q: "a", hybrid: { embedder: "e", semanticRatio: 1 } }, "semantic"],
    ["the default ratio", { q: "a", hybrid: { embedder: "e" } }, "hybrid"],
    ["a vector alone", { q: " ", vector: [1], hybrid: { embedder: "e" } }, "semantic"],
    ["neither text nor vector", { hybrid: { embedder: "e", semanticRatio: 1 } }, "keyword"],
  ])("tells the kind of search: %s", (_name, query, kind) => {
    expect(planSearch(query, FACTS).kind).toBe(kind);
  });

  it("asks one part what the client asked", () => {
    const query: SearchParameters = { q: "a", page: 2, distinct: "brand", hybrid: { embedder: "e" } };
    const plan = planSearch(query, FACTS, "one");
    expect(plan.asks).toHaveLength(1);
    expect(plan.asks.map((ask) => JSON.parse(askBody(ask, null)))).toEqual([query]);
  });
});

describe("askBody", () => {
  it("narrows an ask to shards", () => {
    const plan = planSearch({ filter: "a = 1" }, FACTS);
    for (const ask of plan.asks) {
      expect(JSON.parse(askBody(ask, [2])).filter).toEqual([
        "a = 1",
        `${SHARD_FIELD} IN ["${shardCode(2)}"]`,
      ]);
      expect(JSON.parse(askBody(ask, null)).filter).toBe("a = 1");
    }
  });
});
