import { objectMembers } from "../json/members.js";
import { SEQUENCE_FIELD } from "../placement/injected-fields.js";
import { attributeView } from "./attribute-view.js";
import { type ClientView, clientHit } from "./client-hit.js";
import { type Hit, memberText, rankingScoreOf } from "./hit.js";
import { standInForAttribute } from "./injected-fields.js";
import { mergeHits } from "./merge-hits.js";
import { numberMember, type PartAnswer, parsePartAnswer, totalOf } from "./part-answer.js";
import { relevancyRules } from "./relevancy-rules.js";
import type { IndexFacts, JsonObject, JsonValue } from "./search-parameters.js";
import { compareUtf8 } from "./text-order.js";

/** What a client asks of similar documents, already validated. */
export type SimilarParameters = {
  readonly embedder: string;
  readonly offset?: number;
  readonly limit?: number;
  readonly filter?: JsonValue;
  readonly attributesToRetrieve?: readonly string[] | null;
  readonly retrieveVectors?: boolean;
  readonly showRankingScore?: boolean;
  readonly showRankingScoreDetails?: boolean;
  readonly showPerformanceDetails?: boolean;
  readonly rankingScoreThreshold?: number | null;
};

const DEFAULT_LIMIT = 20;

/** Most hits that one part is asked for. */
const MAX_HITS_OF_A_PART = 100_000;

/**
 * How a search by vector ranks under an index's ranking rules: by similarity `first`, by similarity `later` than by some
 * attribute, or not at all (`never`).
 */
export function similarityRule(rankingRules: readonly string[]): "first" | "later" | "never" {
  const at = rankingRules.findIndex((rule) => relevancyRules.has(rule));
  if (at === -1) return "never";
  return rankingRules.slice(0, at).some((rule) => /:(?:asc|desc)$/.test(rule)) ? "later" : "first";
}

/** What every part is asked: the hits up to the page's end with what they are merged by. */
function commonAsk(query: SimilarParameters, facts: IndexFacts): JsonObject {
  const { toRetrieve } = viewOf(query, facts);
  return {
    offset: 0,
    attributesToRetrieve: toRetrieve === undefined ? undefined : [...toRetrieve, SEQUENCE_FIELD],
    retrieveVectors: query.retrieveVectors,
    showRankingScore: true,
    showRankingScoreDetails: true,
  };
}

/** The body of `/similar` for the part that holds the document; `id` as nodes take it, `filter` as the part needs it. */
export function similarAsk(
  query: SimilarParameters,
  facts: IndexFacts,
  id: string,
  filter: JsonValue | undefined,
): string {
  return JSON.stringify({
    ...commonAsk(query, facts),
    id,
    embedder: query.embedder,
    filter,
    limit: Math.min(endOf(query), MAX_HITS_OF_A_PART),
    showPerformanceDetails: query.showPerformanceDetails,
  });
}

/** An attribute by which no node can tell documents apart: it may be filtered by, and no document has it. */
const NO_ATTRIBUTE = "_miroir_shard.none";

/**
 * The body of `/search` for a part that does not hold the document: the documents nearest to its vector.
 *
 * @param vector JSON text, as a node gave it
 * @param ranks where similarity does not rank first, as many hits as a search gives are asked for, to be ordered here
 */
export function nearestAsk(
  query: SimilarParameters,
  facts: IndexFacts,
  vector: string,
  ranks: "first" | "later",
  filter: JsonValue | undefined,
): string {
  const end = Math.min(endOf(query), facts.maxTotalHits);
  const ask = JSON.stringify({
    ...commonAsk(query, facts),
    hybrid: { embedder: query.embedder, semanticRatio: 1 },
    filter,
    limit: ranks === "first" ? end : facts.maxTotalHits,
    // A search leaves duplicates out under the index's distinct attribute, and similar documents do not.
    distinct: NO_ATTRIBUTE,
  });
  return `${ask.slice(0, -1)},"vector":${vector}}`;
}

/** A part's answer to {@link similarAsk} or {@link nearestAsk}. */
export type SimilarAnswer = {
  readonly body: Buffer;
  /** Whether its hits are in the order of similarity as they stand. */
  readonly isRanked: boolean;
};

/**
 * The answer to the client, merged by similarity; equals in order of insertion.
 *
 * @param id the document's, as text
 */
export function mergeSimilar(
  query: SimilarParameters,
  facts: IndexFacts,
  id: string,
  answers: readonly SimilarAnswer[],
): Buffer {
  const parts = answers.map(({ body, isRanked }, at) => ({ answer: parsePartAnswer(body, at), isRanked }));
  const ranked = rankSimilar(
    parts.map(({ answer, isRanked }) => {
      const hits = answer.hits.filter((hit) => similarityOf(hit) !== undefined);
      return isRanked ? hits : hits.sort(compareSimilar);
    }),
    endOf(query),
  );
  const { page, total } = pageOf(ranked, query, sum(parts.map(({ answer }) => totalOf(answer))));
  const view = clientViewOf(query, facts);
  const hits = page.map((hit) => shownHit(hit, view, query.showRankingScoreDetails === true));
  const took = Math.max(0, ...parts.map(({ answer }) => numberMember(answer, "processingTimeMs")));
  const members = [
    `"id":${JSON.stringify(id)}`,
    `"processingTimeMs":${took}`,
    `"limit":${query.limit ?? DEFAULT_LIMIT}`,
    `"offset":${query.offset ?? 0}`,
    `"estimatedTotalHits":${Math.min(total, facts.maxTotalHits)}`,
    ...performanceDetails(parts.map(({ answer }) => answer)),
  ];
  return Buffer.concat([
    Buffer.from('{"hits":['),
    ...hits.flatMap((hit, at) => (at === 0 ? [hit] : [COMMA, hit])),
    Buffer.from(`],${members.join(",")}}`),
  ]);
}

const COMMA = Buffer.from(",");

/**
 * The page, and how many documents are similar at all. A node looks at the score of what it shows alone: a threshold
 * ends the page, and the total, at the first document on it that is below.
 */
function pageOf(
  ranked: readonly Hit[],
  query: SimilarParameters,
  all: number,
): { readonly page: readonly Hit[]; readonly total: number } {
  const offset = query.offset ?? 0;
  const page = ranked.slice(offset);
  const threshold = query.rankingScoreThreshold ?? null;
  const below = threshold === null ? -1 : page.findIndex((hit) => rankingScoreOf(hit) < threshold);
  return below === -1 ? { page, total: all } : { page: page.slice(0, below), total: offset + below };
}

function rankSimilar(lists: readonly (readonly Hit[])[], end: number): Hit[] {
  const ranked: Hit[] = [];
  if (end === 0) return ranked;
  for (const hit of mergeHits(lists, compareSimilar)) {
    ranked.push(hit);
    if (ranked.length === end) break;
  }
  return ranked;
}

function compareSimilar(a: Hit, b: Hit): number {
  const difference = (similarityOf(b) ?? -1) - (similarityOf(a) ?? -1);
  if (difference !== 0) return difference;
  const [left, right] = [memberText(a, SEQUENCE_FIELD), memberText(b, SEQUENCE_FIELD)];
  return compareUtf8(left ?? "", right ?? "") || a.part - b.part || a.position - b.position;
}

/** Undefined for a document without a vector, which is similar to none. */
function similarityOf(hit: Hit): number | undefined {
  for (const rule of hit.details) {
    if (rule.kind === "vector") return rule.similarity ?? undefined;
  }
  return undefined;
}

function endOf({ offset = 0, limit = DEFAULT_LIMIT }: SimilarParameters): number {
  return offset + limit;
}

function viewOf(query: SimilarParameters, facts: IndexFacts) {
  const attributesToRetrieve = query.attributesToRetrieve?.map(standInForAttribute);
  return attributeView({ attributesToRetrieve }, facts.displayedAttributes, []);
}

function clientViewOf(query: SimilarParameters, facts: IndexFacts): ClientView {
  return {
    attributes: viewOf(query, facts),
    tail: ["_rankingScore", "_rankingScoreDetails"],
    showRankingScore: query.showRankingScore === true,
    showRankingScoreDetails: false,
  };
}

/** A search's details tell of more rules than that of similarity: they are printed anew, with the node's number. */
function shownHit(hit: Hit, view: ClientView, showDetails: boolean): Buffer {
  const shown = clientHit(hit.bytes, view);
  if (!showDetails) return shown;
  const open = shown.subarray(0, shown.length - 1);
  const details = `"_rankingScoreDetails":{"vectorSort":{"order":0,"similarity":${similarityText(hit.bytes)}}}}`;
  return Buffer.concat([open, Buffer.from(objectMembers(shown).length === 0 ? details : `,${details}`)]);
}

function similarityText(hit: Buffer): string {
  let text = "null";
  const details = objectMembers(hit).findLast(({ key }) => key === "_rankingScoreDetails");
  if (details === undefined) return text;
  const rule = objectMembers(hit, details.valueStart).find(({ key }) => key === "vectorSort");
  for (const { key, valueStart, valueEnd } of rule === undefined ? [] : objectMembers(hit, rule.valueStart)) {
    if (key === "similarity") text = hit.toString("latin1", valueStart, valueEnd);
  }
  return text;
}

function performanceDetails(answers: readonly PartAnswer[]): string[] {
  const raw = answers
    .map(({ members }) => members.get("performanceDetails"))
    .find((one) => one !== undefined);
  return raw === undefined ? [] : [`"performanceDetails":${raw.toString("utf8")}`];
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}
