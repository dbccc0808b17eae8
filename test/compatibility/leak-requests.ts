import type { Script, Step } from "./side-by-side.js";

const documents = Array.from({ length: 12 }, (_, id) => ({
  id,
  title: `film number ${id % 5}`,
  overview: `the story of number ${id}`,
  price: (id * 7) % 11,
  tag: id % 2 === 0 ? "even" : "odd",
  _geo: { lat: id, lng: id },
}));

/** What clients may set: attributes by name, everything, what Miroir's names would match, nothing. */
const variants: Readonly<Record<string, object>> = {
  named: {
    filterableAttributes: ["tag", "price", "_geo"],
    sortableAttributes: ["price", "title", "_geo"],
    rankingRules: ["words", "typo", "price:asc", "proximity"],
  },
  wildcard: { filterableAttributes: ["*"], sortableAttributes: ["*"], searchableAttributes: ["*"] },
  prefix: {
    filterableAttributes: [{ attributePatterns: ["_*"], features: { facetSearch: true } }, "tag"],
    sortableAttributes: ["price"],
    searchableAttributes: ["title", "overview"],
    displayedAttributes: ["id", "title"],
  },
  ruled: {
    filterableAttributes: [
      { attributePatterns: ["title"], features: { filter: { comparison: false } } },
      {
        attributePatterns: ["*"],
        features: { facetSearch: false, filter: { equality: true, comparison: false } },
      },
    ],
  },
  bare: {},
};

function filled(uid: string, kind: string): readonly Step[] {
  return [
    ["POST", `/indexes/${uid}/documents?primaryKey=id`, documents],
    ["PATCH", `/indexes/${uid}/settings`, variants[kind], { alone: true }],
  ];
}

/** Makes the indexes that the others read. */
export const leakFixture: Script = {
  name: "indexes with documents and settings",
  steps: Object.keys(variants).flatMap((kind) => filled(`leaks-${kind}`, kind)),
};

/** Once for each variant. */
function overAll(name: string, steps: readonly Step[], kinds = Object.keys(variants)): Script {
  return { name, steps: kinds.flatMap((kind) => on(`leaks-${kind}`, steps)) };
}

/** Once for each variant, on an index that only this script knows. */
function changing(name: string, steps: readonly Step[]): Script {
  const slug = name.replaceAll(" ", "-");
  return {
    name,
    steps: Object.keys(variants).flatMap((kind) => {
      const uid = `${slug}-${kind}`;
      return [...filled(uid, kind), ...on(uid, steps)];
    }),
  };
}

function on(uid: string, steps: readonly Step[]): readonly Step[] {
  return steps.map(([method, path, body, options = {}]) => {
    const named = JSON.stringify(body ?? null).replaceAll("{index}", uid);
    return [
      method,
      path.replaceAll("{index}", uid),
      body === undefined ? undefined : (JSON.parse(named) as unknown),
      options,
    ];
  });
}

const search = (body: object): Step => ["POST", "/indexes/{index}/search", body];
const own = ["_miroir_shard", "_miroir_seq", "_miroir_*", "_miroir_shard.x"];

const ruled: readonly Step[] = [
  search({ filter: "price > 3" }),
  search({ filter: "title > 3 AND tag = odd" }),
  search({ facets: ["title", "tag"] }),
  ["POST", "/indexes/{index}/facet-search", { facetName: "tag" }],
  ["POST", "/indexes/{index}/documents/fetch", { filter: "price > 3" }],
];

/** Every place where Miroir's own fields, rules and names of indexes could show, by name. */
export const leakScripts: readonly Script[] = [
  overAll("attribute lists in errors of filters", [
    search({ filter: "nothing = 1" }),
    search({ filter: ["tag = odd", "nothing = 1 OR overview = x"] }),
    search({ filter: "_geoRadius(1, 2, 3) AND nothing IN [1]" }),
    ...own.map((name) => search({ filter: `${name} EXISTS` })),
    ...own.map((name) => search({ filter: `${name} = "(((("` })),
    ["POST", "/indexes/{index}/documents/fetch", { filter: "nothing = 1" }],
    ["POST", "/indexes/{index}/documents/fetch", { filter: '_miroir_shard = "(((("' }],
    ["GET", "/indexes/{index}/documents?filter=nothing%20%3D%201"],
    ["POST", "/multi-search", { queries: [{ indexUid: "{index}", filter: "nothing = 1" }] }],
    [
      "POST",
      "/multi-search",
      { federation: {}, queries: [{ indexUid: "{index}" }, { indexUid: "{index}", filter: "nothing = 1" }] },
    ],
  ]),
  overAll(
    "attribute lists in errors of sorts",
    [
      search({ sort: ["nothing:asc"] }),
      search({ sort: ["price:asc", "overview:desc"] }),
      ...own.map((name) => search({ sort: [`${name}:asc`] })),
      ["POST", "/indexes/{index}/documents/fetch", { sort: ["nothing:asc"] }],
      ["POST", "/indexes/{index}/documents/fetch", { sort: ["_miroir_seq:asc"] }],
      ["GET", "/indexes/{index}/documents?sort=_miroir_seq:desc"],
    ],
    ["named", "prefix", "bare"],
  ),
  overAll("attribute lists in errors of facets", [
    search({ facets: ["nothing"] }),
    search({ facets: ["tag", "nothing", "overview"] }),
    ...own.map((name) => search({ facets: [name] })),
    ["POST", "/indexes/{index}/facet-search", { facetName: "nothing" }],
    ...own.map((name): Step => ["POST", "/indexes/{index}/facet-search", { facetName: name }]),
  ]),
  overAll("attribute lists in errors of a distinct attribute", [
    search({ distinct: "nothing" }),
    ...own.map((name) => search({ distinct: name })),
  ]),
  overAll("attribute lists in errors of attributes to search on", [
    search({ q: "film", attributesToSearchOn: ["nothing"] }),
    ...own.map((name) => search({ q: "film", attributesToSearchOn: [name] })),
  ]),
  overAll("numbers of filterable rules", ruled, ["ruled", "prefix", "wildcard"]),
  overAll("fieldDistribution", [["GET", "/indexes/{index}/stats"]]),
  overAll("the fields route", [
    ["POST", "/indexes/{index}/fields", {}],
    ["POST", "/indexes/{index}/fields", { limit: 3, offset: 1 }],
    ["POST", "/indexes/{index}/fields", { filter: { attributePatterns: ["_*", "*seq", "*shard"] } }],
  ]),
  overAll("positions of matches", [
    search({ q: "film number", showMatchesPosition: true, limit: 30 }),
    search({ q: "((((", showMatchesPosition: true }),
    search({ q: "_miroir_shard", showMatchesPosition: true }),
    search({ q: "miroir seq", showMatchesPosition: true, matchingStrategy: "all" }),
  ]),
  overAll("all displayed and searchable attributes", [
    ["GET", "/indexes/{index}/settings/displayed-attributes"],
    ["GET", "/indexes/{index}/settings/searchable-attributes"],
    search({ q: "film", attributesToRetrieve: ["*"] }),
    search({ q: "film", attributesToRetrieve: ["_miroir_shard", "_miroir_seq", "id"] }),
    search({ q: "film", attributesToRetrieve: ["*", "_miroir_shard"] }),
    ["GET", "/indexes/{index}/documents/3"],
    ["GET", "/indexes/{index}/documents/3?fields=_miroir_seq,title"],
  ]),
  overAll("formatted attributes", [
    search({ q: "film", attributesToHighlight: ["*"] }),
    search({ q: "story", attributesToCrop: ["*"], cropLength: 2 }),
    search({
      q: "film",
      attributesToCrop: ["*:1"],
      attributesToHighlight: ["*"],
      attributesToRetrieve: ["id"],
    }),
    search({ q: "film", attributesToHighlight: own }),
    search({ q: "film", attributesToCrop: ["_miroir_shard:3", "title:1"] }),
    search({ q: "((((", attributesToHighlight: ["*"], highlightPreTag: "<b>" }),
  ]),
  overAll("fields of documents", [
    ["GET", "/indexes/{index}/documents?fields=*"],
    ["GET", "/indexes/{index}/documents?fields=id,_miroir_shard"],
    ["POST", "/indexes/{index}/documents/fetch", { fields: ["*"], limit: 3 }],
    ["POST", "/indexes/{index}/documents/fetch", { fields: ["_miroir_seq"], limit: 3 }],
    ["POST", "/indexes/{index}/documents/fetch", { ids: ["1", "2"] }],
  ]),
  overAll("all facets", [
    search({ facets: ["*"] }),
    search({ facets: ["_*"] }),
    search({ facets: ["*", "tag"] }),
  ]),
  overAll("values of facets", [
    ["POST", "/indexes/{index}/facet-search", { facetName: "tag" }],
    ["POST", "/indexes/{index}/facet-search", { facetName: "tag", facetQuery: "(" }],
    ["POST", "/indexes/{index}/facet-search", { facetName: "tag", filter: "nothing = 1" }],
  ]),
  overAll(
    "details of ranking scores",
    [
      search({ q: "film number", showRankingScoreDetails: true, showRankingScore: true, limit: 30 }),
      search({ q: "film", sort: ["price:asc"], showRankingScoreDetails: true }),
      search({ q: "", showRankingScoreDetails: true }),
    ],
    ["named", "bare"],
  ),
  changing("settings and tasks", [
    ["GET", "/indexes/{index}/settings"],
    ["GET", "/indexes/{index}/settings/ranking-rules"],
    ["GET", "/indexes/{index}/settings/filterable-attributes"],
    ["GET", "/indexes/{index}/settings/sortable-attributes"],
    ["PUT", "/indexes/{index}/settings/ranking-rules", ["words"], { alone: true }],
    ["PUT", "/indexes/{index}/settings/filterable-attributes", ["title", "*"], { alone: true }],
    ["DELETE", "/indexes/{index}/settings/filterable-attributes", undefined, { alone: true }],
    ["DELETE", "/indexes/{index}/settings/ranking-rules", undefined, { alone: true }],
    ["DELETE", "/indexes/{index}/settings/sortable-attributes", undefined, { alone: true }],
    ["DELETE", "/indexes/{index}/settings", undefined, { alone: true }],
    ["GET", "/indexes/{index}/settings"],
  ]),
  changing("errors of tasks", [
    ["POST", "/indexes/{index}/documents/delete", { filter: "nothing = 1" }, { alone: true }],
    ["POST", "/indexes/{index}/documents/delete", { filter: "overview > 3" }, { alone: true }],
    ["POST", "/indexes/{index}/documents/delete", { filter: "_miroir_shard EXISTS" }, { alone: true }],
    ["POST", "/indexes/{index}/documents", [{ title: "no id" }], { alone: true }],
    ["POST", "/indexes/{index}/documents", [{ id: "a b" }], { alone: true }],
    ["POST", "/indexes/{index}/documents", [{ id: 1, _geo: { lat: "x", lng: 1 } }], { alone: true }],
    ["POST", "/indexes/{index}/documents?primaryKey=other", [{ other: 1 }], { alone: true }],
    ["PATCH", "/indexes/{index}", { primaryKey: "title" }, { alone: true }],
  ]),
  overAll("names of indexes in errors", [
    search({ hybrid: { embedder: "nothing" }, q: "film" }),
    search({ hybrid: { embedder: "nothing" }, vector: [1, 2] }),
    search({ vector: [1, 2] }),
    search({ q: "film", locales: ["zzz"] }),
    search({ q: "film", filter: "tag = " }),
    search({ q: "film", filter: "price CONTAINS x" }),
    search({ q: "film", filter: "tag > 3 AND nothing > 3" }),
    ["POST", "/indexes/{index}/similar", { id: 1, embedder: "nothing" }],
    ["POST", "/indexes/{index}/similar", { id: 99, embedder: "nothing" }],
    ["GET", "/indexes/{index}/documents/99"],
    ["POST", "/indexes/{index}/search", { q: "film", media: { a: 1 } }],
    ["POST", "/indexes/{index}/documents/fetch", { retrieveVectors: true, limit: 2 }],
  ]),
];
