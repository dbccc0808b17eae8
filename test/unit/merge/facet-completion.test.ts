import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { firstNumbers } from "../../../src/merge/facet-numbers.js";
import type { LabelCount } from "../../../src/merge/facets.js";
import {
  type AskPart,
  completeFacets,
  type IndexFacts,
  type JsonObject,
  mergedSearch,
  planSearch,
  printAnswer,
} from "../../../src/merge/index.js";
import { sequenceCode } from "../../../src/placement/injected-fields.js";

type Numbers = readonly (readonly number[])[];

/** A part's values of its documents, in the order of texts, cut. */
function listed(documents: Numbers, max: number, inRange: (value: number) => boolean): LabelCount[] {
  const counts = new Map<number, number>();
  for (const values of documents.filter((own) => own.some(inRange))) {
    for (const value of new Set(values)) counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  return [...counts]
    .map(([value, count]) => ({ label: `${value}`, count }))
    .sort((a, b) => (a.label < b.label ? -1 : 1))
    .slice(0, max);
}

describe("firstNumbers", () => {
  const documents = fc.array(fc.array(fc.integer({ min: -40, max: 400 }), { minLength: 1, maxLength: 2 }), {
    maxLength: 60,
  });

  it("finds the least numbers of all parts, with their counts, though parts cut by text", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(documents, { minLength: 2, maxLength: 3 }),
        fc.integer({ min: 3, max: 12 }),
        async (parts, max) => {
          const found = await firstNumbers(
            parts.map((own) => listed(own, max, () => true)),
            max,
            (after, upTo) => {
              const inRange = (value: number): boolean =>
                (after === null || value > Number(after)) && (upTo === null || value <= Number(upTo));
              return Promise.resolve(
                parts.map((own) =>
                  listed(
                    // A filter on both ends holds where one value meets the first and another the second.
                    own.filter(
                      (values) =>
                        values.some((value) => after === null || value > Number(after)) &&
                        values.some((value) => upTo === null || value <= Number(upTo)),
                    ),
                    max,
                    inRange,
                  ),
                ),
              );
            },
            1_000,
          );
          if (found === undefined) return;
          const all = listed(parts.flat(), Number.POSITIVE_INFINITY, () => true).sort(
            (a, b) => Number(a.label) - Number(b.label),
          );
          expect(found.slice(0, max)).toEqual(all.slice(0, max));
        },
      ),
    );
  });

  it("gives up where it may not ask often enough", async () => {
    const lists = [[{ label: "1", count: 1 }]];
    expect(await firstNumbers(lists, 1, () => Promise.resolve(lists), 0)).toBeUndefined();
    expect(await firstNumbers(lists, 1, () => Promise.resolve(undefined), 9)).toBeUndefined();
  });
});

const FACTS: IndexFacts = {
  uid: "films",
  primaryKey: "id",
  distinctAttribute: null,
  distinctAttributeIsFilterable: false,
  displayedAttributes: null,
  maxTotalHits: 1000,
  maxValuesPerFacet: 2,
  sortFacetValuesBy: { genre: "count" },
};

function answer(facets: Record<string, Record<string, number>>, total: number, hits: string[] = []): Buffer {
  return Buffer.from(
    `{"hits":[${hits.join(",")}],"query":"","processingTimeMs":0,"limit":0,"offset":0,"estimatedTotalHits":${total},"facetDistribution":${JSON.stringify(facets)},"facetStats":{}}`,
  );
}

async function facetsOf(
  facet: string,
  answers: readonly Buffer[],
  ask: AskPart,
): Promise<Record<string, number> | undefined> {
  const plan = planSearch({ q: "", facets: [facet] }, FACTS);
  const parts = answers.map((body) => ({ answers: [body] }));
  const completed = await completeFacets(plan, parts, mergedSearch(plan, parts), ask);
  const printed = JSON.parse(printAnswer(plan, completed).toString()) as {
    facetDistribution: Record<string, Record<string, number>>;
  };
  return printed.facetDistribution[facet];
}

describe("completeFacets", () => {
  it("asks nothing where the first answers say it all", async () => {
    const never: AskPart = () => Promise.reject(new Error("asked"));
    const answers = [answer({ cast: { a: 1, b: 2 } }, 5), answer({ cast: { b: 1, c: 1 } }, 5)];
    expect(await facetsOf("cast", answers, never)).toEqual({ a: 1, b: 3 });
  });

  it("finds the most frequent values that no part shows first", async () => {
    const documents = [
      { x: 5, y: 5, z: 4 },
      { u: 5, v: 5, z: 4 },
    ];
    const answers = documents.map((counts) => answer({ genre: cut(counts, []) }, 20));
    const ask: AskPart = (part, body) =>
      Promise.resolve([answer({ genre: cut(documents[part] ?? {}, body.filter as string[]) }, 20)]);
    expect(await facetsOf("genre", answers, ask)).toEqual({ z: 8, y: 5 });
  });

  it("labels a value as its first document does", async () => {
    const answers = [answer({ cast: { RED: 1 } }, 1), answer({ cast: { Red: 2 } }, 2)];
    const asked: JsonObject[] = [];
    const hit = (label: string, sequence: bigint): string =>
      JSON.stringify({
        cast: ["blue", label],
        _rankingScoreDetails: { "_miroir_seq:asc": { order: 0, value: sequenceCode(sequence) } },
      });
    const ask: AskPart = (part, body) => {
      asked.push(body);
      const hits = part === 0 ? [hit("RED", 7n)] : [hit("Red", 9n), hit("red", 3n)];
      return Promise.resolve([answer({}, 0, hits)]);
    };
    expect(await facetsOf("cast", answers, ask)).toEqual({ red: 3 });
    expect(asked[0]?.filter).toEqual(['"cast" IN ["red"]']);
  });
});

/** The two most frequent of the values that a filter leaves. */
function cut(counts: Record<string, number>, filter: readonly string[]): Record<string, number> {
  const left = Object.entries(counts).filter(([value]) =>
    filter.every((condition) => accepts(condition, value)),
  );
  return Object.fromEntries(left.sort(([, a], [, b]) => b - a).slice(0, 2));
}

function accepts(condition: string, value: string): boolean {
  const list = /IN (\[.*\])$/.exec(condition)?.[1];
  if (list !== undefined) return (JSON.parse(list) as string[]).includes(value);
  const [, operator, bound = '""'] = /(>|<=) (".*")$/.exec(condition) ?? [];
  return operator === ">" ? value > JSON.parse(bound) : value <= JSON.parse(bound);
}
