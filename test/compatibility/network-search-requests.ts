import type { Script, Step } from "./side-by-side.js";

const METADATA = { headers: { "meili-include-metadata": "true" } };

const LIBRARY: readonly Step[] = [
  [
    "PATCH",
    "/indexes/films/settings",
    { filterableAttributes: ["genre", "year"], sortableAttributes: ["year"] },
  ],
  ["PATCH", "/indexes/books/settings", { filterableAttributes: ["genre"] }],
  [
    "POST",
    "/indexes/films/documents",
    [
      { id: 1, title: "The old man", genre: "drama", year: 1990 },
      { id: 2, title: "A man alone", genre: ["drama", "crime"], year: 1955 },
      { id: 3, title: "Manhunt", genre: "crime", year: 2004 },
      { id: 4, title: "Sea and land", genre: "nature", year: 1970 },
    ],
  ],
  [
    "POST",
    "/indexes/books/documents",
    [
      { id: 1, title: "The old man and the sea", genre: "classic" },
      { id: 2, title: "Land of crime", genre: "crime" },
    ],
  ],
];

const search = (body: unknown): Step => ["POST", "/multi-search", body, METADATA];

const onServer = (remote: unknown, indexUid = "films", rest: object = {}): object => ({
  indexUid,
  q: "man",
  ...rest,
  federationOptions: { remote },
});
const films = { indexUid: "films", q: "man" };
const books = { indexUid: "books", q: "man" };

/** What a query may say of the network, for a server that calls itself `ms-0` in the end. */
const SEARCHES: readonly Step[] = [
  { federation: {}, queries: [onServer("ms-0")] },
  { federation: {}, queries: [onServer("ms-0"), books] },
  { federation: {}, queries: [books, onServer("ms-0"), onServer("ms-0", "books", { q: "sea" })] },
  { federation: { limit: 1, offset: 1 }, queries: [onServer("ms-0"), onServer("ms-0", "books")] },
  { federation: { page: 1, hitsPerPage: 2 }, queries: [onServer("ms-0"), books] },
  { federation: {}, queries: [{ ...films, federationOptions: { remote: "ms-0", weight: 0.5 } }, books] },
  {
    federation: {},
    queries: [
      onServer("ms-0", "films", { showRankingScore: true, sort: ["year:asc"], filter: "year > 1960" }),
    ],
  },
  {
    federation: { facetsByIndex: { films: ["genre", "year"], books: ["genre"] } },
    queries: [onServer("ms-0"), onServer("ms-0", "books")],
  },
  {
    federation: { facetsByIndex: { films: ["genre"], books: ["genre"] }, mergeFacets: {} },
    queries: [onServer("ms-0"), books],
  },
  { federation: { distinct: "genre" }, queries: [onServer("ms-0"), onServer("ms-0", "books")] },
  { federation: {}, queries: [onServer("ms-0", "films", { q: "nothing here" })] },
  { federation: {}, queries: [onServer("ms-1")] },
  { federation: {}, queries: [films, onServer("ms-1")] },
  { federation: {}, queries: [onServer("ms-0"), onServer("ms-1")] },
  { federation: {}, queries: [onServer("ms-1"), onServer("ms-0", "absent")] },
  { federation: {}, queries: [onServer("ms-0"), onServer("ms-0", "absent")] },
  { federation: {}, queries: [onServer("ms-0", "films", { filter: "title = x" })] },
  { federation: {}, queries: [onServer("ms-0", "films", { limit: 3 }), onServer("ms-1")] },
  { federation: { facetsByIndex: { films: ["title"] } }, queries: [onServer("ms-0")] },
  { federation: {}, queries: [onServer("")] },
  { federation: {}, queries: [onServer(null)] },
  { federation: {}, queries: [onServer(5)] },
  { federation: {}, queries: [{ ...films, useNetwork: false }] },
  { federation: {}, queries: [{ ...films, useNetwork: null }] },
  { federation: {}, queries: [{ ...films, useNetwork: 1 }] },
  { federation: {}, queries: [{ ...onServer("ms-0"), useNetwork: true }] },
  { federation: {}, queries: [{ ...onServer("ms-0"), useNetwork: false }] },
  { queries: [onServer("ms-0")] },
  { queries: [{ ...films, useNetwork: false }] },
].map(search);

/** `useNetwork` where the network has no other server. */
const WHOLE_NETWORK: readonly Step[] = [
  { federation: {}, queries: [{ ...films, useNetwork: true }] },
  { federation: {}, queries: [{ ...films, useNetwork: true }, books] },
  { federation: {}, queries: [{ ...films, useNetwork: true }, onServer("ms-0", "books")] },
].map(search);

/** Federated searches that name servers of the experimental network, before and after there is one. */
export const networkSearchScript: Script = {
  name: "searches that name servers of the network",
  alone: true,
  steps: [
    ...LIBRARY,
    ...SEARCHES,
    search({ federation: {}, queries: [{ ...films, useNetwork: true }] }),
    search({ federation: {}, queries: [{ ...films, federationOptions: { queryPosition: 3 } }] }),
    ["PATCH", "/experimental-features", { network: true }],
    ...SEARCHES,
    ["PATCH", "/network", { self: "ms-0" }],
    ...SEARCHES,
    ["PATCH", "/network", { remotes: { "ms-0": { url: "http://localhost:7700" } } }],
    ...SEARCHES,
    ...WHOLE_NETWORK,
    ["PATCH", "/network", { self: null, remotes: null }],
    ...SEARCHES,
  ],
};

/** What a fleet refuses and a node does, once the network has `ms-0`, the server itself, and `ms-1`. */
export const refusedSearches: readonly unknown[] = [
  { federation: {}, queries: [onServer("ms-1")] },
  { federation: {}, queries: [films, onServer("ms-1")] },
  { federation: {}, queries: [{ ...films, useNetwork: true }] },
  { federation: {}, queries: [{ ...films, federationOptions: { queryPosition: 3 } }] },
  { queries: [{ ...films, useNetwork: true }] },
];
