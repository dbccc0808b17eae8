import { replaceMember } from "../json/edit.js";
import { findMember } from "../json/members.js";
import { compareHits, type Hit, hitAt, sequenceOf } from "./hit.js";
import { printDouble } from "./print-double.js";
import { RuleRanks } from "./rule-ranks.js";
import type { IndexFacts, JsonObject, SearchParameters } from "./search-parameters.js";

/** The words of a query of which nodes are to drop the most frequent ones. */
export type FrequencyQuery = {
  /** In the order of the query. */
  readonly words: readonly string[];
  /** Whether the last word may be the beginning of one. */
  readonly endsInPrefix: boolean;
};

/** The query without some of its words, of which documents are to match all that are left. */
export type FrequencyStep = {
  readonly q: string;
  /** How many words are left. */
  readonly words: number;
  /** Whether a word is missing in front of one that is left: then no attribute begins with the query. */
  readonly hasHole: boolean;
  /** As the score details of one node with all documents count them. */
  readonly matchingWords: number;
  readonly maxMatchingWords: number;
};

/**
 * The words of a search by `matchingStrategy: frequency` where they can be told without Meilisearch's tokenizer: words of letters and digits in
 * scripts that put spaces between words, and nothing else. Undefined for any other search, and for those whose hits another
 * rule takes away; nodes then drop words by their own counts.
 *
 * @param facts an index of which `words` is not the first ranking rule orders documents by something else before, and is left to its nodes; so is a
 *   query with stop words
 */
export function frequencyQuery(query: SearchParameters, facts: IndexFacts): FrequencyQuery | undefined {
  const { q, hybrid, rankingScoreThreshold } = query;
  if (query.matchingStrategy !== "frequency" || typeof q !== "string") return undefined;
  if ((query.distinct ?? facts.distinctAttribute) !== null || facts.ranksByWordsFirst === false)
    return undefined;
  if (typeof rankingScoreThreshold === "number" || (hybrid !== null && hybrid !== undefined))
    return undefined;
  if (!SPACED_WORDS.test(q)) return undefined;
  const words = q.split(/\s+/u).filter((word) => word !== "");
  const stops = new Set(facts.stopWords?.map((word) => word.toLowerCase()));
  if (words.length < 2 || words.length > MAX_WORDS || words.some((word) => stops.has(word.toLowerCase())))
    return undefined;
  return { words, endsInPrefix: !/\s$/u.test(q) };
}

const SPACED_WORDS =
  /^(?:[\p{Script=Latin}\p{Script=Cyrillic}\p{Script=Greek}\p{Script=Armenian}\p{Script=Georgian}\p{Mn}\p{Nd}]+\s*)+$/u;
/** Every combination of words but the rarest may be a step. */
const MAX_WORDS = 5;

/** What every part is to be asked for the number of its documents that have each word, in the order of the words. */
export function countBodies({ words, endsInPrefix }: FrequencyQuery, query: SearchParameters): JsonObject[] {
  return words.map((word, at) => ({
    q: endsInPrefix && at === words.length - 1 ? word : `${word} `,
    matchingStrategy: "all",
    attributesToSearchOn: query.attributesToSearchOn ?? undefined,
    locales: query.locales,
    limit: 0,
  }));
}

/**
 * The steps in which one node with all documents would drop words, by how many they drop. The rarest words stay; of the others, words that no document has
 * are held for the most frequent. Where a word is dropped, all more frequent ones behind it are, too; those in front of it need not be.
 *
 * @param counts how many of all documents have each word
 */
export function frequencySteps(
  { words, endsInPrefix }: FrequencyQuery,
  counts: readonly number[],
): FrequencyStep[][] {
  const frequencies = words.map((_, at) => counts[at] || Number.POSITIVE_INFINITY);
  const rarest = Math.min(...frequencies);
  const droppable = [...words.keys()].filter((at) => (frequencies[at] ?? 0) > rarest);
  const maxMatchingWords = 1 + droppable.length;
  const steps: FrequencyStep[][] = Array.from({ length: maxMatchingWords }, () => []);
  for (let set = 0; set < 1 << droppable.length; set++) {
    const dropped = new Set(droppable.filter((_, bit) => (set >> bit) & 1));
    if (!isAllowed(dropped, frequencies)) continue;
    steps[dropped.size]?.push({
      q: textWithout(words, dropped, endsInPrefix),
      words: words.length - dropped.size,
      hasHole: [...words.keys()].some((at) => !dropped.has(at) && [...dropped].some((other) => other < at)),
      matchingWords: maxMatchingWords - dropped.size,
      maxMatchingWords,
    });
  }
  return steps;
}

function isAllowed(dropped: ReadonlySet<number>, frequencies: readonly number[]): boolean {
  return [...dropped].every((at) =>
    frequencies.every(
      (frequency, other) => other <= at || frequency <= (frequencies[at] ?? 0) || dropped.has(other),
    ),
  );
}

/** A word that no document has, not to be found: it takes the place of a dropped word, so that the others keep theirs. */
const NO_WORD = "-qzxjvkwq";

function textWithout(words: readonly string[], dropped: ReadonlySet<number>, endsInPrefix: boolean): string {
  const last = words.findLastIndex((_, at) => !dropped.has(at));
  const text = words
    .slice(0, last + 1)
    .map((word, at) => (dropped.has(at) ? NO_WORD : word))
    .join(" ");
  return last === words.length - 1 && endsInPrefix ? text : `${text} `;
}

/** A step and its hits, best first. */
export type AnsweredStep = { readonly step: FrequencyStep; readonly hits: readonly Hit[] };

/**
 * The hits of steps that drop equally many words, in order: each document as the step shows it that ranks it best, without those that match all words of
 * an earlier step.
 *
 * @param seen the documents of earlier steps; those found here are added
 */
export function joinSteps(steps: readonly AnsweredStep[], seen: Set<string>, showsScores: boolean): Hit[] {
  const best = new Map<string, Hit>();
  for (const { step, hits } of steps) {
    for (const hit of hits) {
      const sequence = sequenceOf(hit);
      if (sequence === undefined || seen.has(sequence) || !matchesAll(hit)) continue;
      const found = asWholeWouldScore(hit, step, showsScores);
      const known = best.get(sequence);
      if (known === undefined || compareHits(found, known) < 0) best.set(sequence, found);
    }
  }
  for (const sequence of best.keys()) seen.add(sequence);
  return [...best.values()].sort(compareHits);
}

function matchesAll(hit: Hit): boolean {
  return hit.details.some((rule) => rule.kind === "words" && rule.matchingWords === rule.maxMatchingWords);
}

/** The hit with the score details that count the words which are left out. */
function asWholeWouldScore(hit: Hit, step: FrequencyStep, showsScores: boolean): Hit {
  const member = findMember(hit.bytes, DETAILS);
  if (member === undefined) return hit;
  const { matchingWords, maxMatchingWords, words, hasHole } = step;
  let details: Buffer = hit.bytes.subarray(member.valueStart, member.valueEnd);
  details = withEntry(details, "words", () => ({
    matchingWords,
    maxMatchingWords,
    score: matchingWords / maxMatchingWords,
  }));
  if (hasHole) {
    details = withEntry(details, "exactness", (entry) =>
      entry.matchType === "noExactMatch"
        ? undefined
        : { matchType: "noExactMatch", matchingWords: words, maxMatchingWords: words, score: 1 / 3 },
    );
  }
  const bytes = replaceMember(hit.bytes, DETAILS, details);
  const rescored = hitAt(bytes, hit.part, hit.position);
  if (!showsScores) return rescored;
  const score = new RuleRanks([rescored]).scoreOf(rescored, rescored.details);
  return hitAt(
    replaceMember(bytes, "_rankingScore", Buffer.from(printDouble(score))),
    hit.part,
    hit.position,
  );
}

const DETAILS = "_rankingScoreDetails";

/** Details with another entry for a rule, at its place in the order. */
function withEntry(
  details: Buffer,
  rule: string,
  change: (entry: JsonObject) => JsonObject | undefined,
): Buffer {
  const member = findMember(details, rule);
  if (member === undefined) return details;
  const entry = JSON.parse(details.toString("utf8", member.valueStart, member.valueEnd)) as JsonObject;
  const changed = change(entry);
  return changed === undefined
    ? details
    : replaceMember(details, rule, Buffer.from(JSON.stringify({ order: entry.order, ...changed })));
}
