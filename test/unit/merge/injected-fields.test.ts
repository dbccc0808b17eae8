import { describe, expect, it } from "vitest";
import { filterWithShards, hideInjectedFields } from "../../../src/merge/index.js";
import { standInForAttribute, standInsInFilter } from "../../../src/merge/injected-fields.js";
import { shardCode } from "../../../src/placement/injected-fields.js";

describe("hideInjectedFields", () => {
  it.each([
    [
      "Attribute `x` is not filterable. Available filterable attribute patterns are: `_miroir_shard`, `genres`.\n1:2 x = 1",
      "Attribute `x` is not filterable. Available filterable attribute patterns are: `genres`.\n1:2 x = 1",
    ],
    [
      "Attribute `x` is not filterable. Available filterable attribute patterns are: `_miroir_shard`.\n1:2 x = 1",
      "Attribute `x` is not filterable. This index does not have configured filterable attributes.\n1:2 x = 1",
    ],
    [
      "Invalid facet distribution: Pattern `x` is not filterable. Available filterable attributes patterns are: `_miroir_shard, cast, genres`.",
      "Invalid facet distribution: Pattern `x` is not filterable. Available filterable attributes patterns are: `cast, genres`.",
    ],
    [
      "Invalid facet distribution: Pattern `x` is not filterable. Available filterable attributes patterns are: `_miroir_shard`.",
      "Invalid facet distribution: Pattern `x` is not filterable. This index does not have configured filterable attributes.",
    ],
    [
      "Attribute `x` is not filterable and thus, cannot be used as distinct attribute. Available filterable attributes patterns are: `_miroir_shard, genres`.",
      "Attribute `x` is not filterable and thus, cannot be used as distinct attribute. Available filterable attributes patterns are: `genres`.",
    ],
    [
      "Attribute `x` is not facet-searchable. Available facet-searchable attributes patterns are: `_miroir_shard`. To make it facet-searchable add it to the `filterableAttributes` index settings.",
      "Attribute `x` is not facet-searchable. This index does not have configured facet-searchable attributes. To make it facet-searchable add it to the `filterableAttributes` index settings.",
    ],
    [
      "Attribute `x` is not searchable. Available searchable attributes are: `_miroir_seq, _miroir_shard, id, title`.",
      "Attribute `x` is not searchable. Available searchable attributes are: `id, title`.",
    ],
    [
      "Attribute `_miroir_5hard` is not filterable. Available filterable attribute patterns are: `_miroir_shard`, `genres`.\n1:14 _miroir_5hard = 1",
      "Attribute `_miroir_shard` is not filterable. Available filterable attribute patterns are: `genres`.\n1:14 _miroir_shard = 1",
    ],
    [
      'Attribute `x` is not filterable. Available filterable attribute patterns are: `_miroir_shard`, `year`.\n3:4 ("x" = "1") AND ("_miroir_shard" IN ["((((", "(()]"])',
      'Attribute `x` is not filterable. Available filterable attribute patterns are: `year`.\n2:3 "x" = "1"',
    ],
    [
      '\n24:25 (("year" = "1)") AND (("x" = "1") OR ("year" > "3"))) AND ("_miroir_shard" IN ["(((("])',
      '\n23:24 ("year" = "1)") AND (("x" = "1") OR ("year" > "3"))',
    ],
    [
      '\n38:39 ("year" = "1") AND (("x" = "1") OR ("y" = "2")) AND ("_miroir_shard" IN [])',
      '\n38:39 ("year" = "1") AND (("x" = "1") OR ("y" = "2"))',
    ],
    ["Index `movies` not found.", "Index `movies` not found."],
    [
      "Attribute `year` is not sortable. Available sortable attributes are: `title`.",
      "Attribute `year` is not sortable. Available sortable attributes are: `title`.",
    ],
  ])("%s", (node, client) => {
    expect(hideInjectedFields(node)).toBe(client);
  });
});

describe("hideInjectedFields with displayed attributes", () => {
  it.each([
    [
      "Attribute `x` is not sortable. Available sortable attributes are: `secret, title`.",
      "Attribute `x` is not sortable. Available sortable attributes are: `title, <..hidden-attributes>`.",
    ],
    [
      "Attribute `x` is not sortable. Available sortable attributes are: `secret`.",
      "Attribute `x` is not sortable. This index does not have configured sortable attributes.",
    ],
    [
      "Attribute `x` is not filterable. Available filterable attribute patterns are: `_miroir_shard`, `secret`.\n1:2 x",
      "Attribute `x` is not filterable. Available filterable attribute patterns are: `secret`.\n1:2 x",
    ],
    [
      "Attribute `x` is not filterable and thus, cannot be used as distinct attribute. Available filterable attributes patterns are: `_miroir_shard, secret, title`.",
      "Attribute `x` is not filterable and thus, cannot be used as distinct attribute. Available filterable attributes patterns are: `title, <..hidden-attributes>`.",
    ],
  ])("%s", (node, client) => {
    expect(hideInjectedFields(node, ["title"])).toBe(client);
  });
});

describe("standInForAttribute", () => {
  it("replaces the injected fields alone, in the same length", () => {
    for (const name of ["_miroir_shard", "_miroir_seq", "_miroir_seq:asc", "_miroir_shard:10"]) {
      const standIn = standInForAttribute(name);
      expect(standIn).not.toBe(name);
      expect(standIn).toHaveLength(name.length);
      expect(hideInjectedFields(standIn)).toBe(name);
    }
    for (const name of ["title", "_miroir_expires_at", "_miroir_shards", "a._miroir_seq"]) {
      expect(standInForAttribute(name)).toBe(name);
    }
  });
});

describe("standInsInFilter", () => {
  it.each([
    ["_miroir_shard = 1", "_miroir_5hard = 1"],
    [
      '("_miroir_shard" IN ["a"] OR x = 1) AND NOT _miroir_seq EXISTS',
      '("_miroir_5hard" IN ["a"] OR x = 1) AND NOT _miroir_5eq EXISTS',
    ],
    ["_miroir_seq>3", "_miroir_5eq>3"],
    ["title = '_miroir_shard' AND x = _miroir_seq", "title = '_miroir_shard' AND x = _miroir_seq"],
    ['title = "a \\" _miroir_shard = 1"', 'title = "a \\" _miroir_shard = 1"'],
    ["tags IN [_miroir_shard, _miroir_seq]", "tags IN [_miroir_shard, _miroir_seq]"],
  ])("%s", (filter, sent) => {
    expect(standInsInFilter(filter)).toBe(sent);
  });
});

describe("filterWithShards", () => {
  const shards = `_miroir_shard IN ["${shardCode(3)}", "${shardCode(10)}"]`;

  it("puts the shards beside the client's filter, never into it", () => {
    expect(filterWithShards(undefined, [3, 10])).toBe(shards);
    expect(filterWithShards(null, [3, 10])).toBe(shards);
    expect(filterWithShards("a = 1) OR (b = 2", [3, 10])).toEqual(["a = 1) OR (b = 2", shards]);
    expect(filterWithShards(["a = 1", ["b = 2", "c = 3"]], [3, 10])).toEqual([
      "a = 1",
      ["b = 2", "c = 3"],
      shards,
    ]);
    expect(filterWithShards([], [3, 10])).toEqual([shards]);
  });

  it("leaves what is no filter for the node to refuse", () => {
    expect(filterWithShards(3, [1])).toBe(3);
    expect(filterWithShards({ a: 1 }, [1])).toEqual({ a: 1 });
  });
});
