import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  DEFAULT_CLIENT_SETTINGS,
  DEFAULT_RANKING_RULES,
  displayedAfter,
  exposingToken,
  initialNodeSettings,
  maskSecrets,
  reservedSettingsName,
  settingsFingerprint,
  toClientSettings,
  toNodeSettings,
} from "../../../src/settings/canonical-settings.js";

const attribute = fc.stringMatching(/^[a-z]{1,6}(\.[a-z]{1,3})?$/);
const pattern = fc.oneof(
  attribute,
  attribute.map((name) => `${name}*`),
  attribute.map((name) => `*${name}`),
  fc.constantFrom("*", "_*", "*hard", "*miroir*"),
);
const rule = fc.oneof(
  pattern,
  fc.record({
    attributePatterns: fc.array(pattern, { minLength: 1, maxLength: 3 }),
    features: fc.record({
      facetSearch: fc.boolean(),
      filter: fc.record({ equality: fc.boolean(), comparison: fc.boolean() }),
    }),
  }),
);
const rankingRule = fc.oneof(
  fc.constantFrom("words", "typo", "proximity", "sort", "exactness"),
  attribute.map((name) => `${name}:desc`),
);
const patch = fc.record(
  {
    filterableAttributes: fc.option(fc.array(rule, { maxLength: 4 })),
    rankingRules: fc.option(fc.array(rankingRule, { maxLength: 6 })),
    sortableAttributes: fc.option(fc.array(attribute)),
    searchableAttributes: fc.option(fc.array(attribute)),
    displayedAttributes: fc.option(fc.array(attribute)),
    pagination: fc.record({ maxTotalHits: fc.nat() }),
  },
  { requiredKeys: [] },
);

describe("settings between clients and nodes", () => {
  it("come back as they went, resets as the defaults", () => {
    fc.assert(
      fc.property(patch, (client) => {
        const back = toClientSettings(toNodeSettings(client));
        const expected: Record<string, unknown> = { ...client };
        if (client.filterableAttributes === null) expected.filterableAttributes = [];
        if (client.sortableAttributes === null) expected.sortableAttributes = [];
        // Nodes display everything; the client's list stays in the catalogue.
        if ("displayedAttributes" in client) expected.displayedAttributes = ["*"];
        if (client.rankingRules === null) expected.rankingRules = [...DEFAULT_RANKING_RULES];
        expect(back).toEqual(expected);
      }),
    );
  });

  it("always end in the sequence and filter by shard through Miroir's own rule", () => {
    fc.assert(
      fc.property(patch, (client) => {
        const node = toNodeSettings(client);
        if ("rankingRules" in client) {
          expect((node.rankingRules as unknown[]).at(-1)).toBe("_miroir_seq:asc");
        } else {
          expect(node).not.toHaveProperty("rankingRules");
        }
        if (!("filterableAttributes" in client)) {
          expect(node).not.toHaveProperty("filterableAttributes");
          return;
        }
        const first = (node.filterableAttributes as unknown[]).find((entry) => matchesShard(entry));
        expect(first).toBe("_miroir_shard");
      }),
    );
  });

  it("leave the client's rules in front unless a wildcard reaches Miroir's fields", () => {
    expect(toNodeSettings({ filterableAttributes: ["a"] }).filterableAttributes).toEqual([
      "a",
      "_miroir_shard",
    ]);
    expect(toNodeSettings({ filterableAttributes: ["a", "*"] }).filterableAttributes).toMatchObject([
      "_miroir_shard",
      { attributePatterns: ["_miroir_seq"] },
      "a",
      "*",
    ]);
  });

  it("pass values that no node takes, so that the node refuses them", () => {
    expect(toNodeSettings({ rankingRules: 3, filterableAttributes: "x" })).toEqual({
      rankingRules: 3,
      filterableAttributes: "x",
    });
  });

  it("of a new index are the defaults with the additions", () => {
    expect(toClientSettings({ ...DEFAULT_CLIENT_SETTINGS, ...initialNodeSettings() })).toEqual(
      DEFAULT_CLIENT_SETTINGS,
    );
  });
});

describe("displayed attributes", () => {
  it.each([
    [["a"], {}, ["a"]],
    [undefined, {}, ["*"]],
    [["a"], { displayedAttributes: null }, ["*"]],
    [["a"], { displayedAttributes: ["b", "*"] }, ["*"]],
    [["a"], { displayedAttributes: ["c", "b", "c"] }, ["c", "b"]],
    [["a"], { displayedAttributes: [] }, []],
  ])("%j changed by %j are %j", (before, patch, after) => {
    expect(displayedAfter(before, patch)).toEqual(after);
  });

  it("go to the node where they are no list of names, so that it refuses them", () => {
    expect(toNodeSettings({ displayedAttributes: [1] })).toEqual({ displayedAttributes: [1] });
    expect(toNodeSettings({ displayedAttributes: "a" })).toEqual({ displayedAttributes: "a" });
  });
});

describe("tokens that would expose the injected fields", () => {
  it.each([
    [{ nonSeparatorTokens: ["@", "("] }, { member: "nonSeparatorTokens", at: 1, token: "(" }],
    [{ dictionary: ["J. R.", ",;"] }, { member: "dictionary", at: 1, token: ",;" }],
    [{ nonSeparatorTokens: ["a(", "((", "@"], dictionary: ["f(x)"] }, undefined],
    [{ nonSeparatorTokens: null, dictionary: "(" }, undefined],
  ])("in %j: %j", (patch, expected) => {
    expect(exposingToken(patch)).toEqual(expected);
  });
});

describe("fingerprint", () => {
  it("does not depend on the order of members, and tells values apart", () => {
    expect(settingsFingerprint({ a: 1, b: { c: [1], d: 2 } })).toBe(
      settingsFingerprint({ b: { d: 2, c: [1] }, a: 1 }),
    );
    expect(settingsFingerprint({ a: [1, 2] })).not.toBe(settingsFingerprint({ a: [2, 1] }));
  });
});

describe("reserved names", () => {
  it.each([
    [{ filterableAttributes: ["a", "_miroir_shard"] }, "_miroir_shard"],
    [{ filterableAttributes: [{ attributePatterns: ["_miroir_*"] }] }, "_miroir_*"],
    [{ rankingRules: ["words", "_miroir_seq:desc"] }, "_miroir_seq:desc"],
    [{ distinctAttribute: "_miroir_seq" }, "_miroir_seq"],
    [{ sortableAttributes: ["_miroir_expires_at"], rankingRules: ["_miroir_expires_at:asc"] }, undefined],
    [{ filterableAttributes: ["*"], synonyms: { _miroir_shard: [] } }, undefined],
    [{ filterableAttributes: null }, undefined],
  ])("are found in %j", (client, expected) => {
    expect(reservedSettingsName(client)).toBe(expected);
  });
});

describe("secrets of embedders", () => {
  it.each([
    ["123456789", "XXX..."],
    ["1234567890", "12XXXX..."],
    ["12345678901234567890", "123XXXXX..."],
    ["123456789012345678901234567890", "12345XXXXXX..."],
    ["ひらがな6789012345678901234567890", "ひらXXXXXX..."],
  ])("%s prints as %s", (secret, masked) => {
    expect(maskSecrets({ embedders: { a: { source: "rest", apiKey: secret } } })).toEqual({
      embedders: { a: { source: "rest", apiKey: masked } },
    });
  });
});

function matchesShard(entry: unknown): boolean {
  const patterns =
    typeof entry === "string" ? [entry] : (entry as { attributePatterns: string[] }).attributePatterns;
  return patterns.some((text) =>
    new RegExp(`^${text.replaceAll(".", "\\.").replaceAll("*", ".*")}$`).test("_miroir_shard"),
  );
}
