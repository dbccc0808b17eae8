import type { Match, ParsedQuery, QueryNode } from "./query.js";

/** A node of a path, with the numbers of typos (a bit each) and the kind of match that are still allowed. */
export interface Step {
  readonly node: QueryNode;
  readonly typos: number;
  readonly exactOnly: boolean;
}

/** One way to read the query: which terms are matched, alone or written together. */
export interface Path {
  readonly key: string;
  readonly steps: readonly Step[];
}

const ANY_TYPOS = 0b111;
/** Enough for any query of ten terms; more readings add nothing that can be seen. */
const MAX_PATHS = 400;

/** Which terms may be left out, by level: a term of level 1 goes first. Phrases and the last group never go. */
export interface RemovalOrder {
  readonly levelOfTerm: readonly number[];
  readonly maxLevel: number;
}

/** No term may be left out. */
export function keepAll(query: ParsedQuery): RemovalOrder {
  return {
    levelOfTerm: Array.from({ length: query.termCount }, () => Number.POSITIVE_INFINITY),
    maxLevel: 0,
  };
}

/** Orders terms for removal: by `costs` ascending (cheap ones go first), equal ones together. */
export function removalOrder(query: ParsedQuery, costs: readonly number[]): RemovalOrder {
  const phrase = (term: number) =>
    query.nodes.some((node) => node.phrase !== undefined && node.firstTerm === term);
  const optional = costs.flatMap((cost, term) => (phrase(term) ? [] : [cost]));
  const distinct = [...new Set(optional)].sort((a, b) => a - b);
  const mandatory = optional.length < query.termCount;
  const removable = mandatory ? distinct : distinct.slice(0, -1);
  const levelOfTerm = costs.map((cost, term) => {
    const level = phrase(term) ? -1 : removable.indexOf(cost);
    return level < 0 ? Number.POSITIVE_INFINITY : level + 1;
  });
  return { levelOfTerm, maxLevel: removable.length };
}

/**
 * The readings in which exactly the terms of level `level` and below may be left out, and at level 0 none.
 * Readings through terms that no document matches are left out, unless `withUnmatched` wants them: they find
 * nothing, but where no `words` rule came before they count for the highest possible cost.
 */
export function pathsAtLevel(
  query: ParsedQuery,
  order: RemovalOrder,
  level: number,
  withUnmatched = false,
): Path[] {
  const paths: Path[] = [];
  const levelOf = (node: QueryNode) => {
    if (node.phrase !== undefined) return Number.POSITIVE_INFINITY;
    let highest = 0;
    for (let term = node.firstTerm; term <= node.lastTerm; term++) {
      highest = Math.max(highest, order.levelOfTerm[term] ?? Number.POSITIVE_INFINITY);
    }
    return highest;
  };
  const usable = query.nodes.filter(
    (node) => (withUnmatched || node.matches.size > 0) && levelOf(node) >= level,
  );
  const walk = (term: number, steps: Step[], skippedTop: boolean) => {
    if (paths.length >= MAX_PATHS) return;
    if (term >= query.termCount) {
      if (skippedTop || level === 0) paths.push(pathOf(steps));
      return;
    }
    for (const node of usable) {
      if (node.firstTerm !== term) continue;
      walk(node.lastTerm + 1, [...steps, { node, typos: ANY_TYPOS, exactOnly: false }], skippedTop);
    }
    const own = order.levelOfTerm[term] ?? Number.POSITIVE_INFINITY;
    if (own <= level) walk(term + 1, steps, skippedTop || own === level);
  };
  walk(0, [], false);
  return paths;
}

/** Makes a path of steps. */
export function pathOf(steps: readonly Step[]): Path {
  const key = steps.map(
    ({ node, typos, exactOnly }) => `${node.firstTerm}-${node.lastTerm}:${typos}${exactOnly ? "!" : ""}`,
  );
  return { key: key.join(" "), steps };
}

/** How many terms a path matches. */
export function matchedTerms(path: Path): number {
  return path.steps.reduce((sum, { node }) => sum + termCount(node), 0);
}

export function termCount(node: QueryNode): number {
  return node.lastTerm - node.firstTerm + 1;
}

const NO_MATCHES: readonly Match[] = [];

/** How a document matches a step; empty where it does not. */
export function matchesOf(id: number, step: Step): readonly Match[] {
  const all = step.node.matches.get(id);
  if (all === undefined) return NO_MATCHES;
  if (step.typos === ANY_TYPOS && !step.exactOnly) return all;
  return all.filter((match) => (step.typos & (1 << match.typos)) !== 0 && (!step.exactOnly || match.exact));
}

/** Whether a document matches every step of a path. */
export function matchesPath(id: number, path: Path): boolean {
  return path.steps.every((step) => matchesOf(id, step).length > 0);
}
