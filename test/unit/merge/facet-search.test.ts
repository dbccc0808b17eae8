import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type AskFacetPart,
  exactFacetCounts,
  type FacetRestriction,
} from "../../../src/merge/facet-counts.js";
import {
  type FacetHit,
  mergeFacetHits,
  mostFrequent,
  recountedLists,
} from "../../../src/merge/facet-search.js";
import { hitAt } from "../../../src/merge/hit.js";
import { compareUtf8, normalizeFacet } from "../../../src/merge/text-order.js";

/** The values of the searched facet, document by document. */
type Documents = readonly (readonly string[])[];

/** Counts of all values, in the order in which a node without a query walks them. */
function walk(documents: Documents): FacetHit[] {
  const counts = new Map<string, number>();
  for (const values of documents) {
    for (const key of new Set(values.map(normalizeFacet))) counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return [...counts].sort(([a], [b]) => compareUtf8(a, b)).map(([value, count]) => ({ value, count }));
}

function node(documents: Documents, order: "alpha" | "count", max: number): FacetHit[] {
  return order === "alpha" ? walk(documents).slice(0, max) : mostFrequent(walk(documents), max);
}

function meets(values: readonly string[], restriction: FacetRestriction): boolean {
  if (restriction.kind === "values") return values.some((value) => restriction.values.includes(value));
  const { after, upTo } = restriction;
  // A node evaluates the two conditions one by one: two values may meet one each.
  return (
    (after === null || values.some((value) => compareUtf8(value, after) > 0)) &&
    (upTo === null || values.some((value) => compareUtf8(value, upTo) <= 0))
  );
}

const value = fc.nat({ max: 40 }).map((at) => `v${at}`);
const corpora = fc.array(fc.array(fc.array(value, { maxLength: 3 }), { maxLength: 60 }), {
  minLength: 1,
  maxLength: 4,
});

describe("the values that parts found", () => {
  it("are those of the whole in alphabetical order, though parts cut", () => {
    fc.assert(
      fc.property(corpora, fc.nat({ max: 12 }), (parts, max) => {
        const lists = parts.map((documents) => node(documents, "alpha", max));
        const merged = mergeFacetHits(lists, { order: "alpha", max, byQuery: false });
        expect(merged).toEqual(node(parts.flat(), "alpha", max));
      }),
    );
  });

  it("are those of the whole by count, where no part cut", () => {
    fc.assert(
      fc.property(corpora, fc.integer({ min: 42, max: 50 }), (parts, max) => {
        const lists = parts.map((documents) => node(documents, "count", max));
        expect(mergeFacetHits(lists, { order: "count", max, byQuery: false })).toEqual(
          node(parts.flat(), "count", max),
        );
      }),
    );
  });

  it("are one value where only case, accents' encoding or outer spaces differ", () => {
    const lists = [[{ value: "Éclair", count: 2 }], [{ value: "e\u0301clair ", count: 3 }]];
    expect(mergeFacetHits(lists, { order: "alpha", max: 9, byQuery: true })).toEqual([
      { value: "Éclair", count: 5 },
    ]);
  });

  it("come in the order of what is searched where there was a query", () => {
    const hits = ["Éclair", "eclipse", "œuvre", "zoo", "Йод"].map((label) => ({ value: label, count: 1 }));
    const lists = hits.map((hit) => [hit]);
    const labels = (byQuery: boolean): string[] =>
      mergeFacetHits(lists, { order: "alpha", max: 9, byQuery }).map(({ value: label }) => label);
    expect(labels(false)).toEqual(["eclipse", "Éclair", "zoo", "œuvre", "Йод"]);
    expect(labels(true)).toEqual(["Éclair", "eclipse", "œuvre", "zoo", "Йод"]);
  });

  it("keep a part's own order", () => {
    const lists = [
      [
        { value: "東", count: 1 },
        { value: "上", count: 1 },
      ],
      [{ value: "上", count: 2 }],
    ];
    expect(mergeFacetHits(lists, { order: "alpha", max: 9, byQuery: true })).toHaveLength(2);
  });
});

describe("values under a distinct attribute", () => {
  it("are counted over the documents that are left, in their order", () => {
    const hits = ['{"c":["Red","x"]}', '{"c":"red"}', '{"c":"blue"}'].map((hit, at) =>
      hitAt(Buffer.from(hit), 0, at),
    );
    const lists = [
      [
        { value: "green", count: 3 },
        { value: "Red", count: 1 },
      ],
      [
        { value: "blue", count: 2 },
        { value: "red", count: 2 },
      ],
    ];
    const merged = mergeFacetHits(recountedLists(lists, "c", hits), {
      order: "alpha",
      max: 9,
      byQuery: false,
    });
    expect(merged).toEqual([
      { value: "blue", count: 1 },
      { value: "Red", count: 2 },
    ]);
  });
});

describe("the most frequent values", () => {
  it("are the last walked among equals, greatest label first", () => {
    const hits = ["a", "b", "c", "d"].map((label) => ({ value: label, count: 1 }));
    expect(mostFrequent(hits, 2).map(({ value: label }) => label)).toEqual(["d", "c"]);
    expect(mostFrequent(hits, 0)).toEqual([]);
  });
});

describe("exact counts of the most frequent values", () => {
  const single = fc.array(
    fc.array(
      value.map((one) => [one]),
      { maxLength: 80 },
    ),
    { minLength: 1, maxLength: 4 },
  );

  function asking(parts: readonly Documents[], max: number): { ask: AskFacetPart; asked: () => number } {
    let asks = 0;
    return {
      ask: async (part, restriction) => {
        asks++;
        return [
          node(
            (parts[part] ?? []).filter((values) => meets(values, restriction)),
            "count",
            max,
          ),
        ];
      },
      asked: () => asks,
    };
  }

  it("are those of the whole, whatever parts cut", async () => {
    await fc.assert(
      fc.asyncProperty(single, fc.integer({ min: 1, max: 12 }), async (parts, max) => {
        const lists = parts.map((documents) => node(documents, "count", max));
        const { lists: exact, isExact } = await exactFacetCounts(lists, max, asking(parts, max).ask, 1_000);
        const merged = mergeFacetHits(exact, { order: "count", max, byQuery: false });
        if (max > 1) expect(isExact).toBe(true);
        if (isExact) expect(merged).toEqual(node(parts.flat(), "count", max));
      }),
      { numRuns: 300 },
    );
  });

  it("are right wherever they are called so, with several values to a document too", async () => {
    let exact = 0;
    await fc.assert(
      fc.asyncProperty(
        corpora,
        fc.integer({ min: 1, max: 12 }),
        fc.nat({ max: 40 }),
        async (parts, max, asks) => {
          const lists = parts.map((documents) => node(documents, "count", max));
          const counts = await exactFacetCounts(lists, max, asking(parts, max).ask, asks);
          if (!counts.isExact) return;
          exact++;
          expect(mergeFacetHits(counts.lists, { order: "count", max, byQuery: false })).toEqual(
            node(parts.flat(), "count", max),
          );
        },
      ),
      { numRuns: 300 },
    );
    expect(exact).toBeGreaterThan(100);
  });

  it("cost nothing where no part cut, and little where frequencies differ much", async () => {
    const parts = [0, 1].map((part) =>
      Array.from({ length: 400 }, (_, at) => [`v${Math.floor(Math.sqrt(at * 4 + part))}`]),
    );
    const uncut = asking(parts, 100);
    await exactFacetCounts(
      parts.map((documents) => node(documents, "count", 100)),
      100,
      uncut.ask,
      64,
    );
    expect(uncut.asked()).toBe(0);
    const cut = asking([parts[0] ?? [], [["x"], ["y"]]], 10);
    await exactFacetCounts(
      [node(parts[0] ?? [], "count", 10), node([["x"], ["y"]], "count", 10)],
      10,
      cut.ask,
      64,
    );
    expect(cut.asked()).toBeLessThan(40);
  });

  it("are not called exact where parts cannot be asked", async () => {
    const lists = [[{ value: "a", count: 2 }], [{ value: "b", count: 2 }]];
    const { isExact, lists: left } = await exactFacetCounts(lists, 1, async () => undefined, 64);
    expect(isExact).toBe(false);
    expect(left).toEqual(lists);
  });
});
