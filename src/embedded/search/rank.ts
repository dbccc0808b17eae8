import { ApiError } from "../errors.js";
import type { IndexState } from "../index-state.js";
import { matchingRule, sortedUnique } from "../settings.js";
import { keepAll, matchesPath, type Path, pathsAtLevel, type RemovalOrder, removalOrder } from "./paths.js";
import { type ParsedQuery, phrasePlaces, type SearchScope } from "./query.js";
import {
  attributeRankRule,
  type Bucket,
  exactAttributeRule,
  exactWordsRule,
  proximityRule,
  type Rule,
  sortRule,
  typoRule,
  wordPositionRule,
  wordsRule,
} from "./rules.js";
import { globalScore, type ScoreDetail } from "./score.js";
import type { SortCriterion } from "./sort.js";

/** A document in order, with how it came there. */
export interface RankedHit {
  readonly id: number;
  readonly details: readonly ScoreDetail[];
}

/** The ordered documents of a search, up to the page's end, and how many there are in all. */
export interface Ranking {
  readonly hits: readonly RankedHit[];
  readonly candidates: ReadonlySet<number>;
}

/** The documents that a query finds, before any ranking. */
export interface Candidates {
  readonly ids: number[];
  readonly order: RemovalOrder;
}

/** Finds what matches a query under a matching strategy. */
export function findCandidates(
  scope: SearchScope,
  query: ParsedQuery,
  strategy: "last" | "all" | "frequency",
): Candidates {
  const order = strategy === "all" ? keepAll(query) : removalOrder(query, removalCosts(query, strategy));
  const excluded = new Set<number>();
  for (const word of query.negativeWords) for (const id of scope.text.postings(word).keys()) excluded.add(id);
  for (const phrase of query.negativePhrases)
    for (const id of phrasePlaces(scope, phrase).keys()) excluded.add(id);
  const universe = [...scope.universe].filter((id) => !excluded.has(id));
  if (query.termCount === 0) return { ids: universe, order };
  const paths: Path[] = [];
  for (let level = 0; level <= order.maxLevel; level++) paths.push(...pathsAtLevel(query, order, level));
  return { ids: universe.filter((id) => paths.some((path) => matchesPath(id, path))), order };
}

function removalCosts(query: ParsedQuery, strategy: "last" | "frequency"): number[] {
  if (strategy === "last")
    return Array.from({ length: query.termCount }, (_, term) => query.termCount - term);
  const counts = Array.from({ length: query.termCount }, (_, term) => {
    const found = new Set<number>();
    for (const node of query.nodes) {
      if (node.firstTerm > term || node.lastTerm < term) continue;
      for (const id of node.matches.keys()) found.add(id);
    }
    return found.size === 0 ? Number.POSITIVE_INFINITY : found.size;
  });
  const ranked = [...new Set(counts)].sort((a, b) => b - a);
  return counts.map((count) => ranked.indexOf(count) + 1);
}

/** The rules that an index applies to a search. */
export function rulesFor(
  scope: SearchScope,
  index: IndexState,
  query: ParsedQuery | undefined,
  order: RemovalOrder | undefined,
  strategy: "last" | "all" | "frequency",
  sorts: readonly SortCriterion[],
): Rule[] {
  const rules: Rule[] = [];
  const done = new Set<string>();
  const sorted = new Set<string>();
  const once = (name: string, ...add: Rule[]) => {
    if (done.has(name)) return;
    done.add(name);
    rules.push(...add);
  };
  const addWords = () => {
    if (query !== undefined && order !== undefined && strategy !== "all")
      once("words", wordsRule(query, order));
  };
  const addSort = (criterion: SortCriterion) => {
    if (criterion.kind === "field") {
      if (sorted.has(criterion.field)) return;
      sorted.add(criterion.field);
    }
    rules.push(sortRule(index, criterion));
  };
  for (const rule of index.settings.rankingRules) {
    if (rule === "sort") {
      if (!done.has("sort")) for (const criterion of sorts) addSort(criterion);
      done.add("sort");
      continue;
    }
    const custom = /^(.+):(asc|desc)$/.exec(rule);
    if (custom !== null) {
      addSort({ kind: "field", field: custom[1] ?? "", ascending: custom[2] === "asc" });
      continue;
    }
    if (query === undefined) continue;
    addWords();
    if (rule === "typo") once("typo", typoRule);
    else if (rule === "proximity")
      once("proximity", proximityRule(index.settings.proximityPrecision === "byAttribute"));
    else if (rule === "attribute" && !done.has("attributeRank") && !done.has("wordPosition")) {
      once("attribute", attributeRankRule(scope.text), wordPositionRule);
    } else if (rule === "attributeRank" && !done.has("attribute"))
      once("attributeRank", attributeRankRule(scope.text));
    else if (rule === "wordPosition" && !done.has("attribute")) once("wordPosition", wordPositionRule);
    else if (rule === "exactness") once("exactness", exactAttributeRule(scope.text), exactWordsRule);
  }
  return rules;
}

/** How far to rank and what to leave out. */
export interface RankOptions {
  /** Rank until this many hits are found. */
  readonly until: number;
  /** Field of which each value occurs in one hit only. */
  readonly distinct: string | undefined;
  readonly threshold: number | undefined;
}

/** Orders documents by rules, then by internal id. */
export function rank(
  index: IndexState,
  ids: readonly number[],
  paths: readonly Path[],
  rules: readonly Rule[],
  options: RankOptions,
): Ranking {
  const candidates = new Set(ids);
  const hits: RankedHit[] = [];
  const sharers = options.distinct === undefined ? undefined : valueOwners(index, ids, options.distinct);
  const add = (id: number, details: readonly ScoreDetail[]) => {
    if (!candidates.has(id)) return;
    hits.push({ id, details });
    if (sharers === undefined || options.distinct === undefined) return;
    for (const value of distinctValues(index, id, options.distinct)) {
      for (const other of sharers.get(value) ?? []) if (other !== id) candidates.delete(other);
    }
  };
  const walk = (
    left: readonly number[],
    under: readonly Path[],
    depth: number,
    details: readonly ScoreDetail[],
  ) => {
    const rule = rules[depth];
    if (rule === undefined) {
      for (const id of [...left].sort((a, b) => a - b)) add(id, details);
      return;
    }
    const alive = left.filter((id) => candidates.has(id));
    const buckets = alive.length === 0 ? [] : rule(alive, under);
    for (const [i, bucket] of buckets.entries()) {
      if (hits.length >= options.until) return;
      const next = [...details, bucket.detail];
      if (options.threshold !== undefined && globalScore(next) < options.threshold) {
        for (const dropped of buckets.slice(i)) for (const id of dropped.ids) candidates.delete(id);
        return;
      }
      walk(bucket.ids, bucket.paths, depth + 1, next);
    }
  };
  walk(ids, paths, 0, []);
  return { hits, candidates };
}

/** The field by which hits are distinct, checked to be filterable where the request names it. */
export function distinctField(index: IndexState, asked: string | undefined): string | undefined {
  if (asked === undefined) return index.settings.distinctAttribute ?? undefined;
  const rule = matchingRule(index.rules, asked)?.rule;
  if (rule !== undefined && (rule.equality || rule.comparison)) return asked;
  const patterns = sortedUnique(index.rules.flatMap((one) => one.patterns));
  throw new ApiError(
    "invalid_search_distinct",
    `Index \`${index.uid}\`: Attribute \`${asked}\` is not filterable and thus, cannot be used as distinct attribute. ${
      patterns.length === 0
        ? "This index does not have configured filterable attributes."
        : `Available filterable attributes patterns are: \`${patterns.join(", ")}\`.`
    }`,
  );
}

function distinctValues(index: IndexState, id: number, field: string): (string | number)[] {
  const { numbers, strings } = index.facetsOf(id, field);
  return [...numbers, ...strings];
}

function valueOwners(
  index: IndexState,
  ids: readonly number[],
  field: string,
): Map<string | number, number[]> {
  const owners = new Map<string | number, number[]>();
  for (const id of ids) {
    for (const value of distinctValues(index, id, field)) {
      const list = owners.get(value);
      if (list === undefined) owners.set(value, [id]);
      else list.push(id);
    }
  }
  return owners;
}

/** The documents that remain when each value of `field` is kept once, in the order of ids. */
export function applyDistinct(index: IndexState, ids: readonly number[], field: string): number[] {
  const seen = new Set<string | number>();
  return ids.filter((id) => {
    const values = distinctValues(index, id, field);
    if (values.some((value) => seen.has(value))) return false;
    for (const value of values) seen.add(value);
    return true;
  });
}

export type { Bucket };
