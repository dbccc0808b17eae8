import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { planSearch, printAnswer, type SearchParameters } from "../../../src/merge/index.js";
import { DocumentSizes } from "../../../src/proxy/read/document-sizes.js";
import type { NodeAsk } from "../../../src/proxy/read/read-covers.js";
import { mergedRun, runSearch } from "../../../src/proxy/read/search-run.js";
import type { NodeAnswer } from "../../../src/proxy/read/shard-read.js";
import type { ShardReader } from "../../../src/proxy/read/shard-reader.js";
import { type ModelDocument, type ModelQuery, modelSearch } from "../merge/model-node.js";
import { indexView, nodeViews, placeShards, topologyView } from "./views.js";

const NODES = 3;
const FACTS = {
  uid: "books",
  primaryKey: "id",
  distinctAttribute: null,
  distinctAttributeIsFilterable: false,
  displayedAttributes: null,
  maxTotalHits: 1_000,
  maxValuesPerFacet: 100,
  sortFacetValuesBy: {},
};
const SETTINGS = { maxTotalHits: 1_000, maxValuesPerFacet: 100 };

/** What the nodes were asked for, and how often. */
interface Fleet {
  readonly reader: ShardReader;
  readonly asked: { readonly node: string; readonly body: ModelQuery }[];
}

/** Nodes that answer as the model does; document `i` lies on the node that `nodeOf` gives. */
function fleetOf(documents: readonly ModelDocument[], nodeOf: (sequence: number) => number): Fleet {
  const layout = { groups: 1, nodesPerGroup: NODES, replicationFactor: 1, shards: NODES };
  const views = nodeViews(layout);
  const index = indexView("books", "id", placeShards(layout, views));
  const view = topologyView(views, [index]);
  const asked: Fleet["asked"] = [];
  const reader: ShardReader = {
    async read(_indexUid, read, _signal, shards) {
      const wanted = shards?.(index) ?? [0, 1, 2];
      const answers = wanted.map((shard): NodeAnswer => {
        const node = views[shard];
        if (node === undefined) throw new Error(`no node ${shard}`);
        const ask: NodeAsk = { node, shards: [shard], filter: null, isSuspect: false };
        const held = documents.filter(({ sequence }) => nodeOf(sequence) === shard);
        const responses = read.requests(ask, "many", index).map((request) => {
          const body = JSON.parse(String(request.body)) as ModelQuery;
          asked.push({ node: node.id, body });
          return {
            status: 200,
            contentType: "application/json",
            body: modelSearch(held, body, { ...SETTINGS, isMember: true }),
          };
        });
        return { ask, responses };
      });
      return { index, view, parts: "many", answers, missing: [] };
    },
  };
  return { reader, asked };
}

async function answerOf(
  { reader }: Fleet,
  query: SearchParameters,
  sizes = new DocumentSizes(),
): Promise<string> {
  const run = await runSearch(
    reader,
    {
      indexUid: "books",
      plan: (_index, parts) => planSearch(query, FACTS, parts),
      includeMetadata: false,
      asksLess: { sizes },
    },
    new AbortController().signal,
  );
  return printAnswer(run.plan, mergedRun(run)).toString();
}

function documentsOf(words: readonly number[]): ModelDocument[] {
  return words.map((count, sequence) => ({
    sequence,
    fields: [["id", String(sequence)]],
    words: count,
    price: sequence % 7 === 0 ? null : sequence % 5,
    colour: sequence % 2 === 0 ? "red" : "green",
  }));
}

describe("asking parts for their shares first", () => {
  it("gives the bytes that one node would give, however hits are spread over the parts", async () => {
    const spread = fc.oneof(
      fc.array(fc.nat({ max: NODES - 1 }), { minLength: 120, maxLength: 120 }),
      // Nearly all of the best hits on one node, so that its share is far from enough.
      fc
        .nat({ max: 120 })
        .map((first) => Array.from({ length: 120 }, (_, at) => (at < first ? 1 : at % NODES))),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 120 }),
        spread,
        fc.oneof(
          fc.record({ offset: fc.nat({ max: 60 }), limit: fc.nat({ max: 40 }) }),
          fc.record({ page: fc.integer({ min: 0, max: 4 }), hitsPerPage: fc.nat({ max: 30 }) }),
        ),
        fc.record({
          sort: fc.constantFrom(undefined, ["price:asc"], ["price:desc"]),
          facets: fc.constantFrom(undefined, ["colour"]),
          showRankingScore: fc.boolean(),
        }),
        async (words, nodes, page, rest) => {
          const documents = documentsOf(words);
          const query = { ...page, ...rest };
          const fleet = fleetOf(documents, (sequence) => nodes[sequence] ?? 0);
          const whole = modelSearch(documents, query, { ...SETTINGS, isMember: false });
          expect(await answerOf(fleet, query)).toBe(whole.toString());
          // Nobody is asked a third time.
          expect(fleet.asked.length).toBeLessThanOrEqual(2 * NODES);
        },
      ),
      { numRuns: 400 },
    );
  });

  it("asks for about a third of the hits each, and again only the part that has run out", async () => {
    const documents = documentsOf(Array.from({ length: 90 }, () => 1));
    const even = fleetOf(documents, (sequence) => sequence % NODES);
    await answerOf(even, { limit: 20 });
    expect(even.asked.map(({ body }) => body.limit)).toEqual([13, 13, 13]);

    const uneven = fleetOf(documents, (sequence) => (sequence < 15 ? 1 : sequence % NODES));
    await answerOf(uneven, { offset: 0, limit: 20 });
    expect(uneven.asked.map(({ node, body }) => [node, body.limit])).toEqual([
      ["node-0", 13],
      ["node-1", 13],
      ["node-2", 13],
      ["node-1", 20],
    ]);
  });

  it("asks for the whole list where totals depend on it, or it would hardly be shorter", async () => {
    const documents = documentsOf([1, 2, 3]);
    for (const query of [{ limit: 3 }, { limit: 20, rankingScoreThreshold: 0.2 }]) {
      const fleet = fleetOf(documents, () => 0);
      await answerOf(fleet, query);
      const pages = fleet.asked.filter(({ body }) => body.limit !== 0);
      expect(pages.map(({ body }) => body.limit)).toEqual([query.limit, query.limit, query.limit]);
    }
  });
});

/** Documents of that index seen to be so large. */
class Large extends DocumentSizes {
  override of(): number {
    return 1_000_000;
  }
}

describe("asking for the ranks of a deep page first", () => {
  it("gives the bytes that one node would give, and whole documents of the page alone", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 120 }),
        fc.array(fc.nat({ max: NODES - 1 }), { minLength: 120, maxLength: 120 }),
        fc.oneof(
          fc.record({ offset: fc.integer({ min: 2, max: 100 }), limit: fc.nat({ max: 20 }) }),
          fc.record({ page: fc.integer({ min: 2, max: 5 }), hitsPerPage: fc.integer({ min: 2, max: 20 }) }),
        ),
        fc.record({
          sort: fc.constantFrom(undefined, ["price:desc"]),
          facets: fc.constantFrom(undefined, ["colour"]),
          showRankingScoreDetails: fc.boolean(),
        }),
        async (words, nodes, page, rest) => {
          const documents = documentsOf(words);
          const query = { ...page, ...rest };
          const fleet = fleetOf(documents, (sequence) => nodes[sequence] ?? 0);
          const whole = modelSearch(documents, query, { ...SETTINGS, isMember: false });
          expect(await answerOf(fleet, query, new Large())).toBe(whole.toString());
          const documentsAsked = fleet.asked
            .filter(({ body }) => body.attributesToRetrieve === undefined)
            .reduce((sum, { body }) => sum + (body.limit ?? Number.POSITIVE_INFINITY), 0);
          expect(documentsAsked).toBeLessThanOrEqual("limit" in page ? page.limit : page.hitsPerPage);
        },
      ),
      { numRuns: 300 },
    );
  });

  it("is given up where the documents have changed in between", async () => {
    const before = documentsOf(Array.from({ length: 60 }, () => 1));
    // Gone before their places are asked for.
    const after = before.slice(30);
    const documents = [...before];
    const fleet = fleetOf(documents, (sequence) => sequence % NODES);
    const { reader } = fleet;
    let reads = 0;
    const changing: ShardReader = {
      read: (...request) => {
        if (++reads === 2) documents.splice(0, 30);
        return reader.read(...request);
      },
    };
    const query = { offset: 20, limit: 10 };
    const whole = modelSearch(after, query, { ...SETTINGS, isMember: false });
    expect(await answerOf({ ...fleet, reader: changing }, query, new Large())).toBe(whole.toString());
  });

  it("waits until documents were seen to be large", async () => {
    const documents = documentsOf(Array.from({ length: 60 }, () => 1));
    const fleet = fleetOf(documents, (sequence) => sequence % NODES);
    const sizes = new DocumentSizes();
    await answerOf(fleet, { limit: 20 }, sizes);
    await answerOf(fleet, { offset: 40, limit: 20 }, sizes);
    expect(fleet.asked.every(({ body }) => body.attributesToRetrieve === undefined)).toBe(true);
  });
});
