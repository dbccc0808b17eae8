import { describe, expect, it } from "vitest";
import { mergeFacetStats, printFacets, sumFacets } from "../../../src/merge/facets.js";
import type { FacetOrder, IndexFacts } from "../../../src/merge/index.js";

function merge(
  parts: readonly (string | undefined)[],
  {
    order = "alpha",
    max = 100,
    candidates = 0,
  }: { order?: FacetOrder; max?: number; candidates?: number } = {},
): string {
  const facts = { maxValuesPerFacet: max, sortFacetValuesBy: { "*": order } } as unknown as IndexFacts;
  return printFacets(
    sumFacets(parts.map((part) => (part === undefined ? part : Buffer.from(part)))),
    facts,
    candidates,
  );
}

describe("facets over parts", () => {
  it("adds up labels that are one value, in the casing of the first part", () => {
    expect(
      merge(['{"g":{"Sci-Fi":2,"war":1}}', undefined, '{"g":{"SCI-FI":3}}', '{"g":{"sci-fi ":1}}']),
    ).toBe('{"g":{"Sci-Fi":6,"war":1}}');
  });

  it("orders attributes and labels by their bytes, numbers first", () => {
    expect(merge(['{"n":{"10":1,"9":1,"a":1}}', '{"b":{},"n":{"2":1,"B":1}}'])).toBe(
      '{"b":{},"n":{"10":1,"2":1,"9":1,"a":1,"B":1}}',
    );
  });

  it("orders numbers by value above 3,000 candidates", () => {
    expect(merge(['{"n":{"10":1,"9":1,"-1.5":1}}'], { candidates: 3001 })).toBe(
      '{"n":{"-1.5":1,"9":1,"10":1}}',
    );
  });

  it("takes labels behind a string for strings", () => {
    expect(merge(['{"n":{"!":1,"10":1}}', '{"n":{"10":1}}'])).toBe('{"n":{"!":1,"10":2}}');
  });

  it("orders by count, greater values first among equals, and cuts", () => {
    expect(merge(['{"g":{"a":1,"b":3}}', '{"g":{"c":3,"d":9}}'], { order: "count" })).toBe(
      '{"g":{"d":9,"c":3,"b":3,"a":1}}',
    );
    expect(merge(['{"g":{"a":1,"b":3}}', '{"g":{"a":3}}'], { order: "count", max: 1 })).toBe('{"g":{"a":4}}');
  });

  it("leaves injected fields out", () => {
    expect(merge(['{"_miroir_shard":{"((((":3},"g":{}}'])).toBe('{"g":{}}');
    expect(mergeFacetStats([Buffer.from('{"_miroir_seq":{"min":1.0,"max":2.0}}')])).toBe("{}");
  });

  it("keeps the digits of the least and the greatest value", () => {
    expect(
      mergeFacetStats([
        Buffer.from('{"n":{"min":-1.5,"max":10.0},"o":{"min":1.0,"max":1.0}}'),
        undefined,
        Buffer.from('{"n":{"min":9.0,"max":1e21}}'),
      ]),
    ).toBe('{"n":{"min":-1.5,"max":1e21},"o":{"min":1.0,"max":1.0}}');
  });
});
