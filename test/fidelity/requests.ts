import type { SeededRandom } from "../support/random.js";
import { EMBEDDER } from "./corpora.js";
import { wrongRequest } from "./wrong-requests.js";

/** A document of a corpus. */
export type CorpusDocument = Readonly<Record<string, unknown>>;

/** A search with the kind under which its result is reported. */
export interface FidelityRequest {
  readonly kind: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** What the corpus offers to ask about, found by looking at its documents. */
export interface CorpusShape {
  readonly textFields: readonly string[];
  readonly numberFields: readonly string[];
  /** Fields with few distinct string values. */
  readonly labelFields: readonly string[];
  /** Those number and label fields of which a document can have several values. */
  readonly listFields: readonly string[];
  readonly hasGeo: boolean;
  readonly hasVectors: boolean;
  readonly settings: Readonly<Record<string, unknown>>;
}

/** Finds the fields of a corpus and the settings that make the requests valid. */
export function corpusShape(documents: readonly CorpusDocument[], primaryKey: string): CorpusShape {
  const distinct = new Map<string, Set<string>>();
  const numbers = new Set<string>();
  const texts = new Set<string>();
  const lists = new Set<string>();
  for (const document of documents) {
    for (const [field, value] of Object.entries(document)) {
      if (field.startsWith("_")) continue;
      if (Array.isArray(value)) lists.add(field);
      for (const item of Array.isArray(value) ? value : [value]) {
        if (typeof item === "number" && field !== primaryKey) numbers.add(field);
        if (typeof item !== "string" || /^https?:/.test(item)) continue;
        texts.add(field);
        const values = distinct.get(field) ?? new Set();
        if (values.size <= 2_000) values.add(item);
        distinct.set(field, values);
      }
    }
  }
  const labelFields = [...distinct]
    .filter(([, values]) => values.size > 1 && values.size <= 400)
    .map(([field]) => field);
  const hasGeo = documents.some((document) => document._geo !== undefined && document._geo !== null);
  const hasVectors = documents.some((document) => document._vectors !== undefined);
  const attributes = [...new Set([...labelFields, ...numbers])].sort();
  // Only an index with a rule of patterns takes a search for the facets `*`.
  const labels = {
    attributePatterns: [...labelFields].filter((field) => !numbers.has(field)).sort(),
    features: { facetSearch: true, filter: { equality: true, comparison: true } },
  };
  return {
    textFields: [...texts].sort(),
    numberFields: [...numbers].sort(),
    labelFields: labelFields.sort(),
    listFields: attributes.filter((field) => lists.has(field)),
    hasGeo,
    hasVectors,
    settings: {
      filterableAttributes: [...[...numbers].sort(), ...(hasGeo ? ["_geo"] : []), labels],
      sortableAttributes: [
        ...new Set([...attributes, ...(distinct.has("title") ? ["title"] : []), ...(hasGeo ? ["_geo"] : [])]),
      ],
    },
  };
}

/** An endless, seeded stream of mixed searches over a corpus. */
export function createRequestGenerator(
  documents: readonly CorpusDocument[],
  shape: CorpusShape,
  primaryKey: string,
  random: SeededRandom,
): () => FidelityRequest {
  const words = (count: number): string => {
    for (let attempt = 0; attempt < 50; attempt++) {
      const value = random.pick(documents)[random.pick(shape.textFields)];
      const text = Array.isArray(value) ? value.filter((item) => typeof item === "string").join(" ") : value;
      if (typeof text !== "string") continue;
      const found = text.match(/[\p{L}\p{N}]+/gu)?.filter((word) => word.length > 1) ?? [];
      if (found.length < count) continue;
      const start = random.below(found.length - count + 1);
      return found.slice(start, start + count).join(" ");
    }
    return "the";
  };
  const query = (): string => words(1 + random.below(3));
  const prefix = (): string => {
    const text = query();
    return text.slice(0, Math.max(1, text.length - 1 - random.below(3)));
  };
  const typo = (): string => {
    const text = [...query()];
    const at = random.below(text.length);
    if (random.chance(0.5)) text.splice(at, 1);
    else text[at] = String.fromCharCode(97 + random.below(26));
    return text.join("");
  };
  const labelFilter = (): string => {
    const field = random.pick(shape.labelFields);
    const value = firstString(random.pick(documents)[field]);
    return value === undefined ? `${field} EXISTS` : `${field} = ${JSON.stringify(value)}`;
  };
  const numberFilter = (): string => {
    const field = random.pick(shape.numberFields);
    const value = random.pick(documents)[field];
    return typeof value === "number"
      ? `${field} ${random.pick(["<", ">=", "="])} ${value}`
      : `${field} EXISTS`;
  };
  const firstString = (value: unknown): string | undefined => {
    const item: unknown = Array.isArray(value) ? value[0] : value;
    return typeof item === "string" ? item : undefined;
  };
  const filter = (): unknown => {
    const parts = [
      ...(shape.labelFields.length > 0 ? [labelFilter] : []),
      ...(shape.numberFields.length > 0 ? [numberFilter] : []),
    ];
    const one = (): string => random.pick(parts)();
    return random.pick<() => unknown>([
      one,
      () => `${one()} OR ${one()}`,
      () => [one(), one()],
      () => [[one(), one()], `NOT ${one()}`],
    ])();
  };
  const sort = (): string[] => {
    const fields = [...shape.numberFields, ...shape.labelFields];
    return Array.from(
      { length: 1 + random.below(2) },
      () => `${random.pick(fields)}:${random.pick(["asc", "desc"])}`,
    );
  };
  const point = (): string => {
    const geo = random.pick(documents)._geo as { lat: number; lng: number } | null | undefined;
    return geo ? `${geo.lat}, ${geo.lng}` : "48.8, 2.3";
  };
  const vector = (): number[] =>
    Array.from({ length: EMBEDDER.dimensions }, () => Math.round((random.next() * 2 - 1) * 1e4) / 1e4);
  const hybrid = (ratio: number): Record<string, unknown> => ({
    vector: vector(),
    hybrid: { embedder: EMBEDDER.name, semanticRatio: ratio },
    limit: 1 + random.below(40),
  });
  const single = [...shape.labelFields, ...shape.numberFields].filter(
    (field) => !shape.listFields.includes(field),
  );
  const distinct = (fields: readonly string[]): Record<string, unknown> => ({
    q: random.chance(0.6) ? prefix() : "",
    distinct: random.pick(fields),
  });
  const kinds: [string, () => Record<string, unknown>][] = [
    ["plain", () => ({ q: query() })],
    ["plain", () => ({ q: query() })],
    ["prefix", () => ({ q: prefix() })],
    ["typo", () => ({ q: typo() })],
    ["phrase", () => ({ q: `"${words(2)}" ${random.chance(0.5) ? words(1) : ""}` })],
    ["negative", () => ({ q: `${words(1)} -${words(1)}` })],
    ["placeholder", () => ({ q: "", limit: 1 + random.below(40) })],
    ["filter", () => ({ q: random.chance(0.5) ? prefix() : "", filter: filter() })],
    ["sort", () => ({ q: random.chance(0.6) ? prefix() : "", sort: sort() })],
    [
      "facets",
      () => ({
        q: random.chance(0.6) ? prefix() : "",
        facets: random.chance(0.5) ? ["*"] : [random.pick([...shape.labelFields, ...shape.numberFields])],
      }),
    ],
    ["distinct", () => distinct(single)],
    // Documents with several values take each other away across nodes.
    ...(shape.listFields.length > 0
      ? ([["distinct list", () => distinct(shape.listFields)]] as [string, () => Record<string, unknown>][])
      : []),
    ["offset", () => ({ q: prefix(), offset: random.below(60), limit: 1 + random.below(40) })],
    ["pages", () => ({ q: prefix(), page: 1 + random.below(4), hitsPerPage: 1 + random.below(30) })],
    ["threshold", () => ({ q: query(), rankingScoreThreshold: Math.round(random.next() * 100) / 100 })],
    ["strategy", () => ({ q: words(3), matchingStrategy: random.pick(["all", "last"]) })],
    ["frequency", () => ({ q: words(3), matchingStrategy: "frequency" })],
    [
      "format",
      () => ({
        q: query(),
        attributesToHighlight: ["*"],
        attributesToCrop: [random.pick(shape.textFields)],
        showMatchesPosition: true,
      }),
    ],
    ["retrieve", () => ({ q: query(), attributesToRetrieve: [random.pick(shape.textFields), primaryKey] })],
    ["on", () => ({ q: prefix(), attributesToSearchOn: [random.pick(shape.textFields)] })],
    ...(shape.hasGeo
      ? ([
          [
            "geo",
            () => ({
              q: random.chance(0.5) ? prefix() : "",
              sort: [`_geoPoint(${point()}):${random.pick(["asc", "desc"])}`],
            }),
          ],
          ["geo", () => ({ q: "", filter: `_geoRadius(${point()}, ${100_000 + random.below(2_000_000)})` })],
        ] as [string, () => Record<string, unknown>][])
      : []),
    ...(shape.hasVectors
      ? ([
          ["semantic", () => hybrid(1)],
          ["semantic", () => ({ ...hybrid(1), filter: filter() })],
          ["hybrid", () => ({ ...hybrid((1 + random.below(9)) / 10), q: query() })],
          ["hybrid", () => ({ ...hybrid((1 + random.below(9)) / 10), q: prefix(), filter: filter() })],
        ] as [string, () => Record<string, unknown>][])
      : []),
    ["wrong", () => wrongRequest(shape, random)],
    ["wrong", () => wrongRequest(shape, random)],
  ];
  return () => {
    const [kind, make] = random.pick(kinds);
    return { kind, body: make() };
  };
}
