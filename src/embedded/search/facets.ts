import { ApiError } from "../errors.js";
import { compareBytes } from "../filter/evaluate.js";
import type { IndexState } from "../index-state.js";
import { type FilterableRule, matchesPattern, matchingRule, sortedUnique } from "../settings.js";

/** Counts and number ranges of facets, as JSON text, so that values that are digits keep their order. */
export interface FacetResult {
  readonly distribution: string;
  readonly stats: string;
}

/** Up to this many documents Meilisearch orders the numbers of a facet by their digits. */
const FEW_DOCUMENTS = 3000;

/** The facet names that `facets` stands for: names, and patterns that only rules with patterns allow. */
function facetNames(index: IndexState, facets: readonly string[]): string[] {
  const names = new Set<string>();
  for (const facet of facets) {
    if (!index.rules.some((rule) => (rule.equality || rule.comparison) && intersects(rule, facet))) {
      throw notFilterable(index, facet);
    }
    const known = [...index.fields, facet].filter((name) => name !== "_geo" && !name.includes("*"));
    for (const name of known) {
      if (matchesPattern(facet, name) && matchingRule(index.rules, name) !== undefined) names.add(name);
    }
  }
  return [...names].sort();
}

function intersects(rule: FilterableRule, facet: string): boolean {
  if (typeof rule.view === "string") {
    return facet === rule.view || facet.startsWith(`${rule.view}.`) || rule.view.startsWith(`${facet}.`);
  }
  return rule.patterns.some((pattern) => matchesPattern(pattern, facet) || matchesPattern(facet, pattern));
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
    if (
      !ids.some((id) => index.facetsOf(id, name).exists) &&
      !index.fields.includes(name.split(".")[0] ?? "")
    )
      continue;
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
    const byText = order === "alpha" && ids.length <= FEW_DOCUMENTS;
    const ofNumbers = [...numbers].map(([number, count]) => ({ number, label: String(number), count }));
    ofNumbers.sort((a, b) => (byText ? compareBytes(a.label, b.label) : a.number - b.number));
    const ofStrings = [...strings].sort(([a], [b]) => compareBytes(a, b)).map(([, entry]) => entry);
    if (order === "count") {
      ofNumbers.sort((a, b) => b.count - a.count);
      ofStrings.sort((a, b) => b.count - a.count);
    }
    const kept = [...ofNumbers, ...ofStrings].slice(0, maxValuesPerFacet);
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

function asFloat(number: number): string {
  return Number.isInteger(number) && Math.abs(number) < 1e16 ? `${number}.0` : String(number);
}
