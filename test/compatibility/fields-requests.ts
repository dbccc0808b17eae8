import type { Script, Step, StepOptions } from "./side-by-side.js";

const JSON_TYPE: StepOptions = { contentType: "application/json" };

const documents = Array.from({ length: 60 }, (_, at) => ({
  id: at,
  title: `t${at}`,
  [`own${at % 20}`]: at,
  nested: { deep: { deeper: at }, [`key${at % 5}`]: 1 },
  list: [{ a: at }, { b: at }],
  ...(at === 7 ? { _geo: { lat: 1, lng: 2 }, "dotted.name": 1, Été: 1, "": 1 } : {}),
}));

const SETTINGS = {
  filterableAttributes: ["nested.deep", { attributePatterns: ["own1*"], features: { facetSearch: true } }],
  sortableAttributes: ["title", "own3"],
  searchableAttributes: ["title", "nested"],
  rankingRules: ["words", "own1:asc", "own2:desc"],
  distinctAttribute: "own4",
  faceting: { sortFacetValuesBy: { own1: "count" } },
  localizedAttributes: [{ attributePatterns: ["t*"], locales: ["fra"] }],
};

const bodies: readonly unknown[] = [
  {},
  { limit: 5 },
  { limit: 100 },
  { limit: 0 },
  { offset: 10, limit: 3 },
  { offset: 1000 },
  { filter: null },
  { filter: {} },
  ...["displayed", "searchable", "sortable", "distinct", "rankingRule", "filterable"].flatMap((name) =>
    [true, false, null, "true", 1].map((value) => ({ limit: 100, filter: { [name]: value } })),
  ),
  ...[
    ["own*"],
    ["nested"],
    ["nested.*"],
    ["*"],
    ["_miroir*"],
    ["_miroir_shard"],
    [],
    ["*1", "title"],
    null,
    "own1",
    [1],
  ].map((attributePatterns) => ({ limit: 100, filter: { attributePatterns } })),
  { limit: 100, filter: { attributePatterns: ["own*"], displayed: false } },
  { limit: 100, filter: { filterable: true, sortable: true } },
  { filter: { foo: true } },
  { filter: [] },
  { filter: "x" },
  { foo: 1 },
  { limit: -1 },
  { limit: 1.5 },
  { limit: "1" },
  { limit: null },
  { offset: -1 },
  { offset: "x" },
  { offset: null },
  "",
  "{",
  "[]",
  "null",
  undefined,
];

function setUp(uid: string, settings: object): Step[] {
  return [
    ["POST", "/indexes", { uid, primaryKey: "id" }, { alone: true }],
    ["PATCH", `/indexes/${uid}/settings`, settings, { alone: true }],
    ["POST", `/indexes/${uid}/fields`, {}],
    ["POST", `/indexes/${uid}/documents`, documents, { alone: true }],
  ];
}

const ask = (uid: string): Step[] =>
  bodies.map((body): Step => ["POST", `/indexes/${uid}/fields`, body, JSON_TYPE]);

/** Requests for the fields of an index. */
export const fieldsScripts: readonly Script[] = [
  { name: "fields under plain settings", steps: [...setUp("fields-plain", {}), ...ask("fields-plain")] },
  {
    name: "fields under settings of every kind",
    steps: [
      ...setUp("fields-all", { ...SETTINGS, displayedAttributes: ["id", "nested.deep", "own1", "list"] }),
      ...ask("fields-all"),
    ],
  },
  {
    name: "fields of indexes that are not there, are new, or are wrongly named",
    steps: [
      ...ask("fields-none"),
      ["POST", "/indexes/bad%20uid/fields", {}],
      ["POST", "/indexes/bad%20uid/fields", { x: 1 }],
      ["POST", "/indexes", { uid: "fields-new" }, { alone: true }],
      ["POST", "/indexes/fields-new/fields", {}],
      ["GET", "/indexes/fields-new/fields"],
      ["POST", "/indexes/fields-new/fields", {}, { authorization: null }],
      ["POST", "/indexes/fields-new/documents", [{ key: 1, a: 2 }], { alone: true }],
      ["POST", "/indexes/fields-new/fields", {}],
    ],
  },
];
