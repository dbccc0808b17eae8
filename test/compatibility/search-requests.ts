import type { Script, Step, StepOptions } from "./side-by-side.js";

const JSON_TYPE: StepOptions = { contentType: "application/json" };

const books = [
  { id: 1, title: "The Hobbit", author: "Tolkien", year: 1937, tags: ["fantasy", "Adventure"], rating: 4.5, _geo: { lat: 48.85, lng: 2.35 } },
  { id: 2, title: "Carol", author: "Highsmith", year: 1952, tags: ["romance"], rating: null, _geo: { lat: 45.46, lng: 9.19 } },
  { id: 3, title: "The Lord of the Rings", author: "Tolkien", year: 1954, tags: [], info: { pages: 1178, languages: ["en", "fr"] } },
  { id: 4, title: "Sunflower fields", author: "Éluard", year: 1930, tags: ["poetry", "nature"], rating: 3 },
  { id: 5, title: "sunflowers", author: "", year: 2001, tags: "poetry", available: true, _geo: { lat: "50.63", lng: "3.06" } },
  { id: 6, title: "A Hobit's tale", author: "Anon", year: 1999, available: false },
];

/** Each wrong in its own way, or at the edge of what is right. */
const parameters: readonly unknown[] = [
  ...["q", "offset", "limit", "page", "hitsPerPage", "attributesToRetrieve", "attributesToCrop", "cropLength", "attributesToHighlight", "showMatchesPosition", "showRankingScore", "showRankingScoreDetails", "filter", "sort", "distinct", "facets", "highlightPreTag", "highlightPostTag", "cropMarker", "matchingStrategy", "attributesToSearchOn", "hybrid", "vector", "retrieveVectors", "rankingScoreThreshold", "locales", "personalize", "media", "showPerformanceDetails"].flatMap(
    (name) => [-1, 1.5, "wrong value", [1], { a: 1 }, null, true].map((value) => ({ [name]: value })),
  ),
  { foo: 1 }, { Q: "x" }, { limits: 1 }, { hitPerPage: 1 }, { attributesToRetreive: [] }, { "show-ranking-score": true },
  { limit: 2 ** 53 }, { offset: 2 ** 53 }, { page: 0 }, { page: 1 }, { page: 2, hitsPerPage: 0 }, { hitsPerPage: 4, page: 2 }, { hitsPerPage: 4, limit: 1 }, { page: 1, offset: 1 }, { limit: 0 }, { limit: 2, offset: 5 }, { limit: 1001 }, { offset: 1000 },
  { matchingStrategy: "last" }, { matchingStrategy: "all" }, { matchingStrategy: "Last" }, { rankingScoreThreshold: 0 }, { rankingScoreThreshold: 1 }, { rankingScoreThreshold: 1.01 }, { rankingScoreThreshold: "0.5" },
  { cropLength: 0, attributesToCrop: ["title"], q: "hobbit" }, { attributesToCrop: ["title:2"], q: "hobbit" }, { attributesToCrop: ["*:1", "title:x"], q: "the" }, { attributesToHighlight: ["nope", "ti*"], q: "the" },
  { locales: ["eng"] }, { locales: ["en"] }, { locales: ["xx"] }, { locales: [] },
  { vector: [1, 2] }, { vector: ["a"] }, { hybrid: {} }, { hybrid: { embedder: "default" } }, { hybrid: { semanticRatio: 0.5 } }, { hybrid: { embedder: "x", semanticRatio: 2 } }, { hybrid: { embedder: "x", foo: 1 } }, { vector: [1], hybrid: { embedder: "x" } },
  { attributesToSearchOn: ["title"], q: "hobbit" }, { attributesToSearchOn: ["nope"], q: "hobbit" }, { attributesToSearchOn: [], q: "hobbit" }, { attributesToSearchOn: ["tit*"], q: "hobbit" },
  { q: "hobbit", showRankingScore: true, showRankingScoreDetails: true, showMatchesPosition: true }, { q: "x".repeat(1_000) }, { q: " " }, { q: '"the hobbit"' }, { q: "hobbit -tale" }, { q: "tolkien", facets: ["author"] },
];

const filters: readonly unknown[] = [
  "year > 1950", "year 1937 TO 1954", "author = tolkien", "author != Tolkien", "tags IN [poetry, 'romance']", "tags NOT IN [poetry]", "rating IS NULL", "rating IS NOT NULL", "rating EXISTS", "rating NOT EXISTS", "NOT rating EXISTS", "tags IS EMPTY", "author IS NOT EMPTY",
  "NOT (year < 1950 OR author = Anon)", "info.pages = 1178", "available = true", "author STARTS WITH to", "author CONTAINS o", "author NOT CONTAINS o", "_geoRadius(48.85, 2.35, 300000)", "_geoBoundingBox([51, 10], [45, 2])", "_geoPolygon([48, 2], [49, 2], [49, 3])", "missing = 1", ["year > 1930", ["author = Tolkien", "tags = poetry"]],
  "", " ", [], [[]], [""], "a =", "= 1", "a", "a = 1 b", "nof = 1", "(a = 1", "a = 1)", "year IN [1", "year IN 1", "year IN []", "year = 'x", 'year = "x', "_geo = 1", "_geoRadius(1)", "_geoRadius(1,2)", "_geoRadius(91,2,3)", "_geoRadius(1,181,3)", "_geoRadius(a,2,3)", "_geoRadius()", "_geoBoundingBox([1,2],[3])", "_geoBoundingBox([1,2],[3,4])", "_geoBoundingBox(1,2,3,4)", "_geoPoint(1,2)", "_geoDistance < 3", "_geoPolygon([1,2])", "year OR", "year = AND", "AND year = 1", "NOT", "OR", "year", "year year", "year =", "year > x", "year TO 3", "year 1 TO", "year 1 TO x", "a = 1 AND (year = 1937 OR nof > 3)", "_miroir_shard = 1", "_miroir_seq EXISTS", "_miroir_shard IN ['(']", "year = 1 AND year", "year=1937&&author=x", "year == 1", "year <> 1", "author LIKE x", "author = 'it''s'", "author = \"a\\\"b\"", "year IS", "year IS NOT", "year NOT", "year EXISTS x", "author = é", "author = a b",
  1, true, {}, [1], [[1]], [["a = 1", ["b"]]], [["year = 1937", "nof = 2"]], [["year = 1937"], "x ="],
];

const sorts: readonly unknown[] = [["year:desc"], ["rating:asc", "year:asc"], ["title:asc"], ["_geoPoint(50, 3):asc"], ["_geoPoint(50, 3):desc"], ["_geoPoint(50,3):asc", "year:desc"], "year:asc", [], ["year"], ["year:up"], ["nos:asc"], ["nos"], [""], [":asc"], ["year:asc:desc"], ["_geoPoint(1):asc"], ["_geoPoint(1,2)"], ["_geoPoint(91,2):asc"], ["_geoPoint(1,200):asc"], ["_geoPoint(a,b):asc"], ["_geo:asc"], ["_geoDistance:asc"], ["_geoRadius(1,2,3):asc"], ["_miroir_seq:asc"], ["_miroir_shard:desc"], [1], ["year:asc", null]];

const facets: readonly unknown[] = [["author"], ["author", "tags", "year", "rating", "available"], ["*"], ["nof"], ["nof", "author"], [], ["info.languages"], ["_miroir_shard"], ["_geo"], ["title"], "author", ["author", "author"]];
const distincts: readonly unknown[] = ["author", "nof", "title", "_miroir_shard", "", "*", "info.pages"];

/** The parameters as a GET takes them. */
const queries: readonly string[] = [
  "q=hobbit&limit=1&facets=author,year&attributesToRetrieve=id,title&sort=year:asc", "filter=year%20%3E%201950&showRankingScore=true", "limit=x", "limit=-1", "limit=", "offset=1.5", "page=x", "page=0", "page=1&hitsPerPage=2", "hitsPerPage=x", "foo=x", "Q=x", "limits=1", "q=", "q=a&q=hobbit", "attributesToRetrieve=", "attributesToRetrieve=*", "attributesToCrop=title:2&q=lord", "cropLength=x", "cropLength=-1",
  "attributesToHighlight=*&q=lord&highlightPreTag=%3Cb%3E&highlightPostTag=%3C/b%3E", "showMatchesPosition=true&q=lord", "showMatchesPosition=x", "showRankingScore=1", "showRankingScoreDetails=TRUE", "showRankingScoreDetails=true&q=lord", "filter=", "filter=nof=1", "filter=year%20%3D", "filter=%5B%22year%20%3E%201950%22%5D", "filter=%5B%22year%20%3E%201950%22%2C%5B%22id=1%22%5D%5D", "sort=", "sort=year", "sort=nos:asc", "sort=_geoPoint(50,3):asc,year:desc", "distinct=author", "distinct=", "distinct=nof", "facets=nof", "facets=", "facets=*",
  "matchingStrategy=all&q=the+hobbit", "matchingStrategy=x", "attributesToSearchOn=title&q=hobbit", "attributesToSearchOn=nope&q=hobbit", "rankingScoreThreshold=0.5&q=hobbit", "rankingScoreThreshold=2", "rankingScoreThreshold=x", "locales=eng", "locales=xx", "locales=", "vector=1,2", "vector=a", "hybridEmbedder=x", "hybridSemanticRatio=0.5", "hybridEmbedder=x&hybridSemanticRatio=2", "retrieveVectors=true", "retrieveVectors=x", "cropMarker=%E2%80%A6", "q=%ff", "q=%E9", "q=a%20b+c", "&&q=hobbit&", "q", "showPerformanceDetails=x", "personalizeUserContext=x", "media=x",
];

const post = (body: unknown): Step => ["POST", "/indexes/books/search", JSON.stringify(body), JSON_TYPE];

/** Searches, of which most are wrong. */
export const searchScripts: readonly Script[] = [
  {
    name: "searches",
    steps: [
      ["PATCH", "/indexes/books/settings", { filterableAttributes: ["author", "year", "tags", "rating", "info", "_geo", "available", "missing"], sortableAttributes: ["year", "title", "_geo", "rating"] }, { pipelined: true }],
      ["POST", "/indexes/books/documents", books],
      ...parameters.map(post),
      ...filters.map((filter) => post({ filter })),
      ...sorts.map((sort) => post({ sort })),
      ...facets.map((one) => post({ facets: one })),
      ...distincts.map((distinct) => post({ distinct })),
      ...["null", "1", '"x"', "[]", "{", "", '{"q":"a"} x', '{"q":"a","q":"hobbit"}', '{"q":"\\ud800"}', '{"limit":01}', '{"limit":1e1}', '{"limit":2.0}', '{"limit":99999999999999999999999}'].map(
        (body): Step => ["POST", "/indexes/books/search", body, JSON_TYPE],
      ),
      ["POST", "/indexes/books/search"],
      ["POST", "/indexes/books/search", "{}", { contentType: "text/plain" }],
      ["POST", "/indexes/books/search?q=hobbit", "{}", JSON_TYPE],
      ...queries.map((query): Step => ["GET", `/indexes/books/search?${query}`]),
    ],
  },
  {
    name: "searches without any settings or documents",
    steps: [
      ["POST", "/indexes", { uid: "bare" }],
      ...[{}, { q: "x" }, { filter: "a = 1" }, { filter: "_geoRadius(1,2,3)" }, { sort: ["a:asc"] }, { sort: ["_geoPoint(1,2):asc"] }, { facets: ["a"] }, { facets: ["*"] }, { distinct: "a" }, { page: 1 }, { hybrid: { embedder: "default" } }, { attributesToSearchOn: ["a"] }].map(
        (body): Step => ["POST", "/indexes/bare/search", body],
      ),
      ["GET", "/indexes/bare/documents"],
      ["GET", "/indexes/bare/documents/1"],
      ["GET", "/indexes/bare/stats"],
      ["POST", "/indexes/bare/documents/fetch", { filter: "a = 1" }],
      ["POST", "/indexes/bare/documents/fetch", { sort: ["a:asc"] }],
      ["POST", "/indexes/bare/documents/fetch", { ids: [1] }],
      ["POST", "/indexes/bare/documents/delete", { filter: "a = 1" }, { pipelined: true }],
      ["POST", "/indexes/bare/documents/delete-batch", [1], { pipelined: true }],
      ["DELETE", "/indexes/bare/documents/1", undefined, { pipelined: true }],
      ["PUT", "/indexes/bare/settings/distinct-attribute", '"kind"', { ...JSON_TYPE, pipelined: true }],
      ["PATCH", "/indexes/bare/settings", { filterableAttributes: [{ attributePatterns: ["a*"], features: { filter: { comparison: false, equality: true }, facetSearch: false } }], sortableAttributes: ["b"], rankingRules: ["words", "typo"] }],
      ...[{ filter: "abc > 1" }, { filter: "abc = 1" }, { filter: "b = 1" }, { sort: ["b:asc"] }, { sort: ["a:asc"] }, { facets: ["abc"] }, { facets: ["b"] }, { distinct: "abc" }, { distinct: "b" }, {}].map(
        (body): Step => ["POST", "/indexes/bare/search", body],
      ),
    ],
  },
];
