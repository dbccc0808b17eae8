import type { IndexState } from "../index-state.js";
import {
  matchedTerms,
  matchesOf,
  matchesPath,
  type Path,
  pathOf,
  pathsAtLevel,
  type RemovalOrder,
  type Step,
  termCount,
} from "./paths.js";
import type { Match, ParsedQuery } from "./query.js";
import type { Rank, ScoreDetail } from "./score.js";
import { bucketsOf, type SortCriterion } from "./sort.js";
import { fieldOf, positionOf, type TextIndex } from "./text-index.js";

/** Documents of equal rank under a rule, and the readings of the query that led to them. */
export interface Bucket {
  readonly ids: readonly number[];
  readonly paths: readonly Path[];
  readonly detail: ScoreDetail;
}

/** A ranking rule: splits documents into buckets, best first. */
export type Rule = (ids: readonly number[], paths: readonly Path[]) => Bucket[];

const NO_COST = Number.POSITIVE_INFINITY;

/**
 * Splits documents by the cost of their cheapest path. The readings that go on are those by which some
 * document of the bucket was found.
 */
function splitByCost(
  ids: readonly number[],
  paths: readonly Path[],
  cost: (id: number, path: Path) => number,
  detail: (cost: number) => ScoreDetail,
  refine: (id: number, path: Path) => Path = (_, path) => path,
): Bucket[] {
  const buckets = new Map<number, { ids: number[]; paths: Map<string, Path> }>();
  for (const id of ids) {
    let lowest = NO_COST;
    let chosen: Path | undefined;
    for (const path of paths) {
      const own = cost(id, path);
      if (own < lowest) {
        lowest = own;
        chosen = path;
      }
    }
    if (chosen === undefined) continue;
    let bucket = buckets.get(lowest);
    if (bucket === undefined) {
      bucket = { ids: [], paths: new Map() };
      buckets.set(lowest, bucket);
    }
    bucket.ids.push(id);
    const refined = refine(id, chosen);
    bucket.paths.set(refined.key, refined);
  }
  return [...buckets]
    .sort(([a], [b]) => a - b)
    .map(([value, bucket]) => ({
      ids: bucket.ids,
      paths: [...bucket.paths.values()],
      detail: detail(value),
    }));
}

function sumOver(path: Path, cost: (step: Step, previous: Step | undefined) => number): number {
  let sum = 0;
  let previous: Step | undefined;
  for (const step of path.steps) {
    const own = cost(step, previous);
    if (own === NO_COST) return NO_COST;
    sum += own;
    previous = step;
  }
  return sum;
}

function highest(paths: readonly Path[], cost: (step: Step, previous: Step | undefined) => number): number {
  return paths.reduce((max, path) => Math.max(max, sumOver(path, cost)), 0);
}

function rank(cost: number, max: number): Rank {
  return { rank: max + 1 - cost, max: max + 1 };
}

/** `words`: the more terms match, in the order in which the strategy drops them, the better. */
export function wordsRule(query: ParsedQuery, order: RemovalOrder): Rule {
  const phraseWords = query.nodes.reduce(
    (sum, node) => sum + (node.phrase?.filter((word) => word !== null).length ?? 0),
    0,
  );
  const removable = order.levelOfTerm.filter((level) => level <= order.maxLevel).length;
  const max = 1 + Math.max(0, phraseWords - 1) + removable;
  return (ids) => {
    const buckets = new Map<number, { ids: number[]; paths: Map<string, Path> }>();
    let left = ids;
    for (let level = 0; level <= order.maxLevel && left.length > 0; level++) {
      const paths = pathsAtLevel(query, order, level);
      const skippedOf = new Map(paths.map((path) => [path.key, query.termCount - matchedTerms(path)]));
      const rest: number[] = [];
      for (const id of left) {
        let chosen: Path | undefined;
        let skipped = NO_COST;
        for (const path of paths) {
          const own = skippedOf.get(path.key) ?? NO_COST;
          if (own < skipped && matchesPath(id, path)) {
            chosen = path;
            skipped = own;
          }
        }
        if (chosen === undefined) {
          rest.push(id);
          continue;
        }
        let bucket = buckets.get(skipped);
        if (bucket === undefined) {
          bucket = { ids: [], paths: new Map() };
          buckets.set(skipped, bucket);
        }
        bucket.ids.push(id);
        bucket.paths.set(chosen.key, chosen);
      }
      left = rest;
    }
    return [...buckets]
      .sort(([a], [b]) => a - b)
      .map(([skipped, bucket]) => ({
        ids: bucket.ids.sort((a, b) => a - b),
        paths: [...bucket.paths.values()],
        detail: { kind: "words", matching: max - skipped, max },
      }));
  };
}

/** `typo`: the fewer typos the better; terms written together cost their number. */
export const typoRule: Rule = (ids, paths) => {
  const base = (step: Step) => (termCount(step.node) === 1 ? 0 : termCount(step.node));
  const max = highest(paths, (step) => step.node.maxTypos + base(step));
  const fewest = (id: number, step: Step) =>
    matchesOf(id, step).reduce((low, match) => Math.min(low, match.typos), NO_COST);
  return splitByCost(
    ids,
    paths,
    (id, path) => sumOver(path, (step) => fewest(id, step) + base(step)),
    (count) => ({ kind: "typo", count, max }),
    (id, path) => pathOf(path.steps.map((step) => ({ ...step, typos: 1 << fewest(id, step) }))),
  );
};

/** Words further apart than this, or in different fields, are equally far apart. */
const MAX_PROXIMITY = 3;

/** `proximity`: the closer neighbouring terms stand, the better; the wrong order costs one more. */
export function proximityRule(byAttribute: boolean): Rule {
  const extra = (step: Step) => termCount(step.node) - 1;
  const adjacent = (previous: Step | undefined, step: Step) =>
    previous !== undefined && previous.node.lastPosition + 1 === step.node.firstPosition;
  return (ids, paths) => {
    const max = highest(
      paths,
      (step, previous) => extra(step) + (adjacent(previous, step) ? MAX_PROXIMITY : 0),
    );
    const costs = new Map<string, number>();
    const pairCost = (id: number, left: Step, right: Step): number => {
      const key = `${id} ${left.node.firstTerm}-${left.node.lastTerm}:${left.typos} ${right.node.firstTerm}-${right.node.lastTerm}:${right.typos}`;
      let cost = costs.get(key);
      if (cost === undefined) {
        cost = closest(matchesOf(id, left), matchesOf(id, right), byAttribute);
        costs.set(key, cost);
      }
      return cost;
    };
    return splitByCost(
      ids,
      paths,
      (id, path) =>
        sumOver(path, (step, previous) => {
          if (matchesOf(id, step).length === 0) return NO_COST;
          const pair = previous !== undefined && adjacent(previous, step) ? pairCost(id, previous, step) : 0;
          return extra(step) + pair;
        }),
      (cost) => ({ kind: "proximity", rank: rank(cost, max) }),
    );
  };
}

function closest(left: readonly Match[], right: readonly Match[], byAttribute: boolean): number {
  let best = MAX_PROXIMITY;
  for (const a of left) {
    for (const b of right) {
      const reversible = a.phrase === undefined && b.phrase === undefined && !b.forwardOnly;
      for (const from of a.last) {
        for (const to of b.first) {
          if (fieldOf(from) !== fieldOf(to)) continue;
          const distance = to - from;
          if (byAttribute) {
            if (distance !== 0) best = Math.min(best, distance > 0 ? 0 : 1);
          } else if (distance > 0) best = Math.min(best, distance - 1);
          else if (distance < 0 && reversible) best = Math.min(best, -distance);
          if (best === 0) return 0;
        }
      }
    }
  }
  return best;
}

/** `attributeRank`: the earlier in `searchableAttributes` the terms stand, the better. */
export function attributeRankRule(text: TextIndex): Rule {
  const weights = text.fields.map((_, field) => text.weight(field));
  const maxWeight = text.maxWeight();
  return (ids, paths) => {
    const max = highest(paths, (step) => maxWeight * termCount(step.node));
    return splitByCost(
      ids,
      paths,
      (id, path) =>
        sumOver(path, (step) => {
          let lowest = NO_COST;
          for (const match of matchesOf(id, step)) {
            for (const place of match.first) lowest = Math.min(lowest, weights[fieldOf(place)] ?? 0);
          }
          return lowest * termCount(step.node);
        }),
      (cost) => ({ kind: "attributeRank", rank: rank(cost, max) }),
    );
  };
}

/** Positions far from the start are known roughly: from 16 on up to the next power of two. */
function bucketedPosition(position: number): number {
  if (position < 16) return position;
  return position < 24 ? 24 : 2 ** Math.ceil(Math.log2(position));
}

const POSITION_COSTS = [
  [0, 0],
  [1, 1],
  [4, 2],
  [7, 3],
  [11, 4],
  [16, 5],
  [24, 6],
  [64, 7],
  [256, 8],
  [1024, 9],
] as const;

function positionCost(distance: number): number {
  return POSITION_COSTS.find(([limit]) => distance <= limit)?.[1] ?? 10;
}

/** `wordPosition`: the closer to its position in the query a term stands in its field, the better. */
export const wordPositionRule: Rule = (ids, paths) => {
  const max = highest(paths, (step) => 10 * termCount(step.node));
  return splitByCost(
    ids,
    paths,
    (id, path) =>
      sumOver(path, (step) => {
        let lowest = NO_COST;
        for (const match of matchesOf(id, step)) {
          for (const place of match.first) {
            const distance = Math.abs(bucketedPosition(positionOf(place)) - step.node.firstPosition);
            let cost = 0;
            for (let i = 0; i < termCount(step.node); i++) cost += positionCost(distance + i);
            lowest = Math.min(lowest, cost);
          }
        }
        return lowest;
      }),
    (cost) => ({ kind: "wordPosition", rank: rank(cost, max) }),
  );
};

/** The first part of `exactness`: fields that are the query, then fields that begin with it, then the rest. */
export function exactAttributeRule(text: TextIndex): Rule {
  return (ids, paths) => {
    const rest = (left: readonly number[]): Bucket => ({
      ids: left,
      paths,
      detail: { kind: "exactAttribute", matchType: "noExactMatch" },
    });
    const terms = new Map<number, Step>();
    for (const path of paths) {
      for (const step of path.steps) {
        const usable = step.node.exactTerm !== undefined && (step.typos & 1) !== 0;
        if (usable && !terms.has(step.node.firstTerm)) terms.set(step.node.firstTerm, step);
      }
    }
    const steps = [...terms.values()].sort((a, b) => a.node.firstTerm - b.node.firstTerm);
    const contiguous = steps.every(
      ({ node }, i) => node.firstTerm <= (steps[i - 1]?.node.firstTerm ?? 0) + (i === 0 ? 0 : 1),
    );
    if (steps.length === 0 || !contiguous) return [rest(ids)];
    const words = steps.flatMap(({ node }) =>
      (node.exactTerm ?? []).flatMap((word, i) =>
        word === null ? [] : [{ word, position: bucketedPosition(node.firstPosition + i) }],
      ),
    );
    const length = steps.reduce((sum, { node }) => sum + node.lastPosition - node.firstPosition + 1, 0);
    const exact: number[] = [];
    const starts: number[] = [];
    const none: number[] = [];
    for (const id of ids) {
      const kind = exactAttributeMatch(text, id, words, length);
      (kind === "exactMatch" ? exact : kind === "matchesStart" ? starts : none).push(id);
    }
    const buckets: Bucket[] = [];
    if (exact.length > 0)
      buckets.push({ ...rest(exact), detail: { kind: "exactAttribute", matchType: "exactMatch" } });
    if (starts.length > 0)
      buckets.push({ ...rest(starts), detail: { kind: "exactAttribute", matchType: "matchesStart" } });
    if (none.length > 0) buckets.push(rest(none));
    return buckets;
  };
}

const MAX_COUNTED_WORDS = 30;

function exactAttributeMatch(
  text: TextIndex,
  id: number,
  words: readonly { readonly word: string; readonly position: number }[],
  length: number,
): "exactMatch" | "matchesStart" | "noExactMatch" {
  const fields: Set<number>[] = [];
  for (const { word, position } of words) {
    const places = text.postings(word).get(id) ?? [];
    if (!places.some((place) => bucketedPosition(positionOf(place)) === position)) return "noExactMatch";
    fields.push(new Set(places.map(fieldOf)));
  }
  const common = [...(fields[0] ?? [])].filter((field) => fields.every((set) => set.has(field)));
  if (common.length === 0) return "noExactMatch";
  const whole = length <= MAX_COUNTED_WORDS && common.some((field) => text.wordCount(id, field) === length);
  return whole ? "exactMatch" : "matchesStart";
}

/** The second part of `exactness`: the more terms match exactly, the better. */
export const exactWordsRule: Rule = (ids, paths) => {
  const max = highest(paths, (step) => termCount(step.node));
  const isExact = (id: number, step: Step) => matchesOf(id, step).some((match) => match.exact);
  return splitByCost(
    ids,
    paths,
    (id, path) =>
      sumOver(path, (step) => {
        if (isExact(id, step)) return 0;
        return matchesOf(id, step).length > 0 ? termCount(step.node) : NO_COST;
      }),
    (cost) => ({ kind: "exactWords", matching: max - cost, max }),
    (id, path) => pathOf(path.steps.map((step) => (isExact(id, step) ? { ...step, exactOnly: true } : step))),
  );
};

/** A sort, by a field or by the distance from a place. */
export function sortRule(index: IndexState, criterion: SortCriterion): Rule {
  const direction = criterion.ascending ? "asc" : "desc";
  const displayed = index.settings.displayedAttributes;
  return (ids, paths) =>
    bucketsOf(index, ids, criterion).map((bucket): Bucket => {
      if (bucket.kind === "geo" && criterion.kind === "geo") {
        const { lat, lng } = criterion.point;
        const name = `_geoPoint(${lat}, ${lng}):${direction}`;
        return {
          ids: bucket.ids,
          paths,
          detail: { kind: "geo", name, target: criterion.point, value: bucket.value },
        };
      }
      const field = criterion.kind === "field" ? criterion.field : "_geo";
      const value = bucket.kind === "field" ? bucket.value : null;
      const hidden = !displayed.includes("*") && !displayed.includes(field);
      return {
        ids: bucket.ids,
        paths,
        detail: { kind: "sort", name: `${field}:${direction}`, value, hidden },
      };
    });
}
