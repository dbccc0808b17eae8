import type { FacetOrder, IndexFacts } from "../../merge/index.js";
import type { IndexView } from "../topology/topology-view.js";

const cache = new WeakMap<IndexView, IndexFacts>();

/** What merging has to know of an index; worked out once for every topology. */
export function indexFacts(index: IndexView): IndexFacts {
  let facts = cache.get(index);
  if (facts === undefined) {
    facts = readFacts(index);
    cache.set(index, facts);
  }
  return facts;
}

/**
 * Hits that a search is asked for at most, whatever the settings say. A node that searches by vector sets memory aside for
 * all of them, and ends as a process where there is not that much.
 */
const MOST_HITS = 10_000_000;

function readFacts(index: IndexView): IndexFacts {
  const { settings } = index;
  const distinctAttribute =
    typeof settings.distinctAttribute === "string" ? settings.distinctAttribute : null;
  const displayed = texts(settings.displayedAttributes);
  const faceting = object(settings.faceting);
  return {
    uid: index.uid,
    primaryKey: index.primaryKey ?? null,
    distinctAttribute,
    distinctAttributeIsFilterable:
      distinctAttribute !== null && isFilterable(settings.filterableAttributes, distinctAttribute),
    displayedAttributes: displayed === undefined || displayed.includes("*") ? null : displayed,
    maxTotalHits: Math.min(number(object(settings.pagination).maxTotalHits, 1_000), MOST_HITS),
    maxValuesPerFacet: number(faceting.maxValuesPerFacet, 100),
    sortFacetValuesBy: object(faceting.sortFacetValuesBy) as Record<string, FacetOrder>,
    ...wordFacts(settings),
  };
}

function wordFacts(settings: IndexView["settings"]): Pick<IndexFacts, "stopWords" | "ranksByWordsFirst"> {
  const [first = "words"] = texts(settings.rankingRules) ?? [];
  return { stopWords: texts(settings.stopWords) ?? [], ranksByWordsFirst: first === "words" };
}

/** The attributes that facets name, or match with a `*`, as far as the settings tell: filterable ones. */
export function filterableNames(index: IndexView, facets: readonly string[]): string[] {
  const rules = index.settings.filterableAttributes;
  const named = Array.isArray(rules) ? rules.flatMap((rule) => patternsOf(rule)) : [];
  const names = new Set<string>();
  for (const facet of facets) {
    if (!facet.includes("*")) {
      if (isFilterable(rules, facet)) names.add(facet);
      continue;
    }
    for (const name of named) if (!name.includes("*") && matchesPattern(facet, name)) names.add(name);
  }
  return [...names];
}

function patternsOf(rule: unknown): readonly string[] {
  return typeof rule === "string" ? [rule] : (texts(object(rule).attributePatterns) ?? []);
}

function isFilterable(rules: unknown, attribute: string): boolean {
  if (!Array.isArray(rules)) return false;
  return rules.some((rule) => patternsOf(rule).some((pattern) => matchesPattern(pattern, attribute)));
}

/** An attribute, one of its parents, or a pattern with a `*` at one of its ends. */
function matchesPattern(pattern: string, attribute: string): boolean {
  if (pattern === "*" || pattern === attribute || attribute.startsWith(`${pattern}.`)) return true;
  const startsOpen = pattern.startsWith("*");
  const endsOpen = pattern.endsWith("*");
  const core = pattern.slice(startsOpen ? 1 : 0, endsOpen ? -1 : undefined);
  if (startsOpen && endsOpen) return attribute.includes(core);
  if (startsOpen) return attribute.endsWith(core);
  return endsOpen && attribute.startsWith(core);
}

function object(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function texts(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) && value.every((item) => typeof item === "string") ? value : undefined;
}

function number(value: unknown, otherwise: number): number {
  return typeof value === "number" ? value : otherwise;
}
