import { objectMembers } from "../json/members.js";
import { distinctKeys, hasFacetValue } from "./distinct.js";
import type { Hit } from "./hit.js";
import { isInjectedField } from "./injected-fields.js";
import { printDouble } from "./print-double.js";
import type { FacetOrder, IndexFacts } from "./search-parameters.js";
import { compareUtf8, normalizeFacet } from "./text-order.js";

/** One facet value over all parts. */
export type FacetCount = {
  /** The label in the casing of the first part that has it. */
  readonly label: string;
  /** What labels are compared by: {@link normalizeFacet} of a string, the label itself of a number. */
  readonly key: string;
  readonly isNumber: boolean;
  readonly count: number;
};

/** The values of one attribute over all parts, before they are ordered and cut. */
export type FacetCounts = ReadonlyMap<string, FacetCount>;

/**
 * Above this many candidates a node walks its facet index instead of the documents, and numbers come in
 * numeric instead of textual order.
 */
export const NUMERIC_ORDER_THRESHOLD = 3000;

/** A number as Meilisearch prints it for a label: no exponent, no superfluous zeros. */
const NUMBER_LABEL = /^-?(?:0|[1-9]\d*)(?:\.\d*[1-9])?$/;

/**
 * Sums the `facetDistribution` of all parts, attribute by attribute in the order of their bytes. Injected
 * fields are left out.
 *
 * @param distributions the raw members; undefined where a part printed none
 */
export function sumFacets(distributions: readonly (Buffer | undefined)[]): Map<string, FacetCounts> {
  const parts = distributions.flatMap((raw) => (raw === undefined ? [] : [readDistribution(raw)]));
  const attributes = [...new Set(parts.flatMap((part) => [...part.keys()]))].sort(compareUtf8);
  return new Map(
    attributes.map((attribute) => [attribute, sumAttribute(parts.map((part) => part.get(attribute) ?? []))]),
  );
}

/**
 * Prints summed facets as Meilisearch prints `facetDistribution`: ordered as the index asks, and cut at
 * `maxValuesPerFacet`.
 *
 * @param candidates how many documents were counted, as far as is known; decides how numbers are ordered
 */
export function printFacets(
  facets: ReadonlyMap<string, FacetCounts>,
  facts: IndexFacts,
  candidates: number,
): string {
  return printOrderedFacets(orderFacets(facets, facts, candidates));
}

/** Facet values attribute by attribute, as they are shown. */
export type OrderedFacets = ReadonlyMap<string, readonly FacetCount[]>;

/** Summed facets ordered as the index asks, and cut at `maxValuesPerFacet`; see {@link printFacets}. */
export function orderFacets(
  facets: ReadonlyMap<string, FacetCounts>,
  facts: IndexFacts,
  candidates: number,
): OrderedFacets {
  return new Map(
    [...facets].map(([attribute, counts]) => {
      const values = orderedValues(counts, facetOrderOf(facts, attribute), candidates);
      return [attribute, values.slice(0, facts.maxValuesPerFacet)];
    }),
  );
}

/** How an index orders the values of a facet. */
export function facetOrderOf(facts: IndexFacts, attribute: string): FacetOrder {
  return facts.sortFacetValuesBy[attribute] ?? facts.sortFacetValuesBy["*"] ?? "alpha";
}

/** Prints facets in the order in which they are given. */
export function printOrderedFacets(facets: OrderedFacets): string {
  const attributes = [...facets].map(([attribute, values]) => {
    const printed = values.map((value) => `${JSON.stringify(value.label)}:${value.count}`);
    return `${JSON.stringify(attribute)}:{${printed.join(",")}}`;
  });
  return `{${attributes.join(",")}}`;
}

/**
 * Joins the `facetStats` of all parts: the least `min` and the greatest `max` of each attribute, printed
 * with the digits of the part that has it.
 */
export function mergeFacetStats(stats: readonly (Buffer | undefined)[]): string {
  const merged = new Map<string, { min: string; max: string }>();
  for (const raw of stats) {
    if (raw === undefined) continue;
    for (const member of objectMembers(raw)) {
      if (isInjectedField(member.key)) continue;
      const bounds = readBounds(raw.subarray(member.valueStart, member.valueEnd));
      if (bounds === undefined) continue;
      const known = merged.get(member.key);
      if (known === undefined) {
        merged.set(member.key, bounds);
        continue;
      }
      if (Number(bounds.min) < Number(known.min)) known.min = bounds.min;
      if (Number(bounds.max) > Number(known.max)) known.max = bounds.max;
    }
  }
  const printed = [...merged]
    .sort(([a], [b]) => compareUtf8(a, b))
    .map(([attribute, { min, max }]) => `${JSON.stringify(attribute)}:{"min":${min},"max":${max}}`);
  return `{${printed.join(",")}}`;
}

/**
 * The part of summed facets that given hits make up: their counts over these hits alone, labels as the
 * parts printed them. Rests on hits that hold the attributes.
 */
export function facetsOfHits(facets: FacetCounts, attribute: string, hits: readonly Hit[]): FacetCounts {
  const counts = new Map<string, FacetCount>();
  const values = hits.map((hit) => new Set(distinctKeys(hit, attribute)));
  for (const [key, facet] of facets) {
    const count = values.filter((own) => hasFacetValue(own, facet.key, facet.isNumber)).length;
    if (count > 0) counts.set(key, { ...facet, count });
  }
  return counts;
}

/** The `facetStats` of given hits, for the attributes that have numbers among them. */
export function statsOfHits(attributes: Iterable<string>, hits: readonly Hit[]): string {
  const printed: string[] = [];
  for (const attribute of attributes) {
    const numbers = hits.flatMap((hit) =>
      distinctKeys(hit, attribute).flatMap((key) => (key.startsWith("n") ? [Number(key.slice(1))] : [])),
    );
    if (numbers.length === 0) continue;
    const min = printDouble(numbers.reduce((a, b) => Math.min(a, b)));
    const max = printDouble(numbers.reduce((a, b) => Math.max(a, b)));
    printed.push(`${JSON.stringify(attribute)}:{"min":${min},"max":${max}}`);
  }
  return `{${printed.join(",")}}`;
}

/** A lower bound of the documents counted: a value cannot occur in more documents than there are. */
export function leastCandidates(facets: ReadonlyMap<string, FacetCounts>): number {
  let least = 0;
  for (const counts of facets.values()) {
    for (const { count } of counts.values()) least = Math.max(least, count);
  }
  return least;
}

/** A value as a part prints it, with the documents that have it. */
export type LabelCount = { readonly label: string; readonly count: number };

/** One part's `facetDistribution`, labels in its order: `JSON.parse` would put those that read like array indices first. */
export function readDistribution(raw: Buffer): Map<string, LabelCount[]> {
  const attributes = new Map<string, LabelCount[]>();
  for (const member of objectMembers(raw)) {
    if (isInjectedField(member.key)) continue;
    const labels = objectMembers(raw, member.valueStart).map((entry) => ({
      label: entry.key,
      count: Number(raw.toString("latin1", entry.valueStart, entry.valueEnd)),
    }));
    attributes.set(member.key, labels);
  }
  return attributes;
}

/** Whether a label is printed as numbers are. */
export function readsAsNumber(label: string): boolean {
  return NUMBER_LABEL.test(label);
}

/** Sums the values of one attribute over parts. */
export function sumAttribute(parts: readonly (readonly LabelCount[])[]): FacetCounts {
  const strings = stringLabels(parts);
  const counts = new Map<string, FacetCount>();
  for (const part of parts) {
    for (const { label, count } of part) {
      const isNumber = !strings.has(label) && NUMBER_LABEL.test(label);
      const key = isNumber ? label : normalizeFacet(label);
      const known = counts.get(key);
      counts.set(
        key,
        known === undefined ? { label, key, isNumber, count } : { ...known, count: known.count + count },
      );
    }
  }
  return counts;
}

/**
 * Labels that are strings though they read like numbers. An answer does not tell a number from a string
 * of the same text, but numbers come first: what follows a string in any part is a string.
 */
function stringLabels(parts: readonly (readonly LabelCount[])[]): Set<string> {
  const strings = new Set<string>();
  for (const part of parts) {
    let behindString = false;
    for (const { label } of part) {
      if (!behindString && !NUMBER_LABEL.test(label)) behindString = true;
      if (behindString) strings.add(label);
    }
  }
  return strings;
}

function orderedValues(counts: FacetCounts, order: FacetOrder, candidates: number): FacetCount[] {
  const values = [...counts.values()];
  const numeric = order === "count" || candidates > NUMERIC_ORDER_THRESHOLD;
  const byKey = (a: FacetCount, b: FacetCount): number =>
    a.isNumber && b.isNumber && numeric ? Number(a.key) - Number(b.key) : compareUtf8(a.key, b.key);
  return values.sort((a, b) => {
    if (a.isNumber !== b.isNumber) return a.isNumber ? -1 : 1;
    if (order === "alpha") return byKey(a, b);
    // Among equal counts the greater value comes first.
    return b.count - a.count || byKey(b, a);
  });
}

function readBounds(raw: Buffer): { min: string; max: string } | undefined {
  let min: string | undefined;
  let max: string | undefined;
  for (const member of objectMembers(raw)) {
    const text = raw.toString("latin1", member.valueStart, member.valueEnd);
    if (member.key === "min") min = text;
    if (member.key === "max") max = text;
  }
  return min === undefined || max === undefined ? undefined : { min, max };
}
