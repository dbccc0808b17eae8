import fc from "fast-check";
import type { Schema } from "./operations.js";

/** JSON as it is going to be sent: what a parser would round or refuse stands as its own text. */
export type FuzzValue = null | boolean | number | string | Raw | FuzzValue[] | { [name: string]: FuzzValue };

/** A text that goes into JSON as it is. */
export class Raw {
  constructor(readonly text: string) {}
}

/** The JSON text of a value. */
export function print(value: FuzzValue): string {
  if (value instanceof Raw) return value.text;
  if (Array.isArray(value)) return `[${value.map(print).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  return `{${Object.entries(value)
    .map(([name, member]) => `${JSON.stringify(name)}:${print(member)}`)
    .join(",")}}`;
}

const INDEX_UIDS = ["fuzz-a", "fuzz-b", "fuzz-c", "missing", "fuzz-*", "not valid"];
const ATTRIBUTES = ["id", "title", "genre", "year", "_geo", "price", "a.b", "*", "nope", "_vectors"];
const EMBEDDERS = ["small", "default", "nope"];
const FILTERS = [
  "year > 2000",
  "genre = drama",
  "genre IN [drama, 'comedy']",
  "NOT year 1990 TO 2000",
  "year = 1 AND (genre = x OR year EXISTS)",
  "_geoRadius(10, 10, 100000)",
  "_geoBoundingBox([50, 10], [40, 2])",
  "title = x",
  "year >",
  "(genre = a",
  "genre IS EMPTY",
  "genre STARTS WITH d",
];
const UUIDS = ["01020304-0000-4000-8000-000000000001", "01020304-0000-4000-8000-000000000002", "nope"];

/** What members and parameters of a name usually hold. */
const BY_NAME: Readonly<Record<string, readonly string[]>> = {
  index_uid: INDEX_UIDS,
  indexUid: INDEX_UIDS,
  indexUids: INDEX_UIDS,
  indexes: INDEX_UIDS,
  uid: [...INDEX_UIDS, ...UUIDS],
  uuid: UUIDS,
  key: UUIDS,
  document_id: ["1", "2", "33", "a b", "none"],
  task_id: ["0", "1", "4000000000", "x", "-1"],
  batch_id: ["0", "1", "4000000000", "x"],
  workspace_uid: ["w", "not valid"],
  primaryKey: ["id", "id", "title", "none", ""],
  embedder: EMBEDDERS,
  hybridEmbedder: EMBEDDERS,
  filter: FILTERS,
  q: ["", "star", "sta", "the star", '"star wars"', "-star", "Ünïcode", "星"],
  facetQuery: ["d", "", "dra"],
  sort: ["year:asc", "price:desc", "_geoPoint(1,2):asc", "year", "nope:asc"],
  rankingRules: ["words", "typo", "proximity", "attribute", "sort", "exactness", "year:desc", "nope"],
  locales: ["eng", "fra", "xx"],
  ids: ["1", "2", "a b"],
  id: ["1", "2", "a b"],
  types: ["indexCreation", "settingsUpdate", "documentAdditionOrUpdate", "nope"],
  actions: ["*", "search", "documents.*", "nope"],
  expiresAt: ["2099-01-01", "2099-01-01T00:00:00Z", "yesterday"],
  function: ["doc.year = 1", "doc.remove(`title`)", "doc.year +="],
  url: ["http://127.0.0.1:1/", "nope"],
  csvDelimiter: [",", ";", "ab"],
  csv: ["id,title\n1,x\n"],
};

const ATTRIBUTE_LISTS =
  /^(attributes.*|.*Attributes|facets|fields|facetName|distinct|distinctAttribute|attributePatterns|disableOnAttributes)$/;
const DATES = /^(before|after)(Enqueued|Started|Finished)At$/;

/** Sources of embeddings that would have a node call other machines. */
const REMOTE_SOURCES = ["openAi", "rest", "ollama", "huggingFace", "composite"];

function texts(name: string): fc.Arbitrary<string> {
  const known =
    BY_NAME[name] ?? (ATTRIBUTE_LISTS.test(name) ? ATTRIBUTES : DATES.test(name) ? ["2020-01-01", "x"] : []);
  const anything = fc.oneof(fc.constantFrom("", "x", "a b", "id", "true", "0"), fc.string({ maxLength: 12 }));
  if (known.length === 0) return anything;
  return fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...known) }, { weight: 1, arbitrary: anything });
}

const INTEGERS: fc.Arbitrary<FuzzValue> = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom<FuzzValue>(1, 0, 2, 3, 5, 20) },
  { weight: 2, arbitrary: fc.constantFrom<FuzzValue>(100, 1000, 1001, 4294967295, 4294967296) },
  {
    weight: 1,
    arbitrary: fc.constantFrom<FuzzValue>(
      new Raw("9007199254740993"),
      new Raw("18446744073709551615"),
      new Raw("18446744073709551616"),
      new Raw("1e3"),
      -1,
      1.5,
    ),
  },
);

/** Values that are seldom right. */
export const odd: fc.Arbitrary<FuzzValue> = fc.oneof(
  fc.constantFrom<FuzzValue>(null, true, false, -1, 0, 1.5, "", "x", [], [1], [[]], {}, { a: 1 }),
  fc
    .constantFrom("1e999", "-0", "01", "NaN", '"\\ud800"', "[".repeat(150) + "]".repeat(150))
    .map((text) => new Raw(text)),
  fc.string({ maxLength: 20 }),
  fc.integer(),
);

const filters: fc.Arbitrary<FuzzValue> = fc.oneof(
  texts("filter"),
  fc.array(fc.oneof(texts("filter"), fc.array(texts("filter"), { maxLength: 3 })), { maxLength: 3 }),
  odd,
);

const documents: fc.Arbitrary<FuzzValue> = fc.array(
  fc.record(
    {
      id: fc.oneof(fc.integer({ min: 1, max: 60 }), fc.constantFrom<FuzzValue>("a", "a b", 1.5, null)),
      title: fc.constantFrom("star wars", "the star", "other", "Ünïcode"),
      genre: fc.constantFrom<FuzzValue>("drama", "comedy", ["drama", "x"], null),
      year: fc.oneof(fc.integer({ min: 1980, max: 2020 }), odd),
      price: fc.constantFrom<FuzzValue>(1, 2.5, "3", new Raw("12345678901234567890")),
      _geo: fc.constantFrom<FuzzValue>({ lat: 1, lng: 2 }, { lat: "10", lng: "10" }, null, { lat: 1 }),
      _vectors: fc.constantFrom<FuzzValue>({ small: [1, 0] }, { small: null }, { small: [1] }, {}),
      more: odd,
    },
    { requiredKeys: ["id"] },
  ),
  { maxLength: 6 },
);

/** A value that a schema may mean, for the member or parameter of this name. */
export function valuesFor(schema: Schema, name = "", path = ""): fc.Arbitrary<FuzzValue> {
  switch (schema.kind) {
    case "null":
      return fc.constant(null);
    case "boolean":
      return fc.boolean();
    case "integer":
      return INTEGERS;
    case "number":
      return fc.oneof(INTEGERS, fc.double({ min: 0, max: 1, noNaN: true }));
    case "text":
      return schema.choices === undefined
        ? texts(name)
        : fc.constantFrom(...schema.choices.filter((choice) => !REMOTE_SOURCES.includes(choice)), "nope");
    case "list":
      return fc.array(valuesFor(schema.of, name), { maxLength: 4 });
    case "map":
      return fc.dictionary(
        fc.oneof(texts(name), fc.constantFrom(...EMBEDDERS, ...ATTRIBUTES)),
        valuesFor(schema.of),
        {
          maxKeys: 3,
        },
      ) as fc.Arbitrary<FuzzValue>;
    case "object":
      return objects(schema);
    case "one":
      return fc.oneof(...schema.of.map((one) => valuesFor(one, name)));
    case "any":
      if (path.endsWith("/documents")) return documents;
      return name === "filter" ? filters : odd;
  }
}

/** The required members and a few of the others. */
function objects({ members, required }: Schema & { kind: "object" }): fc.Arbitrary<FuzzValue> {
  const optional = Object.keys(members).filter((name) => !required.includes(name));
  return fc
    .subarray(optional, { maxLength: Math.min(4, optional.length) })
    .chain((chosen) =>
      fc.record(
        Object.fromEntries(
          [...required, ...chosen].map((name) => [name, valuesFor(members[name] ?? { kind: "any" }, name)]),
        ),
      ),
    ) as fc.Arbitrary<FuzzValue>;
}
