import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mergeIndexes, mergeQueries } from "../../../src/merge/federated-merge.js";
import { type Hit, hitAt } from "../../../src/merge/hit.js";
import { printDouble } from "../../../src/merge/print-double.js";

/** A document as one query found it: its score in tenths, and the value of its attribute `colour`. */
interface Found {
  readonly id: number;
  readonly words: number;
  readonly colour: string | null;
}

interface Query {
  readonly weight: number;
  readonly found: readonly Found[];
}

const COLOURS = ["red", "green", "blue", null];

/** A document has one colour, whatever query finds it. */
const found = fc
  .record({ id: fc.nat({ max: 30 }), words: fc.integer({ min: 1, max: 10 }) })
  .map(({ id, words }): Found => ({ id, words, colour: COLOURS[id % 4] ?? null }));
const query = fc.record({
  weight: fc.constantFrom(0, 0.25, 0.5, 1, 2),
  found: fc.uniqueArray(found, { selector: ({ id }) => id, maxLength: 12 }),
});
const indexes = fc.array(fc.array(query, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 3 });

function hitsOf({ found }: Query): Hit[] {
  return [...found]
    .sort((a, b) => b.words - a.words || a.id - b.id)
    .map(({ id, words, colour }, position) => {
      const details = `"words":{"order":0,"matchingWords":${words},"maxMatchingWords":10,"score":0},"_miroir_seq:asc":{"order":1,"value":"${String(id).padStart(18, "0")}"}`;
      return hitAt(
        Buffer.from(
          `{"id":${id},"colour":${JSON.stringify(colour)},"_rankingScore":${words / 10},"_rankingScoreDetails":{${details}}}`,
        ),
        0,
        position,
      );
    });
}

/** All hits in one list, the best first; then what is seen a second time is struck out. */
function naive(
  groups: readonly (readonly Query[])[],
  skip: number,
  take: number,
  distinct: boolean,
): { page: [number, number][]; rejected: number } {
  const pairs: { index: number; position: number; place: number; document: Found; score: number }[] = [];
  let position = 0;
  for (const [index, queries] of groups.entries()) {
    for (const one of queries) {
      const ordered = [...one.found].sort((a, b) => b.words - a.words || a.id - b.id);
      for (const [place, document] of ordered.entries()) {
        pairs.push({ index, position, place, document, score: (document.words / 10) * one.weight });
      }
      position++;
    }
  }
  pairs.sort((a, b) => b.score - a.score || a.position - b.position || a.place - b.place);
  const seen = new Set<string>();
  const colours = new Set<string>();
  const own = new Set<string>();
  const page: [number, number][] = [];
  let rejected = 0;
  for (const { index, position: at, document } of pairs) {
    if (seen.has(`${index}/${document.id}`)) continue;
    seen.add(`${index}/${document.id}`);
    if (distinct && document.colour !== null) {
      // Within its index a document is displaced before indexes meet.
      const isFirstOfIndex = !own.has(`${index}/${document.colour}`);
      own.add(`${index}/${document.colour}`);
      if (colours.has(document.colour)) {
        if (isFirstOfIndex) rejected++;
        continue;
      }
      colours.add(document.colour);
    }
    page.push([at, document.id]);
  }
  return { page: page.slice(skip, skip + take), rejected };
}

function merged(
  groups: readonly (readonly Query[])[],
  skip: number,
  take: number,
  distinct: boolean,
): ReturnType<typeof naive> {
  let position = 0;
  const attribute = distinct ? "colour" : null;
  const lists = groups.map((queries) =>
    mergeQueries(
      queries.map((one) => ({ position: position++, weight: one.weight, hits: hitsOf(one) })),
      1_000,
      attribute,
    ),
  );
  const { hits, rejected } = mergeIndexes(lists, skip, take, attribute);
  return {
    page: hits.map(({ hit, position: at }) => [at, Number(/"id":(\d+)/.exec(hit.bytes.toString())?.[1])]),
    rejected: rejected.flat().length,
  };
}

describe("hits of several queries", () => {
  it("come in the order of their weighted scores, each document and each distinct value once", () => {
    fc.assert(
      fc.property(
        indexes,
        fc.nat({ max: 8 }),
        fc.nat({ max: 40 }),
        fc.boolean(),
        (groups, skip, take, distinct) => {
          expect(merged(groups, skip, take, distinct)).toEqual(naive(groups, skip, take, distinct));
        },
      ),
    );
  });

  it("are cut at the end of each index's list", () => {
    fc.assert(
      fc.property(fc.array(query, { minLength: 1, maxLength: 3 }), fc.nat({ max: 10 }), (queries, end) => {
        const own = queries.map((one, position) => ({ position, weight: one.weight, hits: hitsOf(one) }));
        const all = mergeQueries(own, 1_000, null).hits;
        expect(mergeQueries(own, end, null).hits).toEqual(all.slice(0, end));
      }),
    );
  });

  it("are told apart by sort rules first where those come first, and by distance the farther way round", () => {
    const sorted = (position: number, rule: string, value: string): ReturnType<typeof hitsOf>[number] =>
      hitAt(
        Buffer.from(
          `{"p":${position},"_rankingScore":1.0,"_rankingScoreDetails":{"${rule}":{"order":0,${value}}}}`,
        ),
        position,
        0,
      );
    const order = (rule: string, ...values: string[]): number[] => {
      const queries = values.map((value, position) => ({
        position,
        weight: 1,
        hits: [sorted(position, rule, value)],
      }));
      return mergeQueries(queries, 10, null).hits.map(({ position }) => position);
    };
    expect(order("price:asc", '"value":3', '"value":1', '"value":"a"', '"value":null')).toEqual([1, 0, 2, 3]);
    expect(order("price:desc", '"value":null', '"value":1', '"value":3')).toEqual([2, 1, 0]);
    const near = '"value":{},"distance":5.0';
    const far = '"value":{},"distance":9.0';
    expect(order("_geoPoint(1, 2):asc", near, far)).toEqual([1, 0]);
    expect(order("_geoPoint(1, 2):desc", '"value":null,"distance":null', near, far)).toEqual([2, 1, 0]);
  });

  it("go behind those that have more rules to show for", () => {
    const bare = hitAt(Buffer.from('{"_rankingScore":1.0,"_rankingScoreDetails":{}}'), 0, 0);
    const [scored] = hitsOf({ weight: 1, found: [{ id: 1, words: 1, colour: null }] });
    if (scored === undefined) throw new Error("no hit");
    const { hits } = mergeQueries(
      [
        { position: 0, weight: 100, hits: [bare] },
        { position: 1, weight: 0.01, hits: [scored] },
      ],
      10,
      null,
    );
    expect(hits.map(({ position, score }) => [position, score])).toEqual([
      [1, 0.001],
      [0, 100],
    ]);
  });
});

describe("printDouble", () => {
  it.each([
    [0, "0.0"],
    [1, "1.0"],
    [0.5083333333333333, "0.5083333333333333"],
    [1e-5, "0.00001"],
    [9.848484848484848e-8, "9.848484848484848e-8"],
    [123456789, "123456789.0"],
    [1e15, "1000000000000000.0"],
    [1e16, "1e16"],
    [1.5e300, "1.5e300"],
  ])("prints %s as serde_json does", (value, text) => {
    expect(printDouble(value)).toBe(text);
  });
});
