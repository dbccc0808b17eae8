import type { Hit } from "./hit.js";
import type { RuleDetails } from "./score-details.js";

/** A place among possible ranks: `rank` of `of`, the higher the better. Whole numbers. */
export type Rank = { readonly rank: number; readonly of: number };

/**
 * Turns score details back into ranks, and joins those of several rules into one score, as Meilisearch does. That takes how many
 * ranks each rule has, which depends on how many words of the query a document matches. Counts tell it; where details give a score
 * alone, it is known of some rules, and learnt for the others from the scores of all hits with as many matching words: a rule with n
 * ranks gives multiples of 1/n. The maxima of counts are the greatest that any part named, since the whole would have named
 * them, as long as each part names one for all of its hits.
 */
export class RuleRanks {
  readonly #hits: readonly Hit[];
  #known: ReadonlyMap<number, KnownRanks> | undefined;

  /** @param hits all hits of one query, of every part */
  constructor(hits: readonly Hit[]) {
    this.#hits = hits;
  }

  /** The score that a run of the hit's rules gives, from 0 to 1; other rules than ranking rules in it do not count. */
  scoreOf(hit: Hit, run: readonly RuleDetails[]): number {
    const known = this.#knownOf(hit);
    let rank = 1;
    let of = 1;
    for (const inner of run.flatMap((rule) => ranksOf(rule, known))) {
      // The rules so far gave a rank; this one divides the step below it.
      rank = Math.max(0, rank - 1) * inner.of + inner.rank;
      of *= inner.of;
    }
    return rank / of;
  }

  /** Whether the hit's own maxima are those of all hits: its `_rankingScore` is then comparable as it is. */
  hasGreatestMaxima(hit: Hit): boolean {
    const known = this.#knownOf(hit);
    return hit.details.every((rule) => {
      const own = maximumOf(rule);
      return own === undefined || own === greatest(rule, own, known);
    });
  }

  #knownOf(hit: Hit): KnownRanks {
    this.#known ??= learnRanks(this.#hits);
    return this.#known.get(matchingWordsOf(hit)) ?? NOTHING_KNOWN;
  }
}

/** By rule: how many ranks it has, and the greatest count that it could have given. */
type KnownRanks = {
  /** How many words of the query match; 0 where no rule tells. */
  readonly words: number;
  readonly ranks: Map<string, number>;
  /** By rule and part; undefined for a rule that gives a part's own hits different ones: they say nothing of other parts'. */
  readonly maxima: Map<string, Map<number, number> | undefined>;
};

const NOTHING_KNOWN: KnownRanks = { words: 0, ranks: new Map(), maxima: new Map() };

function greatest(rule: RuleDetails, own: number, { maxima }: KnownRanks): number {
  return Math.max(own, ...(maxima.get(rule.name)?.values() ?? []));
}

function ranksOf(rule: RuleDetails, known: KnownRanks): Rank[] {
  const { words, ranks } = known;
  const maximum = (own: number): number => greatest(rule, own, known);
  const byScore = (name: string, score: number): Rank => {
    const learnt = ranks.get(name) ?? denominatorOf(score);
    const usual = usualRanks(name, words);
    const of = usual !== undefined && usual % learnt === 0 ? usual : learnt;
    return { rank: Math.round(score * of), of };
  };
  switch (rule.kind) {
    case "words":
      return [{ rank: rule.matchingWords, of: maximum(rule.maxMatchingWords) || 1 }];
    case "typo": {
      const of = maximum(rule.maxTypoCount) + 1;
      return [{ rank: Math.max(0, of - rule.typoCount), of }];
    }
    case "exactness": {
      if (rule.matchType === "exactMatch") return [{ rank: 3, of: 3 }];
      if (rule.matchType === "matchesStart") return [{ rank: 2, of: 3 }];
      return [
        { rank: 1, of: 3 },
        { rank: rule.exactWords + 1, of: maximum(rule.maxExactWords) + 1 },
      ];
    }
    case "attribute":
      return [byScore(`${rule.name} rank`, rule.rankScore), byScore(DISTANCE, rule.distanceScore)];
    case "score":
      return [byScore(rule.name, rule.score)];
    case "skipped":
      return [{ rank: 0, of: 1 }];
    default:
      return [];
  }
}

/** The second half of the rule `attribute`. */
const DISTANCE = "attribute distance";

/**
 * How many ranks a rule has for so many words, as Meilisearch's rules are made: up to 7 steps between two neighbours, up to 10
 * for a word's position. Undefined where it depends on the index.
 */
function usualRanks(name: string, words: number): number | undefined {
  if (words === 0) return undefined;
  if (name === "proximity") return 7 * (words - 1) + 1;
  return name === "wordPosition" || name === DISTANCE ? 10 * words + 1 : undefined;
}

function matchingWordsOf(hit: Hit): number {
  for (const rule of hit.details) if (rule.kind === "words") return rule.matchingWords;
  return 0;
}

function learnRanks(hits: readonly Hit[]): Map<number, KnownRanks> {
  const byWords = new Map<number, KnownRanks>();
  for (const hit of hits) {
    const words = matchingWordsOf(hit);
    const known = byWords.get(words) ?? { words, ranks: new Map(), maxima: new Map() };
    byWords.set(words, known);
    for (const rule of hit.details) learnRule(rule, hit.part, known);
  }
  return byWords;
}

function learnRule(rule: RuleDetails, part: number, { ranks, maxima }: KnownRanks): void {
  const learn = (name: string, score: number): void => {
    const common = leastCommonMultiple(ranks.get(name) ?? 1, denominatorOf(score));
    if (common <= MAX_DENOMINATOR) ranks.set(name, common);
  };
  const maximum = maximumOf(rule);
  if (maximum !== undefined) {
    if (!maxima.has(rule.name)) maxima.set(rule.name, new Map());
    const byPart = maxima.get(rule.name);
    if ((byPart?.get(part) ?? maximum) !== maximum) maxima.set(rule.name, undefined);
    else byPart?.set(part, maximum);
  }
  if (rule.kind === "score") learn(rule.name, rule.score);
  if (rule.kind === "attribute") {
    learn(`${rule.name} rank`, rule.rankScore);
    learn(DISTANCE, rule.distanceScore);
  }
}

/** The greatest count that a rule could have given, where its details say so. */
function maximumOf(rule: RuleDetails): number | undefined {
  if (rule.kind === "words") return rule.maxMatchingWords;
  if (rule.kind === "typo") return rule.maxTypoCount;
  return rule.kind === "exactness" && rule.matchType === "noExactMatch" ? rule.maxExactWords : undefined;
}

const MAX_DENOMINATOR = 4096;

/** The least n of which `score` is a multiple of 1/n. */
function denominatorOf(score: number): number {
  for (let n = 1; n <= MAX_DENOMINATOR; n++) {
    if (Math.abs(score * n - Math.round(score * n)) < 1e-9) return n;
  }
  return MAX_DENOMINATOR;
}

function leastCommonMultiple(a: number, b: number): number {
  let x = a;
  let y = b;
  while (y !== 0) [x, y] = [y, x % y];
  return (a / x) * b;
}
