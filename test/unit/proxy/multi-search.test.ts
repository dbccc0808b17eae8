import { describe, expect, it } from "vitest";
import { mapBounded } from "../../../src/proxy/read/bounded.js";
import { combinedHeaders } from "../../../src/proxy/read/degradation.js";
import { multiSearchRequestOf } from "../../../src/proxy/read/multi-search-query.js";
import { timeOrderedUuid } from "../../../src/runtime/uuid.js";

const read = (text: string) => multiSearchRequestOf(JSON.parse(text), Buffer.from(text));

describe("the body of a multi-search", () => {
  it("is read query by query", () => {
    const request = read(
      '{"queries":[{"indexUid":"a","q":"x","limit":null,"federationOptions":{"weight":2}},{"indexUid":"b"}],"federation":{"page":2,"facetsByIndex":{"a":["f"],"b":null},"mergeFacets":{}}}',
    );
    expect(request?.queries).toMatchObject([
      { indexUid: "a", parameters: { q: "x" }, federationOptions: { weight: 2 }, isQuestionable: false },
      { indexUid: "b", parameters: {}, federationOptions: undefined, isQuestionable: false },
    ]);
    expect(request?.queries[0]?.parameters).not.toHaveProperty("limit");
    expect(request?.federation).toMatchObject({
      pagination: { style: "page", page: 2, hitsPerPage: 20 },
      mergeFacets: { maxValuesPerFacet: undefined },
    });
    expect([...(request?.federation?.facetsByIndex ?? [])]).toEqual([
      ["a", ["f"]],
      ["b", null],
    ]);
  });

  it.each([
    "[]",
    "{}",
    '{"queries":null}',
    '{"queries":[1]}',
    '{"queries":[{}]}',
    '{"queries":[{"indexUid":"no good"}]}',
    '{"queries":[{"indexUid":"a","limit":1.0}]}',
    '{"queries":[{"indexUid":"a","foo":1}]}',
    '{"queries":[{"indexUid":"a","federationOptions":{"weight":-1}}]}',
    '{"queries":[{"indexUid":"a","federationOptions":{"queryPosition":1.5}}]}',
    '{"queries":[],"federation":[]}',
    '{"queries":[],"federation":{"limit":1.0}}',
    '{"queries":[],"federation":{"facetsByIndex":{"a":"f"}}}',
    '{"queries":[],"federation":{"mergeFacets":{"maxValuesPerFacet":-1}}}',
  ])("is left to a node where it is unsound: %s", (text) => {
    expect(read(text)).toBeUndefined();
  });

  it.each([
    ['{"indexUid":"a","limit":1}', true],
    ['{"indexUid":"a","facets":["f"]}', true],
    ['{"indexUid":"a","facets":[]}', false],
    ['{"indexUid":"a","showPerformanceDetails":false}', true],
    ['{"indexUid":"a","distinct":"f"}', true],
  ])("may hold what a federation does not allow: %s", (query, isQuestionable) => {
    const request = read(`{"queries":[${query}],"federation":{"distinct":"g"}}`);
    expect(request?.queries).toMatchObject([{ isQuestionable }]);
  });

  it.each([
    ['"federationOptions":{"remote":"r"}', { remote: "r", useNetwork: undefined, hasPosition: false }],
    [
      '"federationOptions":{"queryPosition":3}',
      { remote: undefined, useNetwork: undefined, hasPosition: true },
    ],
    ['"useNetwork":false', { remote: undefined, useNetwork: false, hasPosition: false }],
    ['"useNetwork":null,"federationOptions":{"remote":null,"queryPosition":null}', undefined],
  ])("may name servers of the network: %s", (members, network) => {
    const request = read(`{"queries":[{"indexUid":"a",${members}}],"federation":{}}`);
    expect(request?.queries[0]?.network).toEqual(network);
  });
});

describe("mapBounded", () => {
  it("runs few at a time and keeps the order", async () => {
    let running = 0;
    let most = 0;
    const doubled = await mapBounded([...Array(20).keys()], 3, async (item) => {
      most = Math.max(most, ++running);
      await Promise.resolve();
      running--;
      return item * 2;
    });
    expect(doubled).toEqual([...Array(20).keys()].map((item) => item * 2));
    expect(most).toBe(3);
  });

  it("fails with the first item's error, whichever fails first, and starts no more", async () => {
    const started: number[] = [];
    let open = (): void => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const run = mapBounded([0, 1, 2, 3, 4], 2, async (item) => {
      started.push(item);
      if (item === 0) {
        await gate;
        throw new Error("the first");
      }
      open();
      throw new Error("a later one");
    });
    await expect(run).rejects.toThrow("the first");
    expect(started).toEqual([0, 1]);
  });

  it("has nothing to do for nothing", async () => {
    expect(await mapBounded([], 4, async () => 1)).toEqual([]);
  });
});

describe("combinedHeaders", () => {
  it("names every missing shard once, and the oldest settings", () => {
    expect(
      combinedHeaders([
        { "x-miroir-settings-version": "12", "x-miroir-degraded": "shards=3,10" },
        { "x-miroir-settings-version": "9", "x-miroir-settings-inconsistent": "true" },
        { "x-miroir-settings-version": "30", "x-miroir-degraded": "shards=1,3" },
      ]),
    ).toEqual({
      "x-miroir-settings-version": "9",
      "x-miroir-settings-inconsistent": "true",
      "x-miroir-degraded": "shards=1,3,10",
    });
    expect(combinedHeaders([])).toEqual({});
  });
});

describe("timeOrderedUuid", () => {
  it("is of version 7 and begins with the time", () => {
    const clock = { now: () => 0x0123456789ab, monotonic: () => 0 };
    const random = { next: () => 0, bytes: (length: number) => new Uint8Array(length).fill(0xff) };
    expect(timeOrderedUuid({ clock, random })).toBe("01234567-89ab-7fff-bfff-ffffffffffff");
  });
});
