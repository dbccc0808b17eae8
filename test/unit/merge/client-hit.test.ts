import { describe, expect, it } from "vitest";
import { type IndexFacts, mergeSearch, planSearch, type SearchParameters } from "../../../src/merge/index.js";

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

const SEQ = '"_miroir_seq":"((((((((((((((((()"';
const SHARD = '"_miroir_shard":"((()"';

/** What a client sees of one hit, through a merge of two parts of which one found nothing. */
function seen(hit: string, query: SearchParameters, facts: Partial<IndexFacts> = {}): string {
  const plan = planSearch(query, { ...FACTS, ...facts });
  const body = (hits: string) =>
    Buffer.from(`{"hits":[${hits}],"query":"","processingTimeMs":1,"estimatedTotalHits":1}`);
  const merged = mergeSearch(plan, [
    { answers: plan.asks.map((ask) => body(ask.role === "page" ? hit : "")) },
    { answers: plan.asks.map(() => body("")) },
  ]).toString();
  return merged.slice('{"hits":['.length, merged.indexOf('],"query"'));
}

const DETAILS =
  '"_rankingScoreDetails":{"words":{"order":0,"score":1.0},"_miroir_seq:asc":{"order":1,"value":"x"}}';

describe("a hit as clients see it", () => {
  it("loses injected fields wherever they were printed, and keeps every other byte", () => {
    const hit = `{"id" : 12345678901234567890,"a":{"_miroir_seq":1.0},${SHARD},${SEQ},"_formatted":{"id":"1",${SHARD},${SEQ}},"_matchesPosition":{"a":[],"_miroir_seq":[]},${DETAILS}}`;
    expect(seen(hit, { attributesToHighlight: ["*"], showMatchesPosition: true })).toBe(
      '{"id" : 12345678901234567890,"a":{"_miroir_seq":1.0},"_formatted":{"id":"1"},"_matchesPosition":{"a":[]}}',
    );
  });

  it("shows score details without the sequence rule", () => {
    expect(seen(`{"id":1,${SHARD},${SEQ},${DETAILS}}`, { showRankingScoreDetails: true })).toBe(
      '{"id":1,"_rankingScoreDetails":{"words":{"order":0,"score":1.0}}}',
    );
  });

  it("tells the document's own members from those that Meilisearch adds", () => {
    const own = '"_rankingScore":"mine","_rankingScoreDetails":{"words":2},"_formatted":1';
    expect(seen(`{"id":1,${own},${DETAILS}}`, {})).toBe(`{"id":1,${own}}`);
  });

  it("takes back the distinct attribute that only the merge needed", () => {
    const query = { distinct: "brand", attributesToRetrieve: ["id"], attributesToHighlight: ["id"] };
    expect(seen(`{"id":1,"brand":"x","_formatted":{"id":"1","brand":"x"},${DETAILS}}`, query)).toBe(
      '{"id":1,"_formatted":{"id":"1"}}',
    );
    // Highlighted by the client's wish, though not retrieved.
    expect(
      seen(`{"id":1,"brand":"x","_formatted":{"id":"1","brand":"x"},${DETAILS}}`, {
        ...query,
        attributesToHighlight: ["*"],
      }),
    ).toBe('{"id":1,"_formatted":{"id":"1","brand":"x"}}');
  });

  it("takes back a nested distinct attribute and what it leaves empty", () => {
    const query = { distinct: "a.b", attributesToRetrieve: ["id", "a.c"] };
    expect(seen(`{"id":1,"a":{"b":1,"c":2},${DETAILS}}`, query)).toBe('{"id":1,"a":{"c":2}}');
    expect(seen(`{"id":1,"a":[{"b":1},{"b":2}],${DETAILS}}`, query)).toBe('{"id":1}');
  });

  it("hides what displayedAttributes leaves out: vectors, matches, and the names of sort rules", () => {
    const hit =
      '{"id":1,"_vectors":{"e":{}},"_matchesPosition":{"id":[],"secret":[],"id.x":[]},"_rankingScoreDetails":{"secret:asc":{"order":0,"value":3},"id:desc":{"order":1,"value":1.0},"_miroir_seq:asc":{"order":2,"value":"x"}}}';
    const query = { showMatchesPosition: true, showRankingScoreDetails: true };
    expect(seen(hit, query, { displayedAttributes: ["id"] })).toBe(
      '{"id":1,"_matchesPosition":{"id":[],"id.x":[]},"_rankingScoreDetails":{"<hidden-rule-0>":{"order":0,"value":"<hidden>"},"id:desc":{"order":1,"value":1.0}}}',
    );
  });
});
