import type { Script, Step, StepOptions } from "./side-by-side.js";

const JSON_TYPE: StepOptions = { contentType: "application/json" };

interface SubRoute {
  readonly route: string;
  readonly method: "PUT" | "PATCH";
  readonly good: readonly unknown[];
  readonly bad: readonly unknown[];
}

const anywhere: readonly unknown[] = [1, -1, 1.5, true, "x", [], [1], [null], {}, { a: 1 }];

/** A value that is right and values that are wrong, for every sub-route of the settings. */
const subRoutes: readonly SubRoute[] = [
  {
    route: "ranking-rules",
    method: "PUT",
    good: [["words", "a:asc", "typo"]],
    bad: [
      ["x"],
      ["a:up"],
      ["_geoPoint(1,2):asc"],
      ["_geo:asc"],
      ["words", "words"],
      ["attribute", "attributeRank"],
      [""],
    ],
  },
  { route: "stop-words", method: "PUT", good: [["the", "a", "the"]], bad: [] },
  {
    route: "synonyms",
    method: "PUT",
    good: [{ B: ["a", "A"], "a b": ["c"] }],
    bad: [{ a: "b" }, { a: [1] }],
  },
  { route: "searchable-attributes", method: "PUT", good: [["title", "*"]], bad: [] },
  { route: "displayed-attributes", method: "PUT", good: [["z", "a"]], bad: [] },
  {
    route: "filterable-attributes",
    method: "PUT",
    good: [
      [
        "z",
        "a",
        { attributePatterns: ["b*"], features: { facetSearch: true } },
        { attributePatterns: ["c"] },
      ],
    ],
    bad: [
      [{ foo: 1 }],
      [{ attributePatterns: "x" }],
      [{ attributePatterns: ["a"], features: { foo: 1 } }],
      [{ attributePatterns: ["a"], features: { filter: { equality: 1 } } }],
    ],
  },
  { route: "sortable-attributes", method: "PUT", good: [["z", "a"]], bad: [] },
  { route: "distinct-attribute", method: "PUT", good: ["sku"], bad: [] },
  {
    route: "typo-tolerance",
    method: "PATCH",
    good: [{ disableOnWords: ["Z", "a"], minWordSizeForTypos: { twoTypos: 11 } }, { disableOnNumbers: true }],
    bad: [
      { enabled: "x" },
      { minWordSizeForTypos: { oneTypo: 10, twoTypos: 9 } },
      { minWordSizeForTypos: { oneTypo: 256 } },
      { disableOnWords: "x" },
      { disableOnAttributes: [1] },
      { enable: true },
      { minWordSizeForTypos: { one: 1 } },
      { enabled: null },
    ],
  },
  {
    route: "faceting",
    method: "PATCH",
    good: [{ maxValuesPerFacet: 3, sortFacetValuesBy: { a: "count" } }],
    bad: [
      { sortFacetValuesBy: { a: "b" } },
      { sortFacetValuesBy: "a" },
      { maxValuesPerFacet: "x" },
      { maxValuesPerFacet: -1 },
      { maxValuePerFacet: 1 },
    ],
  },
  {
    route: "pagination",
    method: "PATCH",
    good: [{ maxTotalHits: 5 }],
    bad: [{ maxTotalHits: 0 }, { maxTotalHits: "a" }, { maxTotalHit: 1 }],
  },
  { route: "proximity-precision", method: "PUT", good: ["byAttribute"], bad: ["byattribute"] },
  { route: "separator-tokens", method: "PUT", good: [["&sep", "|"]], bad: [] },
  { route: "non-separator-tokens", method: "PUT", good: [["#", "@"]], bad: [] },
  { route: "dictionary", method: "PUT", good: [["J. K.", "B"]], bad: [] },
  { route: "search-cutoff-ms", method: "PUT", good: [100], bad: [0, 18446744073709551615n.toString()] },
  {
    route: "localized-attributes",
    method: "PUT",
    good: [[{ locales: ["eng"], attributePatterns: ["a"] }]],
    bad: [
      [{ locales: ["xx"], attributePatterns: ["a"] }],
      [{ locales: ["eng"] }],
      [{ attributePatterns: ["a"] }],
      [{ locales: ["eng"], attributePatterns: ["a"], foo: 1 }],
    ],
  },
  { route: "facet-search", method: "PUT", good: [false], bad: [] },
  { route: "prefix-search", method: "PUT", good: ["disabled"], bad: ["Disabled"] },
  {
    route: "embedders",
    method: "PATCH",
    good: [{ default: { source: "userProvided", dimensions: 3 } }],
    bad: [
      { a: { source: "x" } },
      { a: { source: "userProvided" } },
      { a: { source: "userProvided", dimensions: 0 } },
      { a: { source: "userProvided", dimensions: 2, foo: 1 } },
      { a: { source: "userProvided", dimensions: 2, model: "x" } },
      { a: { dimensions: -1 } },
    ],
  },
];

/** Members of the whole that come and go with features. It switches them, so that nothing else may run beside it. */
export const gatedSettings: Script = {
  name: "members of experimental features",
  steps: [
    ["PATCH", "/experimental-features", { chatCompletions: false, foreignKeys: false }],
    ["POST", "/indexes", { uid: "gated" }, { alone: true }],
    ["GET", "/indexes/gated/settings"],
    ["PATCH", "/experimental-features", { chatCompletions: true, foreignKeys: true }],
    ["GET", "/indexes/gated/settings"],
    ["PUT", "/indexes/gated/settings/stop-words", ["a"], { alone: true }],
    ["GET", "/indexes/gated/settings"],
    ["PATCH", "/experimental-features", { chatCompletions: false }],
    ["GET", "/indexes/gated/settings"],
    ["GET", "/indexes/gated/settings/chat"],
    ["PATCH", "/experimental-features", { foreignKeys: false }],
    ["GET", "/indexes/gated/settings"],
    ["GET", "/indexes/gated/settings/foreign-keys"],
  ],
};

/** Every settings route with right and wrong values, and the routes of indexes. */
export const settingsScripts: readonly Script[] = [
  {
    name: "wrong values on every sub-route",
    steps: subRoutes.flatMap(({ route, method, good, bad }): Step[] => {
      const path = `/indexes/wrong/settings/${route}`;
      const kinds = new Set(good.map(kindOf));
      // What is right somewhere else is wrong here, unless it has the kind of what is right here.
      const odd = anywhere.filter(
        (value) => !kinds.has(kindOf(value)) || (Array.isArray(value) && value.length > 0),
      );
      return [
        ...[...odd, ...bad].map((value): Step => [method, path, JSON.stringify(value), JSON_TYPE]),
        ...["", "{", "nope"].map((body): Step => [method, path, body, JSON_TYPE]),
        [method, path, "null", { contentType: "text/plain" }],
        [method === "PUT" ? "PATCH" : "PUT", path, "null", JSON_TYPE],
        ["POST", path, "null", JSON_TYPE],
      ];
    }),
  },
  {
    name: "wrong values of the whole settings",
    steps: [
      ...subRoutes.flatMap(({ route, bad }) => {
        const member = route.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
        return [...bad, 1, { a: 1 }, [1]].map((value) => ({ [member]: value }));
      }),
      { foo: 1 },
      { rankingRule: [] },
      { ranking_rules: [] },
      { stopwords: [] },
      [],
      "x",
      1,
      null,
      { stopWords: ["a"], foo: 1 },
      { stopWords: 1, synonyms: 1 },
      { distinctAttribute: 1 },
      { chat: 1 },
      { foreignKeys: 1 },
      { vectorStore: "x" },
    ].map((body): Step => ["PATCH", "/indexes/wrong/settings", JSON.stringify(body), JSON_TYPE]),
  },
  {
    name: "settings by sub-routes",
    steps: [
      ["POST", "/indexes", { uid: "conf" }],
      ["GET", "/indexes/conf/settings"],
      ...subRoutes.flatMap(({ route, method, good }) =>
        good.map(
          (value): Step => [method, `/indexes/conf/settings/${route}`, JSON.stringify(value), JSON_TYPE],
        ),
      ),
      ["PATCH", "/indexes/conf/settings", {}],
      ["GET", "/indexes/conf/settings"],
      ...subRoutes.map(({ route }): Step => ["GET", `/indexes/conf/settings/${route}`]),
      ["GET", "/indexes/conf/settings/foreign-keys"],
      ["GET", "/indexes/conf/settings/chat"],
      ["GET", "/indexes/conf/settings/vector-store"],
      ["GET", "/indexes/conf/settings/nope"],
      ...subRoutes
        .slice(0, 10)
        .map(({ route, method }): Step => [method, `/indexes/conf/settings/${route}`, "null", JSON_TYPE]),
      ...subRoutes.slice(10).map(({ route }): Step => ["DELETE", `/indexes/conf/settings/${route}`]),
      ["PATCH", "/indexes/conf/settings", { typoTolerance: { enabled: false } }],
      ["GET", "/indexes/conf/settings"],
      ["DELETE", "/indexes/conf/settings"],
      ["GET", "/indexes/conf/settings"],
    ],
  },
  {
    name: "settings as a whole",
    steps: [
      [
        "PATCH",
        "/indexes/whole/settings",
        Object.fromEntries(
          [...subRoutes]
            .reverse()
            .map(({ route, good }) => [
              route.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase()),
              good[0],
            ]),
        ),
      ],
      ["GET", "/indexes/whole/settings"],
      [
        "PATCH",
        "/indexes/whole/settings",
        {
          faceting: { maxValuesPerFacet: 7 },
          typoTolerance: { disableOnNumbers: true },
          embedders: { default: null },
          synonyms: null,
          rankingRules: null,
          stopWords: [],
        },
        JSON_TYPE,
      ],
      [
        "PATCH",
        "/indexes/whole/settings",
        {
          pagination: null,
          faceting: null,
          typoTolerance: null,
          distinctAttribute: null,
          filterableAttributes: [],
          displayedAttributes: ["*"],
        },
      ],
      ["GET", "/indexes/whole/settings"],
    ],
  },
];

function kindOf(value: unknown): string {
  return value === null ? "null" : Array.isArray(value) ? "array" : typeof value;
}
