import { compareSortValues } from "../../../src/merge/compare.js";
import { normalizeFacet } from "../../../src/merge/text-order.js";

/** A document of the model, with what ranking rules would say of it. */
export type ModelDocument = {
  /** Insertion order, from 0. */
  readonly sequence: number;
  /** Members as raw JSON text, in order. */
  readonly fields: readonly (readonly [key: string, raw: string])[];
  /** Words that match, from 1 to 4. */
  readonly words: number;
  readonly price: number | string | null;
  /** Facet and distinct value; null for none. */
  readonly colour: string | null;
};

/** What the model understands of a search. */
export type ModelQuery = {
  readonly offset?: number | undefined;
  readonly limit?: number | undefined;
  readonly page?: number | undefined;
  readonly hitsPerPage?: number | undefined;
  readonly sort?: readonly string[] | undefined;
  readonly facets?: readonly string[] | undefined;
  readonly distinct?: string | undefined;
  readonly attributesToRetrieve?: readonly string[] | undefined;
  readonly rankingScoreThreshold?: number | undefined;
  readonly showRankingScore?: boolean | undefined;
  readonly showRankingScoreDetails?: boolean | undefined;
};

export type ModelSettings = {
  readonly maxTotalHits: number;
  readonly maxValuesPerFacet: number;
  /** Whether the node belongs to a fleet: documents carry Miroir's fields, and their sequence is a ranking rule. */
  readonly isMember: boolean;
};

const MAX_WORDS = 4;

/** The naive node: sorts everything, then cuts. Prints what Meilisearch would. */
export function modelSearch(
  documents: readonly ModelDocument[],
  query: ModelQuery,
  settings: ModelSettings,
): Buffer {
  const finite = query.page !== undefined || query.hitsPerPage !== undefined;
  const hitsPerPage = query.hitsPerPage ?? 20;
  const page = query.page ?? 1;
  const askedOffset = finite ? (page === 0 ? 0 : (page - 1) * hitsPerPage) : (query.offset ?? 0);
  const askedLimit = finite ? (page === 0 ? 0 : hitsPerPage) : (query.limit ?? 20);
  const end = Math.min(askedOffset + askedLimit, settings.maxTotalHits);
  const ranked = rank(documents, query, { offset: askedOffset, end, isExhaustive: finite }, settings);
  const total = ranked.candidates.length;
  const members = [`"hits":[${ranked.hits.map((hit) => printHit(hit, query, settings)).join(",")}]`];
  members.push('"query":""', '"processingTimeMs":0');
  if (finite) {
    const pages = hitsPerPage === 0 ? 0 : Math.ceil(total / hitsPerPage);
    members.push(
      `"hitsPerPage":${hitsPerPage}`,
      `"page":${page}`,
      `"totalPages":${pages}`,
      `"totalHits":${total}`,
    );
  } else {
    members.push(`"limit":${askedLimit}`, `"offset":${askedOffset}`, `"estimatedTotalHits":${total}`);
  }
  if (query.facets !== undefined) {
    members.push(`"facetDistribution":${printFacets(ranked.candidates, query.facets, settings)}`);
    members.push('"facetStats":{}');
  }
  return Buffer.from(`{${members.join(",")}}`);
}

function rank(
  documents: readonly ModelDocument[],
  query: ModelQuery,
  { offset, end, isExhaustive }: { offset: number; end: number; isExhaustive: boolean },
  { isMember }: ModelSettings,
): { hits: ModelDocument[]; candidates: readonly ModelDocument[] } {
  const byRules = (a: ModelDocument, b: ModelDocument): number =>
    b.words - a.words || (query.sort === undefined ? 0 : byPrice(a, b, query.sort));
  const ordered = [...documents].sort((a, b) => byRules(a, b) || a.sequence - b.sequence);
  const candidates = new Set(documents);
  const shown: ModelDocument[] = [];
  const looksAtAll = isExhaustive && query.rankingScoreThreshold !== undefined;
  for (const document of ordered) {
    if (!looksAtAll && shown.length >= end) {
      // Distinct is applied to all documents at once of which the rules say the same.
      const last = shown.at(-1);
      const isTied = !isMember && last !== undefined && byRules(last, document) === 0;
      if (query.distinct === undefined || !isTied) break;
    }
    if (!candidates.has(document)) continue;
    if (document.words / MAX_WORDS < (query.rankingScoreThreshold ?? 0)) {
      candidates.delete(document);
      continue;
    }
    shown.push(document);
    if (query.distinct === undefined || document.colour === null) continue;
    for (const other of documents)
      if (sameColour(other, document) && other !== document) candidates.delete(other);
  }
  const hits = shown.slice(offset, end);
  if (!isExhaustive || query.distinct === undefined) return { hits, candidates: [...candidates] };
  const first = [...candidates].filter(
    (document) =>
      document.colour === null ||
      ![...candidates].some((other) => other.sequence < document.sequence && sameColour(other, document)),
  );
  return { hits, candidates: first };
}

function sameColour(a: ModelDocument, b: ModelDocument): boolean {
  return a.colour !== null && b.colour !== null && normalizeFacet(a.colour) === normalizeFacet(b.colour);
}

function byPrice(a: ModelDocument, b: ModelDocument, sort: readonly string[]): number {
  return compareSortValues(a.price, b.price, sort[0] === "price:asc");
}

function printHit(document: ModelDocument, query: ModelQuery, settings: ModelSettings): string {
  const fields = [...document.fields];
  if (document.colour !== null) fields.push(["colour", JSON.stringify(document.colour)]);
  if (settings.isMember) {
    fields.push(["_miroir_shard", '"(((("'], ["_miroir_seq", JSON.stringify(sequenceText(document))]);
  }
  const { attributesToRetrieve } = query;
  const members = fields
    .filter(([key]) => attributesToRetrieve === undefined || attributesToRetrieve.includes(key))
    .map(([key, raw]) => `${JSON.stringify(key)}:${raw}`);
  const score = document.words / MAX_WORDS;
  if (query.showRankingScore === true) members.push(`"_rankingScore":${score}`);
  if (query.showRankingScoreDetails === true) {
    const rules = [
      `"words":{"order":0,"matchingWords":${document.words},"maxMatchingWords":${MAX_WORDS},"score":${score}}`,
    ];
    const add = (name: string, value: string): void => {
      rules.push(`${JSON.stringify(name)}:{"order":${rules.length},"value":${value}}`);
    };
    if (query.sort !== undefined) add(query.sort[0] ?? "", JSON.stringify(document.price));
    if (settings.isMember) add("_miroir_seq:asc", JSON.stringify(sequenceText(document)));
    members.push(`"_rankingScoreDetails":{${rules.join(",")}}`);
  }
  return `{${members.join(",")}}`;
}

function sequenceText(document: ModelDocument): string {
  return String(document.sequence).padStart(18, "0");
}

function printFacets(
  candidates: readonly ModelDocument[],
  facets: readonly string[],
  settings: ModelSettings,
): string {
  const printed: string[] = [];
  if (facets.includes("_miroir_shard") || (facets.includes("*") && settings.isMember)) {
    printed.push(`"_miroir_shard":{"((((":${candidates.length}}`);
  }
  if (facets.includes("colour") || facets.includes("*")) {
    const counts = new Map<string, { label: string; count: number }>();
    for (const { colour } of [...candidates].sort((a, b) => a.sequence - b.sequence)) {
      if (colour === null) continue;
      const known = counts.get(normalizeFacet(colour));
      if (known === undefined) counts.set(normalizeFacet(colour), { label: colour, count: 1 });
      else known.count++;
    }
    const values = [...counts].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    const cut = values.slice(0, settings.maxValuesPerFacet);
    printed.push(
      `"colour":{${cut.map(([, { label, count }]) => `${JSON.stringify(label)}:${count}`).join(",")}}`,
    );
  }
  return `{${printed.join(",")}}`;
}
