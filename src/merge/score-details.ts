/** How far a document matches the whole attribute, best first. */
export type MatchType = "exactMatch" | "matchesStart" | "noExactMatch";

/** The value that a sort rule ordered a document by; null where the document has none. */
export type SortValue = number | string | null;

/**
 * What one ranking rule said of a document. Only what does not depend on a node's own corpus takes part
 * in comparisons: counts themselves, not the scores that divide them by a maximum of the node.
 */
export type RuleDetails = {
  /** The rule's name in `_rankingScoreDetails`, such as `words` or `price:asc`. */
  readonly name: string;
} & (
  | { readonly kind: "words"; readonly matchingWords: number; readonly maxMatchingWords: number }
  | { readonly kind: "typo"; readonly typoCount: number; readonly maxTypoCount: number }
  | { readonly kind: "attribute"; readonly rankScore: number; readonly distanceScore: number }
  | {
      readonly kind: "exactness";
      readonly matchType: MatchType;
      /** Words that match exactly; only given without an exact match of the attribute. */
      readonly exactWords: number;
      readonly maxExactWords: number;
    }
  | { readonly kind: "score"; readonly score: number }
  | { readonly kind: "sort"; readonly ascending: boolean; readonly value: SortValue }
  | { readonly kind: "geo"; readonly ascending: boolean; readonly distance: number | null }
  | { readonly kind: "vector"; readonly similarity: number | null }
  | { readonly kind: "skipped" }
  | { readonly kind: "pin"; readonly position: number }
);

/** The rules of one document in the order in which they were applied. Empty where no rule applied. */
export type ScoreDetails = readonly RuleDetails[];

/**
 * Reads the value of a hit's `_rankingScoreDetails`. Rules of unknown shape that carry a `score` are read
 * as such, and others are left out: they then decide nothing.
 *
 * @throws SyntaxError where `json` is not JSON
 */
export function parseScoreDetails(json: string): ScoreDetails {
  const parsed: unknown = JSON.parse(json);
  if (!isRecord(parsed)) return [];
  const rules: { order: number; details: RuleDetails }[] = [];
  for (const [name, entry] of Object.entries(parsed)) {
    if (!isRecord(entry)) continue;
    const details = ruleDetails(name, entry);
    if (details !== undefined) rules.push({ order: number(entry.order), details });
  }
  // Printed in order already, save for names that JavaScript takes for array indices.
  for (let i = 1; i < rules.length; i++) {
    if ((rules[i - 1]?.order ?? 0) > (rules[i]?.order ?? 0)) {
      rules.sort((a, b) => a.order - b.order);
      break;
    }
  }
  return rules.map((rule) => rule.details);
}

/** What the members of a rule's entry say; undefined where they say nothing that is known. */
export function ruleDetails(name: string, entry: Readonly<Record<string, unknown>>): RuleDetails | undefined {
  switch (name) {
    case "words":
      return {
        name,
        kind: "words",
        matchingWords: number(entry.matchingWords),
        maxMatchingWords: number(entry.maxMatchingWords),
      };
    case "typo":
      return {
        name,
        kind: "typo",
        typoCount: number(entry.typoCount),
        maxTypoCount: number(entry.maxTypoCount),
      };
    case "attribute":
      return {
        name,
        kind: "attribute",
        rankScore: number(entry.attributeRankingOrderScore),
        distanceScore: number(entry.queryWordDistanceScore),
      };
    case "exactness":
      return {
        name,
        kind: "exactness",
        matchType: matchType(entry.matchType),
        exactWords: number(entry.matchingWords),
        maxExactWords: number(entry.maxMatchingWords),
      };
    case "vectorSort": {
      const similarity = entry.similarity;
      return { name, kind: "vector", similarity: typeof similarity === "number" ? similarity : null };
    }
    case "skipped":
      return { name, kind: "skipped" };
    case "pin":
      return { name, kind: "pin", position: number(entry.position) };
    default:
      return sortOrScore(name, entry);
  }
}

function sortOrScore(name: string, entry: Readonly<Record<string, unknown>>): RuleDetails | undefined {
  const ascending = name.endsWith(":asc");
  if (ascending || name.endsWith(":desc")) {
    if ("distance" in entry) {
      const distance = entry.distance;
      return { name, kind: "geo", ascending, distance: typeof distance === "number" ? distance : null };
    }
    const value = entry.value;
    return {
      name,
      kind: "sort",
      ascending,
      value: typeof value === "number" || typeof value === "string" ? value : null,
    };
  }
  const score = entry.score;
  return typeof score === "number" ? { name, kind: "score", score } : undefined;
}

function matchType(value: unknown): MatchType {
  return value === "exactMatch" || value === "matchesStart" ? value : "noExactMatch";
}

function number(value: unknown): number {
  return typeof value === "number" ? value : 0;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
