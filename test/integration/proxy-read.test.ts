import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { MeilisearchHttp } from "../support/meilisearch-http.js";
import { realNodeOnly } from "../support/nodes.js";
import { type ReadFleet, startReadFleet } from "./proxy-read-fleet.js";

/** Documents that order, filter, locate and group well, with keys of both kinds and numbers that no double holds. */
function corpus(): string[] {
  const words = ["river", "Stone", "élan", "amber", "winter", "harbour", "lantern", "orchard"];
  return Array.from({ length: 300 }, (_, at) => {
    const id = at % 3 === 0 ? `"k-${at}"` : String(at * 7 + 1);
    const word = (step: number) => words[(at * step + Math.floor(at / 8)) % words.length];
    const members = [
      `"id":${id}`,
      `"title":"${word(1)} ${word(3)}"`,
      `"overview":"the ${word(5)} and the ${word(7)} of ${word(2)} number ${at}"`,
      `"genre":"${word(1)}"`,
      `"tags":["${word(2)}","${word(3)}"]`,
      `"year":${1950 + (at % 40)}`,
      `"big":${12345678901234567000n + BigInt(at)}`,
      `"series":"s${at % 37}"`,
    ];
    if (at % 5 !== 0) members.push(`"_geo":{"lat":${(at % 60) - 30}.5,"lng":${(at % 170) - 80}.25}`);
    if (at % 11 === 0) members.push(`"note":null`);
    else members.push(`"rating":${(at % 50) / 10}`);
    const vector = [Math.sin(at), Math.cos(at * 1.7), Math.sin(at * 0.3)].map((value) => value.toFixed(4));
    members.push(`"_vectors":{"default":${at % 4 === 3 ? "null" : `[${vector.join(",")}]`}}`);
    return `{${members.join(",")}}`;
  });
}

const settings = {
  filterableAttributes: ["id", "genre", "year", "tags", "_geo", "series"],
  sortableAttributes: ["year", "title", "rating", "_geo", "tags"],
  searchableAttributes: ["title", "overview", "tags"],
  embedders: { default: { source: "userProvided", dimensions: 3 } },
};

const json = "application/json";

interface Comparison {
  readonly name: string;
  readonly method?: string;
  readonly path: string;
  readonly body?: unknown;
  readonly contentType?: string;
}

describe.each([
  { name: "three nodes, one group", groups: 1, nodesPerGroup: 3, replicationFactor: 1 },
  { name: "two groups of two, two copies in each", groups: 2, nodesPerGroup: 2, replicationFactor: 2 },
  { name: "one group of three, two copies", groups: 1, nodesPerGroup: 3, replicationFactor: 2 },
])("reads through the proxy: $name", (layout) => {
  let fleet: ReadFleet;

  beforeAll(async () => {
    fleet = await startReadFleet({ ...layout, shards: 12 }, [
      { uid: "books", primaryKey: "id", settings, documents: corpus() },
      {
        uid: "veiled",
        primaryKey: "id",
        settings: { ...settings, displayedAttributes: ["id", "title"] },
        documents: corpus(),
      },
      {
        uid: "parcels",
        primaryKey: "label.code",
        settings: {},
        documents: Array.from(
          { length: 1_300 },
          (_, at) => `{"label":{"at":${at},"code":"P-${at}"},"weight":${at % 7}}`,
        ),
      },
    ]);
  }, 120_000);
  afterAll(() => fleet?.stop());

  const search = (name: string, body: unknown): Comparison => ({
    name,
    method: "POST",
    path: "/indexes/books/search",
    body,
  });
  const fetched = (name: string, body: unknown): Comparison => ({
    name,
    method: "POST",
    path: "/indexes/books/documents/fetch",
    body,
  });
  const get = (path: string): Comparison => ({ name: `GET ${path}`, path });

  const veiled = (name: string, body: unknown): Comparison => ({
    name: `${name}, most attributes hidden`,
    method: "POST",
    path: "/indexes/veiled/search",
    body,
  });

  const reads: Comparison[] = [
    veiled("placeholder", { limit: 60 }),
    veiled("one word", { q: "river", limit: 60 }),
    veiled("sorted by what is hidden", { sort: ["year:desc"], limit: 60 }),
    veiled("distinct by what is hidden", { distinct: "series", limit: 40 }),
    veiled("facets of what is hidden", { q: "stone", facets: ["genre"] }),
    veiled("everything asked for", { q: "stone", attributesToRetrieve: ["*"], attributesToHighlight: ["*"] }),
    search("placeholder", {}),
    search("one word", { q: "river" }),
    search("two words", { q: "amber winter", limit: 50 }),
    search("typo", { q: "harbuor" }),
    search("filter", { q: "stone", filter: "year > 1970 AND genre = Stone" }),
    search("key", { filter: "id = 8", facets: ["genre"] }),
    search("keys", {
      q: "stone",
      filter: ["id IN [8, 15, '29', 7777777]", "year > 1900"],
      showRankingScore: true,
    }),
    search("either of two keys, page by page", { filter: [["id = 36", "id = 50"]], hitsPerPage: 1, page: 2 }),
    search("filter array", { filter: ["year > 1960", ["genre = river", "genre = amber"]] }),
    search("sort", { q: "the", sort: ["year:desc", "title:asc"], limit: 40 }),
    search("geo sort", { sort: ["_geoPoint(10,20):asc"], limit: 30 }),
    search("geo sort descending", { sort: ["_geoPoint(10,20):desc"], limit: 30 }),
    search("geo radius", { filter: "_geoRadius(0, 0, 3000000)" }),
    search("facets", { q: "", facets: ["genre", "year", "tags"] }),
    search("facets of a word", { q: "lantern", facets: ["series", "genre"] }),
    search("distinct", { distinct: "series", limit: 50 }),
    search("pages", { q: "orchard", page: 2, hitsPerPage: 7 }),
    search("offset", { q: "orchard", offset: 13, limit: 9 }),
    search("beyond the end", { q: "orchard", offset: 500, limit: 9 }),
    search("highlight and crop", {
      q: "winter",
      attributesToHighlight: ["*"],
      attributesToCrop: ["overview"],
      cropLength: 4,
    }),
    search("matches position", { q: "river", showMatchesPosition: true }),
    search("attributes", { q: "river", attributesToRetrieve: ["id", "title"] }),
    search("no attributes", { q: "river", attributesToRetrieve: [] }),
    search("score", { q: "river stone", showRankingScore: true }),
    search("search on", { q: "river", attributesToSearchOn: ["title"] }),
    search("last words", { q: "river zzzz amber", matchingStrategy: "last" }),
    search("all words", { q: "river amber", matchingStrategy: "all" }),
    search("separators as words", { q: "(),;[]{}" }),
    search("limit 0", { q: "river", limit: 0 }),
    search("vector", {
      vector: [0.5, 0.2, -0.3],
      hybrid: { embedder: "default", semanticRatio: 1 },
      limit: 30,
    }),
    search("hybrid", {
      q: "river stone",
      vector: [0.5, 0.2, -0.3],
      hybrid: { embedder: "default" },
      limit: 30,
    }),
    search("hybrid without a vector", { q: "a", hybrid: { embedder: "default" } }),
    search("mostly keyword", {
      q: "amber",
      vector: [0.1, 0.9, 0.3],
      hybrid: { embedder: "default", semanticRatio: 0.2 },
      filter: "year > 1960",
      retrieveVectors: true,
      limit: 10,
    }),
    get("/indexes/books/search"),
    get("/indexes/books/search?q=river&limit=5&sort=year:asc,title:desc"),
    get("/indexes/books/search?filter=%5B%22year%20%3E%201970%22%5D&attributesToRetrieve=id,year"),
    get("/indexes/books/search?filter=year%20%3E%201970&facets=genre,tags&page=3"),
    get("/indexes/books/search?sort=_geoPoint(1,%202):asc,year:desc&limit=7"),
    get("/indexes/books/documents"),
    get("/indexes/books/documents?limit=7&offset=11&fields=id,big"),
    get("/indexes/books/documents?fields=*&limit=3"),
    get("/indexes/books/documents?fields=&limit=3"),
    get("/indexes/books/documents?ids=k-3,8,nothere"),
    get("/indexes/books/documents?ids="),
    get("/indexes/books/documents?offset=299"),
    get("/indexes/books/documents?offset=5000"),
    get("/indexes/books/documents/k-0"),
    get("/indexes/books/documents/8?fields=id,big"),
    get("/indexes/books/documents/8?retrieveVectors=true"),
    fetched("everything by default", {}),
    fetched("filtered", { filter: ["year > 1970", "genre = amber"], limit: 200 }),
    fetched("by ids", { ids: ["k-3", 8, "15", "k-3"], limit: 3 }),
    fetched("sorted", { sort: ["year:desc", "rating:asc"], limit: 60, offset: 20 }),
    fetched("sorted by text", { sort: ["title:asc"], limit: 100, fields: ["id", "title"] }),
    fetched("sorted by what is not shown", { sort: ["tags:desc"], limit: 100, fields: ["id"] }),
    fetched("sorted by distance", { sort: ["_geoPoint(3,4):asc"], limit: 30 }),
    fetched("no fields", { fields: [], limit: 2 }),
    get("/indexes/books/settings"),
    get("/indexes/books/settings/ranking-rules"),
    get("/indexes/books/settings/filterable-attributes"),
    get("/indexes/books/settings/foreign-keys"),
    get("/health"),
  ];
  // What the embedded node answers differently from Meilisearch; the proxy answers as Meilisearch.
  const realReads: Comparison[] = [
    get("/indexes/books/settings/distinct-attribute"),
    get("/version"),
    get("/"),
  ];

  const expectAsOneNode = async ({ method = "GET", path, body }: Comparison): Promise<void> => {
    const [expected, actual] = await both(fleet, (http) => http.send(method, path, body));
    expect(actual.status).toBe(expected.status);
    expect(actual.headers["content-type"]).toBe(expected.headers["content-type"]);
    expect(comparable(actual.text)).toEqual(comparable(expected.text));
    expect(actual.text).not.toContain("_miroir_");
    expect(actual.headers["x-miroir-degraded"]).toBeUndefined();
  };
  it.each(reads)("$name", expectAsOneNode);
  realNodeOnly(it).each(realReads)("$name", expectAsOneNode);

  const refusals: Comparison[] = [
    search("unknown member", { qq: 1 }),
    search("misspelt member", { atributesToRetrieve: [] }),
    search("wrong type", { q: 1 }),
    search("negative", { limit: -1 }),
    search("null limit", { limit: null }),
    search("fraction for an integer", '{"limit":1.0}'),
    search("exponent for an integer", '{"page":1e1}'),
    fetched("fraction for an integer", '{"limit":1.0}'),
    search("wrong strategy", { matchingStrategy: "most" }),
    search("unfilterable", { filter: "title = x" }),
    search("unfilterable in an array", { filter: ["year > 1", ["title = x"]] }),
    search("broken filter", { filter: "year >" }),
    search("filter of another type", { filter: 3 }),
    search("unsortable", { sort: ["overview:asc"] }),
    search("sort without direction", { sort: ["year"] }),
    search("unknown facet", { facets: ["title"] }),
    search("indistinct", { distinct: "title" }),
    search("a field that is not there for clients", { filter: '_miroir_shard = "((((" ' }),
    search("sort by a field that is not there for clients", { sort: ["_miroir_seq:asc"] }),
    search("facet of a field that is not there for clients", { facets: ["_miroir_shard"] }),
    search("threshold", { rankingScoreThreshold: 3 }),
    search("unknown embedder", { q: "a", hybrid: { embedder: "none" } }),
    search("vector of another dimension", { vector: [1], hybrid: { embedder: "default" } }),
    search("vector without an embedder", { vector: [1, 2, 3] }),
    { name: "malformed", method: "POST", path: "/indexes/books/search", body: '{"q":' },
    { name: "not an object", method: "POST", path: "/indexes/books/search", body: "[]" },
    { name: "empty", method: "POST", path: "/indexes/books/search", body: "" },
    { name: "text", method: "POST", path: "/indexes/books/search", body: "{}", contentType: "text/plain" },
    { name: "no index", method: "POST", path: "/indexes/nope/search", body: {} },
    { name: "no index, malformed", method: "POST", path: "/indexes/nope/search", body: { x: 1 } },
    { name: "bad uid", method: "POST", path: "/indexes/no%20pe/search", body: {} },
    get("/indexes/books/search?foo=1"),
    get("/indexes/books/search?limit=x"),
    get("/indexes/books/search?hybridSemanticRatio=0.5"),
    get("/indexes/nope/search"),
    get("/indexes/books/documents?foo=1"),
    get("/indexes/books/documents?limit=-1"),
    get("/indexes/books/documents?filter=title=1"),
    get("/indexes/books/documents?sort=overview:asc"),
    get("/indexes/books/documents?sort=year"),
    get("/indexes/books/documents?ids=a%20b"),
    get("/indexes/nope/documents"),
    get("/indexes/no%20pe/documents"),
    get("/indexes/nope/documents?foo=1"),
    get("/indexes/books/documents/missing"),
    get("/indexes/books/documents/a%20b"),
    get("/indexes/books/documents/a%2Fb"),
    get("/indexes/books/documents/8?field=id"),
    get("/indexes/nope/documents/8"),
    get("/indexes/no%20pe/documents/8"),
    fetched("unknown member", { filed: 1 }),
    fetched("null limit", { limit: null }),
    fetched("ids of another type", { ids: "8" }),
    fetched("an id of another type", { ids: [8, true] }),
    { name: "malformed list", method: "POST", path: "/indexes/books/documents/fetch", body: "{" },
    get("/indexes/nope"),
    get("/indexes/no%20pe"),
    get("/indexes/%FF"),
    get("/indexes/%FF/documents"),
    get("/indexes?limit=x"),
    get("/indexes?foo=1"),
    get("/indexes/nope/settings"),
    get("/indexes/no%20pe/settings"),
    get("/indexes/books/settings/nope"),
    get("/indexes/nope/stats"),
    get("/indexes/books/stats?sizeFormat=x"),
    get("/stats?foo=1"),
    get("/tasks?foo=1"),
    get("/tasks?limit=x"),
    get("/tasks?uids=1,x"),
    get("/tasks?statuses=x"),
    get("/tasks?types=x,y"),
    get("/tasks?beforeEnqueuedAt=soon"),
    get("/tasks?indexUids=a%20b"),
    get("/tasks?uids="),
    get("/tasks/abc"),
    get("/nope"),
    { name: "PUT /health", method: "PUT", path: "/health" },
    { name: "DELETE search", method: "DELETE", path: "/indexes/books/search" },
    { name: "HEAD /health", method: "HEAD", path: "/health" },
    { name: "PATCH /tasks", method: "PATCH", path: "/tasks" },
  ];

  // Only Meilisearch itself says what it refuses, and in which words.
  realNodeOnly(it).each(refusals)(
    "refuses as one node: $name $path",
    async ({ method = "GET", path, body, contentType }) => {
      const [expected, actual] = await both(fleet, (http) =>
        http.send(method, path, body, contentType ?? json),
      );
      expect({ status: actual.status, text: actual.text }).toEqual({
        status: expected.status,
        text: expected.text,
      });
      expect(actual.headers["content-type"]).toBe(expected.headers["content-type"]);
      expect(actual.headers.allow?.toString().split(", ").sort()).toEqual(
        expected.headers.allow?.toString().split(", ").sort(),
      );
    },
  );

  it("counts documents and fields as one node", async () => {
    const [expected, actual] = await both(fleet, (http) =>
      http.ok<Record<string, unknown>>("GET", "/indexes/books/stats"),
    );
    expect(Object.keys(actual)).toEqual(Object.keys(expected));
    expect(actual.numberOfDocuments).toBe(expected.numberOfDocuments);
    expect(actual.isIndexing).toBe(false);
    const fields = actual.fieldDistribution as Record<string, number>;
    const expectedFields = expected.fieldDistribution as Record<string, number>;
    expect(Object.keys(fields)).toEqual(Object.keys(expectedFields));
    for (const [field, count] of Object.entries(expectedFields)) {
      // Where a node serves only some of the shards it holds, its share of a sparse field is an estimate.
      expect(Math.abs((fields[field] ?? 0) - count)).toBeLessThanOrEqual(count === 300 ? 0 : 12);
    }
    const all = await fleet.proxy.ok<Record<string, unknown>>("GET", "/stats");
    expect(Object.keys(all)).toEqual(["databaseSize", "usedDatabaseSize", "lastUpdate", "indexes"]);
    expect(all.indexes).toMatchObject({
      books: { numberOfDocuments: 300, isIndexing: false },
      veiled: { numberOfDocuments: 300, isIndexing: false },
    });
  });

  it("lists every document once, page by page, in insertion order", async () => {
    const ids: unknown[] = [];
    for (let offset = 0; ; offset += 23) {
      const page = await fleet.proxy.ok<{ results: { id: unknown }[]; total: number }>(
        "GET",
        `/indexes/books/documents?limit=23&offset=${offset}&fields=id`,
      );
      expect(page.total).toBe(300);
      ids.push(...page.results.map(({ id }) => id));
      if (page.results.length === 0) break;
    }
    expect(ids).toEqual(corpus().map((text) => (JSON.parse(text) as { id: unknown }).id));
  });

  it("gives distant pages of documents whose key lies inside of an object", async () => {
    for (const body of [
      { offset: 1_100, limit: 10 },
      { offset: 1_250, limit: 100, fields: ["weight"] },
    ]) {
      const path = "/indexes/parcels/documents/fetch";
      const [expected, actual] = await both(fleet, (http) => http.send("POST", path, body));
      expect(comparable(actual.text)).toEqual(comparable(expected.text));
    }
  });

  it("gives distant pages and long ones as one node", async () => {
    for (const body of [
      { offset: 100, limit: 5_000 },
      { offset: 250, limit: 1_000, sort: ["year:asc"] },
      { offset: 3_000, limit: 10 },
      { limit: 2_000, filter: "year > 1970", fields: ["id", "big"] },
    ]) {
      const path = "/indexes/books/documents/fetch";
      const [expected, actual] = await both(fleet, (http) => http.send("POST", path, body));
      expect(comparable(actual.text)).toEqual(comparable(expected.text));
    }
  });
});

async function both<T>(fleet: ReadFleet, ask: (http: MeilisearchHttp) => Promise<T>): Promise<[T, T]> {
  return Promise.all([ask(fleet.plain), ask(fleet.proxy)]);
}

/**
 * An answer without what differs from one request to the next, and from one node to the next: a node prints a
 * document's members in the order in which it first met them. Numbers keep all their digits.
 */
function comparable(text: string): unknown {
  if (text === "") return text;
  const value = JSON.parse(text.replace(/(?<=[:[,])-?\d[\d.eE+-]*(?=[,}\]])/g, '"number $&"')) as Record<
    string,
    unknown
  >;
  if (value !== null && typeof value === "object") {
    delete value.processingTimeMs;
    delete value.requestUid;
  }
  return value;
}
