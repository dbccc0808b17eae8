import { ApiError } from "../errors.js";
import { compareBytes } from "../filter/evaluate.js";
import type { IndexState } from "../index-state.js";
import { matchesPattern, matchingRule, sortedUnique } from "../settings.js";

/** Counts and number ranges of facets, as JSON text, so that values that are digits keep their order. */
export interface FacetResult {
  readonly distribution: string;
  readonly stats: string;
}

/** The facet names that `facets` stands for: `*` and patterns mean every filterable field that exists. */
function facetNames(index: IndexState, facets: readonly string[]): string[] {
  const names = new Set<string>();
  for (const facet of facets) {
    const rule = matchingRule(index.rules, facet);
    if (facet !== "*" && !facet.includes("*")) {
      if (rule === undefined || !(rule.rule.equality || rule.rule.comparison))
        throw notFilterable(index, facet);
      names.add(facet);
      continue;
    }
    for (const id of index.ids) {
      for (const name of index.document(id)?.keys() ?? []) {
        if (matchesPattern(facet, name) && matchingRule(index.rules, name) !== undefined && name !== "_geo")
          names.add(name);
      }
    }
  }
  return [...names].sort();
}

function notFilterable(index: IndexState, facet: string): ApiError {
  const patterns = sortedUnique(index.rules.flatMap((rule) => rule.patterns));
  return new ApiError(
    "invalid_search_facets",
    `Invalid facet distribution: Pattern \`${facet}\` is not filterable. ${
      patterns.length === 0
        ? "This index does not have configured filterable attributes."
        : `Available filterable attributes patterns are: \`${patterns.join(", ")}\`.`
    }`,
  );
}

/** Counts the facet values of `ids`. */
export function facetDistribution(
  index: IndexState,
  ids: readonly number[],
  facets: readonly string[],
): FacetResult {
  const { maxValuesPerFacet, sortFacetValuesBy } = index.settings.faceting;
  const distributions: string[] = [];
  const stats: string[] = [];
  for (const name of facetNames(index, facets)) {
    const numbers = new Map<number, number>();
    const strings = new Map<string, { label: string; count: number }>();
    for (const id of ids) {
      const values = index.facetsOf(id, name);
      for (const number of values.numbers) numbers.set(number, (numbers.get(number) ?? 0) + 1);
      for (const [i, string] of values.strings.entries()) {
        const entry = strings.get(string);
        if (entry === undefined) strings.set(string, { label: values.originals[i] ?? string, count: 1 });
        else entry.count++;
      }
    }
    const order = sortFacetValuesBy[name] ?? sortFacetValuesBy["*"] ?? "alpha";
    const all = [
      ...[...numbers]
        .sort(([a], [b]) => a - b)
        .map(([number, count]) => ({ label: numberLabel(number), count })),
      ...[...strings].sort(([a], [b]) => compareBytes(a, b)).map(([, entry]) => entry),
    ];
    if (order === "count") all.sort((a, b) => b.count - a.count);
    const kept = all.slice(0, maxValuesPerFacet);
    if (order === "alpha") kept.sort((a, b) => compareBytes(a.label, b.label));
    distributions.push(
      `${JSON.stringify(name)}:{${kept.map(({ label, count }) => `${JSON.stringify(label)}:${count}`).join(",")}}`,
    );
    if (numbers.size > 0) {
      const range = [...numbers.keys()];
      stats.push(
        `${JSON.stringify(name)}:{"min":${asFloat(Math.min(...range))},"max":${asFloat(Math.max(...range))}}`,
      );
    }
  }
  return { distribution: `{${distributions.join(",")}}`, stats: `{${stats.join(",")}}` };
}

function numberLabel(number: number): string {
  return String(number);
}

function asFloat(number: number): string {
  return Number.isInteger(number) && Math.abs(number) < 1e16 ? `${number}.0` : String(number);
}
