import type { Operation, Parameter, Schema } from "./operations.js";

const any: Schema = { kind: "any" };
const text: Schema = { kind: "text" };
const size: Schema = { kind: "integer" };
const number: Schema = { kind: "number" };
const flag: Schema = { kind: "boolean" };
const words = (...choices: string[]): Schema => ({ kind: "text", choices });
const list = (of: Schema): Schema => ({ kind: "list", of });
const map = (of: Schema): Schema => ({ kind: "map", of });
const one = (...of: Schema[]): Schema => ({ kind: "one", of });
const object = (members: Record<string, Schema>, ...required: string[]): Schema => ({
  kind: "object",
  members,
  required,
});
const texts = list(text);
const numbers = list(number);

const hybrid = object({ embedder: text, semanticRatio: number }, "embedder");
const strategy = words("last", "all", "frequency");
const searched: Record<string, Schema> = {
  q: text,
  vector: numbers,
  hybrid,
  filter: any,
  matchingStrategy: strategy,
  attributesToSearchOn: texts,
  rankingScoreThreshold: number,
  locales: texts,
};
const shown: Record<string, Schema> = {
  attributesToRetrieve: texts,
  retrieveVectors: flag,
  showRankingScore: flag,
  showRankingScoreDetails: flag,
  showPerformanceDetails: flag,
};
const paged: Record<string, Schema> = { offset: size, limit: size };
const search: Record<string, Schema> = {
  ...searched,
  ...shown,
  ...paged,
  page: size,
  hitsPerPage: size,
  attributesToCrop: texts,
  cropLength: size,
  cropMarker: text,
  attributesToHighlight: texts,
  highlightPreTag: text,
  highlightPostTag: text,
  showMatchesPosition: flag,
  sort: texts,
  distinct: text,
  facets: texts,
  personalize: object({ userContext: text }),
  media: any,
};
const similar: Record<string, Schema> = {
  id: one(text, size),
  embedder: text,
  filter: any,
  rankingScoreThreshold: number,
  ...shown,
  ...paged,
};
const federated = object(
  {
    ...search,
    indexUid: text,
    federationOptions: object({ weight: number, queryPosition: size, remote: text }),
  },
  "indexUid",
);
const federation = object({
  ...paged,
  page: size,
  hitsPerPage: size,
  facetsByIndex: map(texts),
  mergeFacets: object({ maxValuesPerFacet: size }),
  distinct: text,
  showPerformanceDetails: flag,
});
const browse: Record<string, Schema> = {
  ...paged,
  fields: texts,
  retrieveVectors: flag,
  ids: list(one(text, size)),
  filter: any,
  sort: texts,
};
const embedder = object({
  source: words("userProvided", "openAi", "rest", "ollama", "huggingFace", "composite"),
  dimensions: size,
  binaryQuantized: flag,
  model: text,
  url: text,
  documentTemplate: text,
  distribution: object({ mean: number, sigma: number }),
});
const filterable = one(
  text,
  object({
    attributePatterns: texts,
    features: object({ facetSearch: flag, filter: object({ equality: flag, comparison: flag }) }),
  }),
);

/** By name in a path: how its sub-route is written, and what it takes. */
const settings: Readonly<Record<string, readonly [write: "PUT" | "PATCH", schema: Schema]>> = {
  "displayed-attributes": ["PUT", texts],
  "searchable-attributes": ["PUT", texts],
  "filterable-attributes": ["PUT", list(filterable)],
  "sortable-attributes": ["PUT", texts],
  "ranking-rules": ["PUT", texts],
  "stop-words": ["PUT", texts],
  "non-separator-tokens": ["PUT", texts],
  "separator-tokens": ["PUT", texts],
  dictionary: ["PUT", texts],
  synonyms: ["PUT", map(texts)],
  "distinct-attribute": ["PUT", text],
  "proximity-precision": ["PUT", words("byWord", "byAttribute")],
  "typo-tolerance": [
    "PATCH",
    object({
      enabled: flag,
      minWordSizeForTypos: object({ oneTypo: size, twoTypos: size }),
      disableOnWords: texts,
      disableOnAttributes: texts,
      disableOnNumbers: flag,
    }),
  ],
  faceting: ["PATCH", object({ maxValuesPerFacet: size, sortFacetValuesBy: map(words("alpha", "count")) })],
  pagination: ["PATCH", object({ maxTotalHits: size })],
  embedders: ["PATCH", map(embedder)],
  "search-cutoff-ms": ["PUT", size],
  "localized-attributes": ["PUT", list(object({ locales: texts, attributePatterns: texts }))],
  "facet-search": ["PUT", flag],
  "prefix-search": ["PUT", words("indexingTime", "disabled")],
  chat: ["PATCH", object({ description: text, documentTemplate: text, searchParameters: any })],
  "foreign-keys": ["PUT", list(object({ foreignIndexUid: text, fieldName: text }))],
};
const wholeSettings = object(
  Object.fromEntries(
    Object.entries(settings).map(([route, [, schema]]) => [
      route.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase()),
      schema,
    ]),
  ),
);

const INDEX = "/indexes/{index_uid}";
const taskFilter: Record<string, Schema> = {
  uids: list(size),
  batchUids: list(size),
  canceledBy: list(size),
  types: texts,
  statuses: list(words("enqueued", "processing", "succeeded", "failed", "canceled")),
  indexUids: texts,
  ...Object.fromEntries(
    ["Enqueued", "Started", "Finished"].flatMap((moment) => [
      [`before${moment}At`, text],
      [`after${moment}At`, text],
    ]),
  ),
};
const taskList: Record<string, Schema> = { ...taskFilter, limit: size, from: size, reverse: flag };
const key = object(
  { name: text, description: text, uid: text, actions: texts, indexes: texts, expiresAt: text },
  ...["actions", "indexes", "expiresAt"],
);
const webhook = object({ url: text, headers: map(text) });
const addition: Record<string, Schema> = {
  primaryKey: text,
  csvDelimiter: text,
  customMetadata: text,
  skipCreation: flag,
};

type Row = readonly [method: string, path: string, query?: Record<string, Schema>, body?: Schema];

const rows: readonly Row[] = [
  ["GET", "/"],
  ["GET", "/health"],
  ["GET", "/version"],
  ["GET", "/stats"],
  ["GET", "/metrics"],
  ["GET", "/indexes", paged],
  ["POST", "/indexes", {}, object({ uid: text, primaryKey: text }, "uid")],
  ["GET", INDEX],
  ["PATCH", INDEX, {}, object({ uid: text, primaryKey: text })],
  ["DELETE", INDEX],
  ["GET", `${INDEX}/stats`],
  ["POST", `${INDEX}/compact`],
  ["POST", `${INDEX}/fields`, {}, object({ ...paged, filter: any })],
  ["GET", `${INDEX}/search`, { ...search, hybridEmbedder: text, hybridSemanticRatio: number }],
  ["POST", `${INDEX}/search`, {}, object(search)],
  ["GET", `${INDEX}/similar`, similar],
  ["POST", `${INDEX}/similar`, {}, object(similar, "id", "embedder")],
  [
    "POST",
    `${INDEX}/facet-search`,
    {},
    object({ ...searched, facetName: text, facetQuery: text, exhaustiveFacetCount: flag }, "facetName"),
  ],
  ["GET", `${INDEX}/documents`, browse],
  ["POST", `${INDEX}/documents`, addition, any],
  ["PUT", `${INDEX}/documents`, addition, any],
  ["DELETE", `${INDEX}/documents`, { customMetadata: text }],
  ["GET", `${INDEX}/documents/{document_id}`, { fields: texts, retrieveVectors: flag }],
  ["DELETE", `${INDEX}/documents/{document_id}`],
  ["POST", `${INDEX}/documents/fetch`, {}, object(browse)],
  ["POST", `${INDEX}/documents/delete`, {}, object({ filter: any }, "filter")],
  ["POST", `${INDEX}/documents/delete-batch`, {}, list(one(text, size))],
  [
    "POST",
    `${INDEX}/documents/edit`,
    {},
    object({ function: text, context: map(any), filter: any }, "function"),
  ],
  ["GET", `${INDEX}/settings`],
  ["PATCH", `${INDEX}/settings`, {}, wholeSettings],
  ["DELETE", `${INDEX}/settings`],
  ...Object.entries(settings).flatMap(([route, [write, schema]]): Row[] => [
    ["GET", `${INDEX}/settings/${route}`],
    [write, `${INDEX}/settings/${route}`, {}, schema],
    ["DELETE", `${INDEX}/settings/${route}`],
  ]),
  [
    "POST",
    "/multi-search",
    {},
    object({ queries: list(object({ ...search, indexUid: text }, "indexUid")) }, "queries"),
  ],
  ["POST", "/multi-search", {}, object({ federation, queries: list(federated) }, "federation", "queries")],
  ["POST", "/swap-indexes", {}, list(object({ indexes: texts, rename: flag }, "indexes"))],
  ["GET", "/tasks", taskList],
  ["DELETE", "/tasks", taskFilter],
  ["POST", "/tasks/cancel", taskFilter],
  ["GET", "/tasks/{task_id}"],
  ["GET", "/tasks/{task_id}/documents"],
  ["GET", "/batches", taskList],
  ["GET", "/batches/{batch_id}"],
  ["GET", "/keys", paged],
  ["POST", "/keys", {}, key],
  ["GET", "/keys/{key}"],
  ["PATCH", "/keys/{key}", {}, object({ name: text, description: text })],
  ["DELETE", "/keys/{key}"],
  ["GET", "/experimental-features"],
  ["PATCH", "/experimental-features", {}, map(flag)],
  ["GET", "/webhooks"],
  ["POST", "/webhooks", {}, webhook],
  ["GET", "/webhooks/{uuid}"],
  ["PATCH", "/webhooks/{uuid}", {}, webhook],
  ["DELETE", "/webhooks/{uuid}"],
  ["GET", "/network"],
  ["GET", "/chats"],
  ["GET", "/chats/{workspace_uid}"],
  ["DELETE", "/chats/{workspace_uid}"],
  ["GET", "/chats/{workspace_uid}/settings"],
  [
    "PATCH",
    "/chats/{workspace_uid}/settings",
    {},
    object({ source: text, apiKey: text, prompts: map(text) }),
  ],
  ["DELETE", "/chats/{workspace_uid}/settings"],
  ["POST", "/dynamic-search-rules", {}, object({ ...paged, filter: any })],
  ["GET", "/dynamic-search-rules/{uid}"],
  [
    "PATCH",
    "/dynamic-search-rules/{uid}",
    {},
    object({ priority: size, active: flag, conditions: any, actions: any }),
  ],
  ["DELETE", "/dynamic-search-rules/{uid}"],
  ["POST", "/render-template", {}, object({ template: any, input: any }, "template")],
  ["POST", "/logs/stderr", {}, object({ target: text })],
  ["DELETE", "/logs/stream"],
];

/** Meilisearch's routes as Miroir's authors know them, for runs without an OpenAPI document. */
export const ownDescription: readonly Operation[] = rows.map(([method, path, query = {}, body]) => ({
  method,
  path,
  parameters: [
    ...[...path.matchAll(/\{(\w+)\}/g)].map(
      ([, name = ""]): Parameter => ({ name, in: "path", schema: text }),
    ),
    ...Object.entries(query).map(([name, schema]): Parameter => ({ name, in: "query", schema })),
  ],
  ...(body === undefined ? {} : { body }),
}));
