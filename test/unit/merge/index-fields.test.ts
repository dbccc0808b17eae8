import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mergeFields } from "../../../src/merge/index-fields.js";

const ALL = { offset: 0, limit: 100, displayed: null };

function part(names: readonly string[]): Buffer {
  const results = names.map((name) => ({
    name,
    displayed: { enabled: true },
    searchable: { enabled: false },
  }));
  return Buffer.from(JSON.stringify({ results, offset: 0, limit: 100_000, total: names.length }));
}

function namesOf(body: Buffer): { names: string[]; total: number } {
  const { results, total } = JSON.parse(body.toString()) as { results: { name: string }[]; total: number };
  return { names: results.map(({ name }) => name), total };
}

describe("the fields of an index over parts", () => {
  it("are all that some part knows, once, by name, page by page", () => {
    const names = fc.uniqueArray(fc.stringMatching(/^[a-e]{1,2}$/), { maxLength: 8 });
    fc.assert(
      fc.property(
        fc.array(names, { minLength: 1, maxLength: 4 }),
        fc.nat(6),
        fc.nat(6),
        (parts, offset, limit) => {
          const wanted = [...new Set(parts.flat())].sort();
          expect(namesOf(mergeFields(parts.map(part), { offset, limit, displayed: null }, null))).toEqual({
            names: wanted.slice(offset, offset + limit),
            total: wanted.length,
          });
        },
      ),
    );
  });

  it("do not tell of Miroir's own", () => {
    expect(namesOf(mergeFields([part(["_miroir_seq", "_miroir_shard", "id"])], ALL, null)).names).toEqual([
      "id",
    ]);
  });

  it("are displayed as the index's settings say, which nodes do not know", () => {
    const parts = [part(["a", "a.b", "ab"]), part(["c"])];
    const printed = mergeFields(parts, ALL, ["a"]).toString();
    expect(printed).toContain('{"name":"a.b","displayed":{"enabled":true},"searchable":{"enabled":false}}');
    expect(printed).toContain('{"name":"ab","displayed":{"enabled":false},"searchable":{"enabled":false}}');
    expect(namesOf(mergeFields(parts, { ...ALL, displayed: true }, ["a"]))).toEqual({
      names: ["a", "a.b"],
      total: 2,
    });
    expect(namesOf(mergeFields(parts, { ...ALL, displayed: false }, ["a"])).names).toEqual(["ab", "c"]);
  });
});
