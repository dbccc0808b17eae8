import type { Script, Step, StepOptions } from "./side-by-side.js";
import { createTenantKey, tenantToken } from "./tenant-token.js";

const JSON_TYPE: StepOptions = { contentType: "application/json" };

/** Values enough to be cut, of very different frequency, with accents, other scripts and several to a document. */
const documents = Array.from({ length: 240 }, (_, at) => ({
  id: at + 1,
  title: ["red apple", "green apple pie", "blue sky", "old red house", "Éclair au chocolat"][at % 5],
  color: ["Red", "Green", "blue", "Éclair", "ecru", "œuvre", "Zebra", "  padded ", "ýellow", "Đen"][at % 10],
  tags: [`tag-${at % 37}`, `Group ${at % 7}`, ...(at % 3 === 0 ? ["common"] : [])],
  rare: `value ${String((at * 7919) % 240).padStart(3, "0")}`,
  skewed: `s${Math.floor(Math.sqrt(at))}`,
  number: at % 11,
  mixed: at % 2 === 0 ? at % 5 : `m${at % 5}`,
  script: ["Москва", "москвич", "ελλάς", "東京", "서울", "שלום", "مرحبا", "Йод", "Иод"][at % 9],
  nested: { deep: `d${at % 4}`, other: at },
  quoted: ['a"b', "a\\b", 'a\\"b', "a'b", "a\nb", "\u0001", "a\u2028b"][at % 7],
  hidden: `h${at % 3}`,
  family: at % 60,
  rank: at % 13,
}));

function setUp(uid: string, settings: object): Step[] {
  return [
    ["POST", "/indexes", { uid, primaryKey: "id" }, { alone: true }],
    ["PATCH", `/indexes/${uid}/settings`, settings, { alone: true }],
    ["POST", `/indexes/${uid}/documents`, documents, { alone: true }],
  ];
}

const FILTERABLE = [
  "color",
  "tags",
  "rare",
  "skewed",
  "number",
  "mixed",
  "script",
  "nested.deep",
  "quoted",
  "hidden",
  "family",
  "rank",
];

const FACETS = [
  "color",
  "tags",
  "rare",
  "skewed",
  "number",
  "mixed",
  "script",
  "nested.deep",
  "quoted",
  "hidden",
];

const queries: readonly object[] = [
  {},
  { facetQuery: null },
  { facetQuery: "" },
  { facetQuery: " " },
  { facetQuery: "r" },
  { facetQuery: "E" },
  { facetQuery: "é" },
  { facetQuery: "value 1" },
  { facetQuery: "taag-3" },
  { facetQuery: "group" },
  { facetQuery: "gruop 1" },
  { facetQuery: "s1" },
  { facetQuery: "м" },
  { facetQuery: "東" },
  { facetQuery: "a" },
  { facetQuery: 'a"' },
  { facetQuery: "\u0001" },
];

const searches: readonly object[] = [
  { q: "red" },
  { q: "apple pie", matchingStrategy: "all" },
  { q: "apple pie", matchingStrategy: "last" },
  { q: "red appel" },
  { q: '"red apple"' },
  { q: "blue -sky" },
  { q: "nothing at all like it" },
  { q: "red", attributesToSearchOn: ["title"] },
  { q: "red", attributesToSearchOn: ["color"] },
  { filter: "number > 4" },
  { filter: ["number > 4", ["color = red", "color = blue"]] },
  { filter: "color = red", q: "apple" },
  { filter: "number > 400" },
  { filter: null },
  { filter: [] },
  { filter: "" },
  { q: "red", rankingScoreThreshold: 0.1 },
  { q: "red", rankingScoreThreshold: 0.99 },
  { q: "red apple", rankingScoreThreshold: 0.8 },
  { q: "red apple", rankingScoreThreshold: 0.8, exhaustiveFacetCount: true },
  { q: "apple pie", rankingScoreThreshold: 0.9, exhaustiveFacetCount: false, filter: "number = 3" },
  { q: "red", rankingScoreThreshold: null },
  { exhaustiveFacetCount: true, q: "red" },
  { exhaustiveFacetCount: null },
  { limit: 1, offset: 2, sort: ["nope"], facets: "x", foo: { bar: 1 } },
  { locales: ["eng"] },
  { locales: ["xx"] },
  { matchingStrategy: "none" },
  { matchingStrategy: null },
  { hybrid: { embedder: "default" } },
  { hybrid: null, vector: null },
  { vector: [1, 2] },
  { useNetwork: false },
  { useNetwork: true },
  { media: { a: 1 } },
];

const wrong: readonly unknown[] = [
  undefined,
  "",
  "{",
  "[]",
  "null",
  "12",
  {},
  { facetName: null },
  { facetName: 1 },
  { facetName: ["color"] },
  { facetName: "" },
  { facetName: "nope" },
  { facetName: "title" },
  { facetName: "nested" },
  { facetName: "_miroir_shard" },
  { facetName: "_miroir_seq" },
  { facetName: "_miroir_shard.x" },
  { facetName: "_geo" },
  { facetName: "*" },
  { facetName: "color", facetQuery: 1 },
  { facetName: "color", facetQuery: ["r"] },
  { facetName: "color", facetQuery: {} },
  { facetName: "color", q: 1 },
  { facetName: "color", q: [] },
  { facetName: "color", filter: 1 },
  { facetName: "color", filter: { a: 1 } },
  { facetName: "color", filter: "nope = 1" },
  { facetName: "color", filter: "color = " },
  { facetName: "color", filter: ["color = red", "color ="] },
  { facetName: "color", filter: "_miroir_shard = x" },
  { facetName: "color", filter: [["color = red"], [["x"]]] },
  { facetName: "color", attributesToSearchOn: "title" },
  { facetName: "color", attributesToSearchOn: ["nope"] },
  { facetName: "color", attributesToSearchOn: ["_miroir_seq"], q: "red" },
  { facetName: "color", rankingScoreThreshold: 2 },
  { facetName: "color", rankingScoreThreshold: -0.5 },
  { facetName: "color", rankingScoreThreshold: "0.5" },
  { facetName: "color", exhaustiveFacetCount: 1 },
  { facetName: "color", exhaustiveFacetCount: "true" },
  { facetName: "color", hybrid: {} },
  { facetName: "color", hybrid: { embedder: "x", semanticRatio: 3 } },
  { facetName: "color", vector: ["a"] },
  { facetName: "color", locales: "eng" },
  { facetName: "color", useNetwork: 3 },
];

function ask(uid: string, body: unknown): Step {
  return ["POST", `/indexes/${uid}/facet-search`, body, JSON_TYPE];
}

const byCount = { faceting: { sortFacetValuesBy: { "*": "count" } } };

/** Facet searches: order, cuts, queries, narrowing searches, refusals. */
export const facetSearchScripts: readonly Script[] = [
  {
    name: "values of each facet, in alphabetical order",
    steps: [
      ...setUp("facets-alpha", { filterableAttributes: FILTERABLE }),
      ...FACETS.flatMap((facetName) => queries.map((query) => ask("facets-alpha", { facetName, ...query }))),
    ],
  },
  {
    name: "values of each facet, most frequent first, uncut",
    steps: [
      ...setUp("facets-count", {
        filterableAttributes: FILTERABLE,
        faceting: { maxValuesPerFacet: 500, ...byCount.faceting },
      }),
      ...FACETS.flatMap((facetName) => queries.map((query) => ask("facets-count", { facetName, ...query }))),
    ],
  },
  {
    name: "lists cut at a few values",
    steps: [
      ...setUp("facets-cut", { filterableAttributes: FILTERABLE, faceting: { maxValuesPerFacet: 5 } }),
      ...FACETS.flatMap((facetName) => queries.map((query) => ask("facets-cut", { facetName, ...query }))),
    ],
  },
  {
    name: "lists of the most frequent values, cut",
    steps: [
      ...setUp("facets-top", {
        filterableAttributes: FILTERABLE,
        faceting: { maxValuesPerFacet: 7, sortFacetValuesBy: { "*": "count", color: "alpha" } },
      }),
      ...FACETS.flatMap((facetName) => queries.map((query) => ask("facets-top", { facetName, ...query }))),
    ],
  },
  {
    name: "values among the documents of a search",
    steps: [
      ...setUp("facets-search", {
        filterableAttributes: FILTERABLE,
        searchableAttributes: ["title", "color"],
      }),
      ...["tags", "rare"].flatMap((facetName) =>
        searches.map((search) => ask("facets-search", { facetName, ...search })),
      ),
      ...searches.map((search) => ask("facets-search", { facetName: "color", facetQuery: "e", ...search })),
    ],
  },
  {
    name: "refused facet searches",
    steps: [
      ...setUp("facets-wrong", { filterableAttributes: FILTERABLE, displayedAttributes: ["id", "color"] }),
      ...wrong.map((body) => ask("facets-wrong", body)),
      ...wrong.map((body) => ask("facets-none", body)),
      ...[{ facetName: "color" }, "{", {}].map((body) => ask("bad uid!", body)),
      ask("facets-none", { facetName: "color" }),
      ["GET", "/indexes/facets-wrong/facet-search"],
      ["POST", "/indexes/facets-wrong/facet-search", "facetName=color", { contentType: "text/plain" }],
      ["POST", "/indexes/facets-wrong/facet-search", { facetName: "color" }, { authorization: null }],
      ["POST", "/indexes/facets-wrong/facet-search?x=1", { facetName: "color" }],
    ],
  },
  {
    name: "settings that forbid or shape a facet search",
    steps: [
      ...setUp("facets-rules", {
        filterableAttributes: [
          {
            attributePatterns: ["color"],
            features: { facetSearch: true, filter: { equality: false, comparison: false } },
          },
          {
            attributePatterns: ["tags", "rare"],
            features: { facetSearch: true, filter: { equality: true, comparison: false } },
          },
          {
            attributePatterns: ["hidden"],
            features: { facetSearch: false, filter: { equality: true, comparison: false } },
          },
          { attributePatterns: ["s*"], features: { facetSearch: true } },
        ],
        faceting: { maxValuesPerFacet: 8, sortFacetValuesBy: { skewed: "count" } },
        typoTolerance: {
          minWordSizeForTypos: { oneTypo: 2, twoTypos: 4 },
          disableOnAttributes: ["rare"],
          disableOnWords: ["red"],
        },
      }),
      ...["color", "tags", "rare", "hidden", "skewed", "number"].flatMap((facetName) =>
        [
          {},
          { facetQuery: "rde" },
          { facetQuery: "red" },
          { facetQuery: "vlue 1" },
          { facetQuery: "taf-1" },
        ].map((query) => ask("facets-rules", { facetName, ...query })),
      ),
      ["PUT", "/indexes/facets-rules/settings/facet-search", "false", { ...JSON_TYPE, alone: true }],
      ask("facets-rules", { facetName: "color" }),
      ask("facets-rules", { facetName: "nope" }),
      ask("facets-rules", { facetName: "color", filter: "nope = 1" }),
    ],
  },
  {
    name: "facet searches with tenant tokens",
    steps: [
      createTenantKey,
      ...setUp("facets-tenant", { filterableAttributes: FILTERABLE }),
      ...[
        ["*"],
        { "*": { filter: "number = 3" } },
        { "facets-*": { filter: ["number > 3", "color = red OR color = blue"] } },
        { "facets-tenant": { filter: "nope = 3" } },
        { "facets-tenant": null },
        { other: {} },
      ].flatMap((rules) =>
        [
          {},
          { filter: "tags = common" },
          { filter: ["tags = common", ["rank > 3"]] },
          { filter: "tags =" },
          { q: 1 },
        ].map(
          (body): Step => [
            "POST",
            "/indexes/facets-tenant/facet-search",
            { facetName: "color", ...body },
            { authorization: tenantToken(rules) },
          ],
        ),
      ),
    ],
  },
  {
    name: "documents that a distinct attribute leaves",
    steps: [
      ...setUp("facets-distinct", {
        filterableAttributes: FILTERABLE,
        searchableAttributes: ["title"],
        distinctAttribute: "rank",
        displayedAttributes: ["id", "title", "tags"],
      }),
      ...["color", "tags", "mixed", "nested.deep"].flatMap((facetName) =>
        [
          {},
          { q: "red" },
          { q: "apple pie", facetQuery: "g" },
          { filter: "number = 3" },
          { filter: "number > 4", facetQuery: "red" },
          { q: "red", rankingScoreThreshold: 0.9 },
          { q: "nothing" },
        ].map((query) => ask("facets-distinct", { facetName, ...query })),
      ),
      [
        "PUT",
        "/indexes/facets-distinct/settings/distinct-attribute",
        '"family"',
        { ...JSON_TYPE, alone: true },
      ],
      ...["color", "tags"].flatMap((facetName) =>
        [{ filter: "family < 15" }, { q: "red", filter: "family < 30" }].map((query) =>
          ask("facets-distinct", { facetName, ...query }),
        ),
      ),
    ],
  },
  {
    name: "an index without documents, and without settings",
    steps: [
      ["POST", "/indexes", { uid: "facets-empty" }, { alone: true }],
      ask("facets-empty", { facetName: "color" }),
      ["PATCH", "/indexes/facets-empty/settings", { filterableAttributes: ["color"] }, { alone: true }],
      ask("facets-empty", { facetName: "color" }),
      ask("facets-empty", { facetName: "colour" }),
      ["PATCH", "/indexes/facets-empty/settings", { filterableAttributes: ["*"] }, { alone: true }],
      ask("facets-empty", { facetName: "_miroir_shard" }),
      ask("facets-empty", { facetName: "anything" }),
    ],
  },
];
