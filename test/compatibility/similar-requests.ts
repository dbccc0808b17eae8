import { seededRandom } from "../support/random.js";
import type { Script, Step, StepOptions } from "./side-by-side.js";
import { createTenantKey, tenantToken } from "./tenant-token.js";

const JSON_TYPE: StepOptions = { contentType: "application/json" };

const random = seededRandom(7);

function vector(length: number): number[] {
  return Array.from({ length }, () => Math.round((random.next() * 2 - 1) * 1_000) / 1_000);
}

const documents = Array.from({ length: 150 }, (_, at) => ({
  id: at + 1,
  title: `title ${at}`,
  group: at % 7,
  price: (at * 37) % 101,
  color: ["red", "green", "blue"][at % 3],
  secret: `s${at}`,
  _vectors: {
    // A tenth has no vector, two thirds of the rest have all.
    small: at % 10 === 9 ? null : vector(3),
    wide: at % 3 === 2 ? null : vector(8),
  },
}));

const EMBEDDERS = {
  small: { source: "userProvided", dimensions: 3 },
  wide: { source: "userProvided", dimensions: 8 },
};

function setUp(uid: string, settings: object, docs: readonly object[] = documents): Step[] {
  return [
    ["POST", "/indexes", { uid, primaryKey: "id" }, { alone: true }],
    ["PATCH", `/indexes/${uid}/settings`, { embedders: EMBEDDERS, ...settings }, { alone: true }],
    ["POST", `/indexes/${uid}/documents`, docs, { alone: true }],
  ];
}

const FILTERABLE = ["group", "price", "color"];

const requests: readonly object[] = [
  {},
  { limit: 0 },
  { limit: 1 },
  { limit: 5, offset: 3 },
  { limit: 200 },
  { offset: 140, limit: 20 },
  { offset: 500 },
  { limit: 20, offset: 0, retrieveVectors: true },
  { retrieveVectors: false },
  { showRankingScore: true },
  { showRankingScoreDetails: true },
  { showRankingScore: true, showRankingScoreDetails: true, retrieveVectors: true, limit: 3 },
  { attributesToRetrieve: ["id"] },
  { attributesToRetrieve: ["title", "id"], showRankingScore: true },
  { attributesToRetrieve: ["*"] },
  { attributesToRetrieve: ["nope"] },
  { attributesToRetrieve: [], showRankingScoreDetails: true },
  { attributesToRetrieve: [] },
  { attributesToRetrieve: null },
  { attributesToRetrieve: ["_vectors"], limit: 2 },
  { attributesToRetrieve: ["_vectors", "id"], retrieveVectors: true, limit: 2 },
  { attributesToRetrieve: ["_miroir_seq", "id"], limit: 2 },
  { filter: "group = 3" },
  { filter: ["group > 3", ["color = red", "color = blue"]], showRankingScore: true },
  { filter: "group = 100" },
  { filter: null },
  { filter: "price > 50", limit: 4, offset: 2 },
  { rankingScoreThreshold: 0.5 },
  { rankingScoreThreshold: 0.9, showRankingScore: true },
  { rankingScoreThreshold: 0.9, limit: 2 },
  { rankingScoreThreshold: 0.9, offset: 2 },
  { rankingScoreThreshold: 0.9, offset: 60 },
  { rankingScoreThreshold: 1 },
  { rankingScoreThreshold: 0 },
  { rankingScoreThreshold: null },
  { rankingScoreThreshold: 0.8, filter: "color = green" },
];

const ids = [1, 2, "17", 10, 64, 100];

const wrong: readonly unknown[] = [
  undefined,
  "{",
  "[]",
  "null",
  {},
  { id: 1 },
  { embedder: "small" },
  { id: null, embedder: "small" },
  { id: 1.5, embedder: "small" },
  { id: -1, embedder: "small" },
  { id: true, embedder: "small" },
  { id: [1], embedder: "small" },
  { id: {}, embedder: "small" },
  { id: "", embedder: "small" },
  { id: " 1", embedder: "small" },
  { id: "a b", embedder: "small" },
  { id: "a b", embedder: "nope" },
  { id: "é", embedder: "small", filter: "nope = 1" },
  { id: "x".repeat(512), embedder: "small" },
  { id: 99999, embedder: "small" },
  { id: "nope", embedder: "small" },
  { id: "nope", embedder: "nope" },
  { id: "nope", embedder: "small", filter: "nope = 1" },
  { id: 1, embedder: "nope" },
  { id: 1, embedder: "" },
  { id: 1, embedder: "default" },
  { id: 1, embedder: null },
  { id: 1, embedder: 3 },
  { id: 1, embedder: "small", foo: 1 },
  { id: 1, embedder: "small", q: "x" },
  { id: 1, embedder: "small", vector: [1, 2, 3] },
  ...["offset", "limit"].flatMap((name) =>
    [-1, 1.5, "1", null, [], "1e3"].map((value) => ({ id: 1, embedder: "small", [name]: value })),
  ),
  '{"id":1,"embedder":"small","limit":1.0}',
  '{"id":1,"embedder":"small","limit":1e1}',
  '{"id":1.0,"embedder":"small"}',
  '{"id":-0,"embedder":"small"}',
  '{"id":18446744073709551616,"embedder":"small"}',
  ...["retrieveVectors", "showRankingScore", "showRankingScoreDetails", "showPerformanceDetails"].flatMap(
    (name) => [null, "true", 1].map((value) => ({ id: 1, embedder: "small", [name]: value })),
  ),
  ...["id", ["id", 1], {}].map((attributesToRetrieve) => ({
    id: 1,
    embedder: "small",
    attributesToRetrieve,
  })),
  ...[1, {}, "nope = 1", "group =", ["group = 1", "nope = 1"], "_miroir_shard = 1", [["x"], [["y"]]]].map(
    (filter) => ({
      id: 1,
      embedder: "small",
      filter,
    }),
  ),
  ...[-0.1, 1.1, "0.5", []].map((rankingScoreThreshold) => ({
    id: 1,
    embedder: "small",
    rankingScoreThreshold,
  })),
];

const queries: readonly string[] = [
  "",
  "id=1",
  "embedder=small",
  "id=1&embedder=small",
  "id=1&embedder=small&limit=2&offset=1",
  "id=1&embedder=wide&attributesToRetrieve=id,title&showRankingScore=true",
  "id=1&embedder=wide&attributesToRetrieve=*&limit=1",
  "id=1&embedder=small&filter=group%20%3D%203",
  "id=1&embedder=small&filter=%5B%22group%20%3D%203%22%5D",
  "id=1&embedder=small&filter=nope%20%3D%203",
  "id=1&embedder=small&filter=",
  "id=1&embedder=small&retrieveVectors=true&limit=1",
  "id=1&embedder=small&retrieveVectors=1",
  "id=1&embedder=small&rankingScoreThreshold=0.9",
  "id=1&embedder=small&rankingScoreThreshold=2",
  "id=1&embedder=small&rankingScoreThreshold=x",
  "id=1&embedder=small&limit=-1",
  "id=1&embedder=small&offset=x",
  "id=1&embedder=small&foo=1",
  "id=a%20b&embedder=small",
  "id=99999&embedder=small",
  "id=1&embedder=nope",
  "id=1&embedder=small&showRankingScoreDetails=true&limit=2",
  "id=1&id=2&embedder=small&limit=2",
];

function ask(uid: string, body: unknown, authorization?: string): Step {
  const options = authorization === undefined ? JSON_TYPE : { ...JSON_TYPE, authorization };
  return ["POST", `/indexes/${uid}/similar`, body, options];
}

const asks = (uid: string, some = requests): Step[] =>
  ids.flatMap((id) =>
    ["small", "wide"].flatMap((embedder) => some.map((request) => ask(uid, { id, embedder, ...request }))),
  );

const few = requests.filter((_, at) => at % 4 === 1);

/** Requests for similar documents: pages, filters, thresholds, settings that shape searches, refusals. */
export const similarScripts: readonly Script[] = [
  {
    name: "similar documents",
    steps: [...setUp("similar", { filterableAttributes: FILTERABLE }), ...asks("similar")],
  },
  {
    name: "similar documents by query string",
    steps: [
      ...setUp("similar-get", { filterableAttributes: FILTERABLE }),
      ...queries.map((query): Step => ["GET", `/indexes/similar-get/similar?${query}`]),
      ["GET", "/indexes/similar-get/similar"],
      ["GET", "/indexes/similar-none/similar?id=1&embedder=small"],
    ],
  },
  {
    name: "refused requests for similar documents",
    steps: [
      ...setUp("similar-wrong", { filterableAttributes: FILTERABLE }),
      ...wrong.map((body) => ask("similar-wrong", body)),
      ...wrong.map((body) => ask("similar-none", body)),
      ask("bad uid!", { id: 1, embedder: "small" }),
      ask("similar-none", { id: 1, embedder: "small" }),
      ["POST", "/indexes/similar-wrong/similar", { id: 1, embedder: "small" }, { authorization: null }],
      ["POST", "/indexes/similar-wrong/similar", "id=1", { contentType: "text/plain" }],
      ["PUT", "/indexes/similar-wrong/similar", {}],
    ],
  },
  {
    name: "settings that shape searches",
    steps: [
      ...setUp("similar-rules", {
        filterableAttributes: FILTERABLE,
        sortableAttributes: ["price"],
        rankingRules: ["price:asc", "sort", "words", "group:desc"],
        distinctAttribute: "color",
        displayedAttributes: ["id", "title", "price"],
      }),
      ...asks("similar-rules", few),
    ],
  },
  {
    name: "few hits at all, by the settings",
    steps: [
      ...setUp("similar-max", { filterableAttributes: FILTERABLE, pagination: { maxTotalHits: 60 } }),
      ...asks("similar-max", few),
    ],
  },
  {
    name: "vectors in one bit a number, with another name of the key, and ids that are texts",
    steps: [
      ["POST", "/indexes", { uid: "similar-bits", primaryKey: "ref" }, { alone: true }],
      [
        "PATCH",
        "/indexes/similar-bits/settings",
        {
          embedders: {
            small: { ...EMBEDDERS.small, distribution: { mean: 0.7, sigma: 0.3 } },
            wide: { ...EMBEDDERS.wide, binaryQuantized: true },
          },
        },
        { alone: true },
      ],
      [
        "POST",
        "/indexes/similar-bits/documents",
        documents.slice(0, 40).map(({ id, ...document }) => ({ ref: `doc-${id}`, ...document })),
        { alone: true },
      ],
      ...["doc-1", "doc-10", "doc-39", "doc-41"].flatMap((id) =>
        [{}, { showRankingScore: true, limit: 5 }, { rankingScoreThreshold: 0.6 }].map((request) =>
          ask("similar-bits", { id, embedder: "small", attributesToRetrieve: ["ref"], ...request }),
        ),
      ),
      ...["doc-1", "doc-2", "doc-10"].flatMap((id) =>
        [{}, { showRankingScore: true, limit: 5 }, { rankingScoreThreshold: 0.6 }].map((request) =>
          ask("similar-bits", { id, embedder: "wide", attributesToRetrieve: ["ref"], ...request }),
        ),
      ),
    ],
  },
  {
    name: "similar documents with tenant tokens",
    steps: [
      createTenantKey,
      ...setUp("similar-tenant", { filterableAttributes: FILTERABLE }),
      ...[
        ["*"],
        { "*": { filter: "group = 0" } },
        { "similar-*": { filter: ["price > 30", "color = red OR color = blue"] } },
        { "similar-tenant": { filter: "nope = 3" } },
        { "similar-tenant": { filter: "group =" } },
        { "similar-tenant": null },
        { other: {} },
      ].flatMap((rules) =>
        [
          { id: 1 },
          { id: 2 },
          { id: 1, filter: "color = green" },
          { id: 99999 },
          { id: 1, filter: "nope = 1" },
        ].map((request) =>
          // Behind a filter a node finds the nearest ones for certain, and now and then misses one that is farther away.
          ask("similar-tenant", { embedder: "small", limit: 4, ...request }, tenantToken(rules)),
        ),
      ),
    ],
  },
  {
    name: "indexes without documents or embedders",
    steps: [
      ["POST", "/indexes", { uid: "similar-empty" }, { alone: true }],
      ask("similar-empty", { id: 1, embedder: "small" }),
      ["PATCH", "/indexes/similar-empty/settings", { embedders: EMBEDDERS }, { alone: true }],
      ask("similar-empty", { id: 1, embedder: "small" }),
      ask("similar-empty", { id: 1, embedder: "nope" }),
    ],
  },
];
