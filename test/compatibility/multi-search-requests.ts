import type { SeededRandom } from "../support/random.js";

/** A multi-search with the kind under which its result is reported. */
export interface MultiSearchRequestCase {
  readonly kind: string;
  readonly body: unknown;
}

/** A document of the sample. */
export interface Film {
  readonly id: number;
  readonly title: string;
  readonly year: number;
  readonly decade: string;
  readonly genres: readonly string[];
  readonly cast: readonly string[];
}

/** Settings of the two indexes that requests go to: `films`, and `reels` with one facet in another order. */
export const INDEXES = {
  films: {
    filterableAttributes: ["genres", "decade", "year"],
    sortableAttributes: ["year", "title"],
    faceting: { sortFacetValuesBy: { genres: "count" } },
  },
  reels: {
    filterableAttributes: ["genres", "decade", "year"],
    sortableAttributes: ["year", "title"],
    faceting: { sortFacetValuesBy: { genres: "count", decade: "count" }, maxValuesPerFacet: 60 },
  },
} as const;

/** Indexes with what else rules know: places, vectors, rules in another order, a distinct attribute, hidden attributes. */
export const PLACES = {
  places: {
    filterableAttributes: ["genres", "decade", "year", "_geo"],
    sortableAttributes: ["year", "title", "_geo"],
    rankingRules: ["words", "typo", "year:desc", "proximity", "attribute", "sort", "exactness"],
    embedders: { v: { source: "userProvided", dimensions: 3 } },
  },
  spots: {
    filterableAttributes: ["genres", "decade", "year", "_geo"],
    sortableAttributes: ["year", "title", "_geo"],
    rankingRules: ["sort", "words", "typo", "proximity", "attributeRank", "exactness"],
    displayedAttributes: ["id", "title", "genres"],
    distinctAttribute: "title",
    embedders: { v: { source: "userProvided", dimensions: 3 } },
  },
} as const;

/** A film as a place. */
export function placeOf(film: Film): Record<string, unknown> {
  const { id } = film;
  const turned = [Math.sin(id), Math.cos(id * 1.7), Math.sin(id * 2.3 + 1)];
  return {
    ...film,
    ...(id % 7 === 0 ? {} : { _geo: { lat: ((id * 7) % 170) - 85, lng: ((id * 13) % 360) - 180 } }),
    _vectors: { v: turned.map((value) => Math.round(value * 1000) / 1000) },
  };
}

/** Seeded sound requests over {@link PLACES}. */
export function placeRequests(
  films: readonly Film[],
  random: SeededRandom,
  count: number,
): MultiSearchRequestCase[] {
  const q = (): string => {
    const words = random.pick(films).title.split(" ");
    return words.filter((word) => word.length > 2)[0] ?? "night";
  };
  const vector = (): number[] => [0, 1, 2].map(() => Math.round(random.next() * 2000 - 1000) / 1000);
  const weight = (): Record<string, unknown> =>
    random.chance(0.5) ? { federationOptions: { weight: random.pick([0.3, 1, 1.5]) } } : {};
  const federation = (): Record<string, unknown> =>
    random.pick([{}, { limit: 6, offset: 2 }, { page: 2, hitsPerPage: 5 }]);
  const uids = (): [string, string] =>
    random.pick([["places", "spots"] as const, ["spots", "places"] as const]).slice() as [string, string];
  const makers: Readonly<Record<string, () => unknown>> = {
    "geo, distinct in settings": () => {
      const sort = [`_geoPoint(${random.below(80)}, ${random.below(170)}):${random.pick(["asc", "desc"])}`];
      return {
        queries: [
          { indexUid: "spots", sort, filter: "year > 1995", ...weight() },
          { indexUid: "spots", sort, filter: "year < 2000", ...weight() },
        ],
        federation: federation(),
      };
    },
    "rules in between": () => ({
      queries: [
        { indexUid: "places", q: q(), ...weight(), showRankingScore: true },
        { indexUid: "places", q: `${q()} ${q()}`, ...weight() },
      ],
      federation: federation(),
    }),
    "sorted first, distinct in settings": () => ({
      queries: [
        { indexUid: "spots", q: q(), sort: ["year:asc"], ...weight() },
        { indexUid: "spots", q: q(), sort: ["title:asc"], ...weight(), showRankingScoreDetails: true },
      ],
      federation: federation(),
    }),
    "semantic, distinct in settings": () => {
      const [one, other] = uids();
      const hybrid = { embedder: "v", semanticRatio: 1 };
      return {
        queries: [
          {
            indexUid: one,
            vector: vector(),
            hybrid,
            ...weight(),
            retrieveVectors: one === "places" && random.chance(0.5),
          },
          { indexUid: other, vector: vector(), hybrid, ...weight(), filter: "year > 1995" },
        ],
        federation: federation(),
      };
    },
    hybrid: () => ({
      queries: [
        { indexUid: "films", q: q(), ...weight() },
        {
          indexUid: "places",
          q: q(),
          vector: vector(),
          hybrid: { embedder: "v", semanticRatio: random.pick([0.2, 0.5, 0.8]) },
          ...weight(),
        },
      ],
      federation: federation(),
    }),
    threshold: () => ({
      queries: [
        { indexUid: "films", q: q(), rankingScoreThreshold: random.pick([0.3, 0.7, 0.9]), ...weight() },
        { indexUid: "reels", q: q(), ...weight() },
      ],
      federation: federation(),
    }),
    "distinct, several values": () => ({
      queries: [
        { indexUid: "films", q: q(), ...weight() },
        { indexUid: "reels", q: q(), ...weight() },
      ],
      federation: { distinct: "genres", limit: 50, facetsByIndex: { films: ["decade"] } },
    }),
    "distinct, one index": () => ({
      queries: [
        { indexUid: "films", q: q(), ...weight() },
        { indexUid: "films", q: q(), ...weight(), attributesToRetrieve: ["id"] },
      ],
      federation: { distinct: "year", limit: 40, facetsByIndex: { films: ["year", "genres"] } },
    }),
  };
  const kinds = Object.keys(makers);
  return Array.from({ length: count }, (_, at) => {
    const kind = kinds[at % kinds.length] ?? "geo";
    return { kind, body: makers[kind]?.() };
  });
}

/** Seeded sound requests over both indexes. */
export function soundRequests(
  films: readonly Film[],
  random: SeededRandom,
  count: number,
): MultiSearchRequestCase[] {
  const words = (film: Film): string[] => film.title.split(" ").filter((word) => word.length > 2);
  const q = (): string => {
    const own = words(random.pick(films));
    const word = own.length === 0 ? "night" : random.pick(own);
    if (random.chance(0.2)) return word.slice(0, 3);
    if (random.chance(0.2)) return `${word} ${random.pick(["love", "of the", "night", "man"])}`;
    return word;
  };
  const filter = (): unknown => {
    const film = random.pick(films);
    return random.pick<unknown>([
      `decade = "${film.decade}"`,
      `year > ${film.year}`,
      [`genres = "${film.genres[0] ?? "Drama"}"`],
      [[`year = ${film.year}`, `decade = "${film.decade}"`], "year > 1900"],
    ]);
  };
  const uid = (): string => random.pick(["films", "reels"]);
  const shown = (): Record<string, unknown> => ({
    ...(random.chance(0.3) ? { attributesToRetrieve: ["id", "title"] } : {}),
    ...(random.chance(0.2) ? { showRankingScore: true } : {}),
    ...(random.chance(0.15) ? { showRankingScoreDetails: true } : {}),
    ...(random.chance(0.2) ? { attributesToHighlight: ["title"] } : {}),
    ...(random.chance(0.1) ? { showMatchesPosition: true } : {}),
    ...(random.chance(0.15) ? { matchingStrategy: "all" } : {}),
  });
  const weight = (): Record<string, unknown> =>
    random.chance(0.4) ? { federationOptions: { weight: random.pick([0, 0.5, 0.9, 1, 1.1, 3]) } } : {};
  const page = (): Record<string, unknown> =>
    random.pick([
      {},
      {},
      { limit: 5 },
      { limit: 7, offset: random.below(20) },
      { page: 1 + random.below(3), hitsPerPage: 6 },
      { hitsPerPage: 10 },
      { page: 2 },
      { limit: 0 },
    ]);
  const makers: Readonly<Record<string, () => unknown>> = {
    plain: () => ({
      queries: [
        { indexUid: uid(), q: q(), ...shown(), ...page() },
        { indexUid: uid(), q: q(), facets: ["genres", "year"], limit: 3 },
        { indexUid: uid(), filter: filter(), sort: ["year:desc", "title:asc"], limit: 4 },
      ],
    }),
    "one query": () => ({
      queries: [{ indexUid: uid(), q: q(), ...shown(), ...weight() }],
      federation: page(),
    }),
    "two indexes": () => ({
      queries: [
        { indexUid: "films", q: q(), ...shown(), ...weight() },
        { indexUid: "reels", q: q(), ...shown(), ...weight() },
      ],
      federation: page(),
    }),
    "two indexes sorted": () => {
      const sort = random.pick([["year:asc"], ["year:desc"], ["title:asc"]]);
      return {
        queries: [
          { indexUid: "reels", q: q(), sort, ...weight() },
          { indexUid: "films", q: q(), sort, filter: filter(), ...weight() },
        ],
        federation: page(),
      };
    },
    "placeholder sorted": () => ({
      queries: [
        { indexUid: "reels", sort: ["year:desc"], filter: filter() },
        { indexUid: "films", sort: ["year:desc"], ...weight() },
      ],
      federation: page(),
    }),
    facets: () => ({
      queries: [
        { indexUid: "films", q: q(), ...weight() },
        { indexUid: "reels", q: q(), filter: filter() },
      ],
      federation: {
        ...page(),
        facetsByIndex: random.pick([
          { films: ["genres", "year"], reels: ["decade"] },
          { films: ["genres"] },
          { films: [], reels: null },
        ]),
      },
    }),
    "merged facets": () => ({
      queries: [
        { indexUid: "films", q: q() },
        { indexUid: "reels", q: q(), ...weight() },
      ],
      federation: {
        ...page(),
        ...random.pick([
          { facetsByIndex: { films: ["genres", "year"], reels: ["genres"] }, mergeFacets: {} },
          { facetsByIndex: { films: ["gen*"], reels: ["genres", "year"] }, mergeFacets: {} },
          { facetsByIndex: { films: ["year"], reels: ["year"] }, mergeFacets: { maxValuesPerFacet: 3 } },
          { facetsByIndex: { films: ["decade"], reels: ["year"] }, mergeFacets: { maxValuesPerFacet: 50 } },
        ]),
      },
    }),
    "same index, other words": () => {
      const index = uid();
      return {
        queries: [
          { indexUid: index, q: q(), ...shown(), ...weight() },
          { indexUid: index, q: q(), ...weight() },
        ],
        federation: { ...page(), ...(random.chance(0.5) ? { facetsByIndex: { [index]: ["genres"] } } : {}) },
      };
    },
    "same index, other filters": () => {
      const [index, words] = [uid(), random.chance(0.5) ? { q: q() } : {}];
      return {
        queries: [
          { indexUid: index, ...words, filter: filter(), ...weight() },
          { indexUid: index, ...words, filter: filter() },
          ...(random.chance(0.3) ? [{ indexUid: index, ...words }] : []),
        ],
        federation: { ...page(), ...(random.chance(0.5) ? { facetsByIndex: { [index]: ["decade"] } } : {}) },
      };
    },
    distinct: () => ({
      queries: [
        { indexUid: "films", q: q(), ...weight() },
        { indexUid: "reels", q: q(), attributesToRetrieve: ["title"] },
      ],
      federation: { ...page(), distinct: random.pick(["year", "decade"]) },
    }),
  };
  const kinds = Object.keys(makers);
  return Array.from({ length: count }, (_, at) => {
    const kind = kinds[at % kinds.length] ?? "plain";
    return { kind, body: makers[kind]?.() };
  });
}

const two = [{ indexUid: "films", q: "love" }, { indexUid: "reels" }];

/** Requests that are wrong, or at the edge of what is right; answers are compared byte for byte. */
export const edgeRequests: readonly unknown[] = [
  [],
  "text",
  {},
  { queries: null },
  { queries: {} },
  { queries: [] },
  { queries: [], federation: {} },
  { queries: [], federation: { page: 0 } },
  { queries: [1] },
  { queries: [{}] },
  { queries: [{ q: "love" }] },
  { queries: [{ indexUid: 5 }] },
  { queries: [{ indexUid: "no good" }] },
  { queries: [{ indexUid: "" }] },
  { queries: [{ indexUid: "missing" }] },
  { queries: [...two, { indexUid: "missing" }] },
  { queries: [{ indexUid: "missing" }, { indexUid: "films", filter: "nope = 1" }] },
  { queries: [{ indexUid: "films", filter: "nope = 1" }, { indexUid: "missing" }] },
  { queries: [two[0], { indexUid: "films", filter: "nope = 1" }] },
  { queries: [two[0], { indexUid: "films", filter: "year >" }] },
  { queries: [two[0], { indexUid: "films", sort: ["id:asc"] }] },
  { queries: [two[0], { indexUid: "films", sort: ["id"] }] },
  { queries: [two[0], { indexUid: "films", facets: ["title"] }] },
  { queries: [two[0], { indexUid: "films", distinct: "title" }] },
  { queries: [two[0], { indexUid: "films", attributesToSearchOn: ["nope"] }] },
  { queries: [two[0], { indexUid: "films", hybrid: { embedder: "none" }, q: "x" }] },
  { queries: [two[0], { indexUid: "films", limit: "many" }] },
  { queries: [two[0], { indexUid: "films", limit: -1 }] },
  { queries: [two[0], { indexUid: "films", limit: 1.5 }] },
  { queries: [two[0], { indexUid: "films", limit: null, offset: null, q: "night" }] },
  { queries: [two[0], { indexUid: "films", showRankingScore: "yes" }] },
  { queries: [two[0], { indexUid: "films", foo: 1 }] },
  { queries: [two[0], { indexUid: "films", federationOption: {} }] },
  { queries: [two[0], { indexUid: "films", federationOptions: {} }] },
  { queries: [two[0], { indexUid: "films", federationOptions: null, q: "man" }] },
  { queries: [{ indexUid: "missing" }, { indexUid: "films", federationOptions: {} }] },
  { queries: [{ indexUid: "films", useNetwork: false, q: "man" }] },
  { queries: [{ indexUid: "films", useNetwork: true }] },
  { queries: [two[0], { indexUid: "films", useNetwork: true }] },
  { queries: two, foo: 1 },
  { queries: two, federations: {} },
  { queries: two, federation: null },
  { queries: two, federation: 5 },
  { queries: two, federation: [] },
  { queries: two, federation: {} },
  { queries: two, federation: { foo: 1 } },
  { queries: two, federation: { limit: "x" } },
  { queries: two, federation: { limit: null } },
  { queries: two, federation: { offset: -1 } },
  { queries: two, federation: { page: null, hitsPerPage: null } },
  { queries: two, federation: { page: "1" } },
  { queries: two, federation: { hitsPerPage: 0 } },
  { queries: two, federation: { page: 0 } },
  { queries: two, federation: { limit: 3, offset: 999_999 } },
  { queries: two, federation: { facetsByIndex: null } },
  { queries: two, federation: { facetsByIndex: [] } },
  { queries: two, federation: { facetsByIndex: { "no good": ["x"] } } },
  { queries: two, federation: { facetsByIndex: { films: "genres" } } },
  { queries: two, federation: { facetsByIndex: { films: ["title"] } } },
  { queries: two, federation: { facetsByIndex: { reels: ["title"] } } },
  { queries: two, federation: { facetsByIndex: { missing: ["title"] } } },
  { queries: two, federation: { facetsByIndex: { missing: null } } },
  { queries: [two[0]], federation: { facetsByIndex: { reels: ["title"] } } },
  { queries: [two[0]], federation: { facetsByIndex: { reels: ["genres"] } } },
  { queries: [two[0]], federation: { facetsByIndex: { reels: null } } },
  { queries: two, federation: { mergeFacets: null } },
  { queries: two, federation: { mergeFacets: {} } },
  { queries: two, federation: { mergeFacets: 1 } },
  { queries: two, federation: { mergeFacets: { foo: 1 } } },
  { queries: two, federation: { mergeFacets: { maxValuesPerFacet: "x" } } },
  { queries: two, federation: { mergeFacets: {}, facetsByIndex: { films: ["decade"], reels: ["decade"] } } },
  {
    queries: [two[0]],
    federation: { mergeFacets: {}, facetsByIndex: { films: ["decade"], reels: ["decade"] } },
  },
  { queries: two, federation: { distinct: "title" } },
  { queries: two, federation: { distinct: 5 } },
  { queries: [{ ...two[0], distinct: "year" }], federation: { distinct: "year" } },
  { queries: two, federation: { showPerformanceDetails: "x" } },
  { queries: two, federation: { personalize: { userContext: "x" } } },
  { queries: two, federation: { personalize: null } },
  { queries: [{ ...two[0], limit: 1 }], federation: {} },
  { queries: [{ ...two[0], offset: 1 }], federation: {} },
  { queries: [{ ...two[0], page: 1 }], federation: {} },
  { queries: [{ ...two[0], hitsPerPage: 1 }], federation: {} },
  { queries: [{ ...two[0], limit: null }], federation: { limit: 2 } },
  { queries: [{ ...two[0], facets: ["genres"] }], federation: {} },
  { queries: [{ ...two[0], facets: [] }], federation: { limit: 2 } },
  { queries: [{ ...two[0], showPerformanceDetails: false }], federation: {} },
  { queries: [{ ...two[0], personalize: { userContext: "x" } }], federation: {} },
  { queries: [{ ...two[0], federationOptions: { weight: -1 } }], federation: {} },
  { queries: [{ ...two[0], federationOptions: { weight: "1" } }], federation: {} },
  { queries: [{ ...two[0], federationOptions: { foo: 1 } }], federation: {} },
  { queries: [{ ...two[0], federationOptions: { remote: "other" } }], federation: {} },
  { queries: [{ ...two[0], federationOptions: { remote: 5 } }], federation: {} },
  { queries: [{ ...two[0], federationOptions: { queryPosition: 1 } }], federation: {} },
  { queries: [{ ...two[0], federationOptions: { queryPosition: -1 } }], federation: {} },
  { queries: [{ indexUid: "missing", limit: 1 }], federation: {} },
  { queries: [{ indexUid: "missing" }], federation: {} },
  {
    queries: [
      { indexUid: "reels", filter: "nope = 1" },
      { indexUid: "films", filter: "none = 1" },
    ],
    federation: {},
  },
  {
    queries: [
      { indexUid: "reels", filter: "nope = 1" },
      { indexUid: "films", filter: "year >" },
    ],
    federation: {},
  },
  { queries: [{ indexUid: "reels", sort: ["id:asc"] }, { indexUid: "missing" }], federation: {} },
  { queries: [{ indexUid: "reels", hybrid: { embedder: "x" }, q: "y" }], federation: {} },
  {
    queries: [
      { indexUid: "reels", q: "a", sort: ["year:asc"] },
      { indexUid: "films", q: "b", sort: ["year:desc"] },
    ],
    federation: {},
  },
  {
    queries: [
      { indexUid: "films", sort: ["year:asc"] },
      { indexUid: "films", q: "b", sort: ["year:asc"] },
    ],
    federation: {},
  },
  {
    queries: [
      { indexUid: "films", sort: ["year:asc", "year:desc"] },
      { indexUid: "reels", q: "b", matchingStrategy: "all" },
    ],
    federation: {},
  },
  {
    queries: [
      { indexUid: "films", sort: ["title:asc", "year:desc"] },
      { indexUid: "reels", sort: ["title:asc", "year:asc"] },
      { indexUid: "reels", q: "x" },
    ],
    federation: {},
  },
];
