import type { JsonObject, JsonValue } from "./exact-json.js";

/** A rule of `filterableAttributes` in its long form. */
export interface FilterableRule {
  readonly patterns: readonly string[];
  readonly facetSearch: boolean;
  readonly equality: boolean;
  readonly comparison: boolean;
  /** The rule as clients see it: a plain string stays one. */
  readonly view: JsonValue;
}

/** A `userProvided` embedder, the only kind that the embedded node has. */
export interface EmbedderSettings {
  readonly source: "userProvided";
  readonly dimensions: number;
}

/** The settings of an index, as `GET settings` returns them. */
export interface IndexSettings {
  readonly displayedAttributes: readonly string[];
  readonly searchableAttributes: readonly string[];
  readonly filterableAttributes: readonly JsonValue[];
  readonly sortableAttributes: readonly string[];
  readonly rankingRules: readonly string[];
  readonly stopWords: readonly string[];
  readonly nonSeparatorTokens: readonly string[];
  readonly separatorTokens: readonly string[];
  readonly dictionary: readonly string[];
  readonly synonyms: Readonly<Record<string, readonly string[]>>;
  readonly distinctAttribute: string | null;
  readonly proximityPrecision: "byWord" | "byAttribute";
  readonly typoTolerance: {
    readonly enabled: boolean;
    readonly minWordSizeForTypos: { readonly oneTypo: number; readonly twoTypos: number };
    readonly disableOnWords: readonly string[];
    readonly disableOnAttributes: readonly string[];
    readonly disableOnNumbers: boolean;
  };
  readonly faceting: {
    readonly maxValuesPerFacet: number;
    readonly sortFacetValuesBy: Readonly<Record<string, "alpha" | "count">>;
  };
  readonly pagination: { readonly maxTotalHits: number };
  readonly embedders: Readonly<Record<string, EmbedderSettings>>;
  readonly searchCutoffMs: number | null;
  readonly localizedAttributes: JsonValue;
  readonly facetSearch: boolean;
  readonly prefixSearch: "indexingTime" | "disabled";
}

/** The settings of a new index. */
export const DEFAULT_SETTINGS: IndexSettings = {
  displayedAttributes: ["*"],
  searchableAttributes: ["*"],
  filterableAttributes: [],
  sortableAttributes: [],
  rankingRules: ["words", "typo", "proximity", "attributeRank", "sort", "wordPosition", "exactness"],
  stopWords: [],
  nonSeparatorTokens: [],
  separatorTokens: [],
  dictionary: [],
  synonyms: {},
  distinctAttribute: null,
  proximityPrecision: "byWord",
  typoTolerance: {
    enabled: true,
    minWordSizeForTypos: { oneTypo: 5, twoTypos: 9 },
    disableOnWords: [],
    disableOnAttributes: [],
    disableOnNumbers: false,
  },
  faceting: { maxValuesPerFacet: 100, sortFacetValuesBy: { "*": "alpha" } },
  pagination: { maxTotalHits: 1000 },
  embedders: {},
  searchCutoffMs: null,
  localizedAttributes: null,
  facetSearch: true,
  prefixSearch: "indexingTime",
};

const SORTED_LISTS = new Set([
  "sortableAttributes",
  "stopWords",
  "nonSeparatorTokens",
  "separatorTokens",
  "dictionary",
]);

/** Orders strings as Meilisearch's ordered sets do: by their UTF-8 bytes. */
export function sortedUnique(values: readonly string[]): string[] {
  return [...new Set(values)].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

/**
 * Applies a validated patch: a member replaces its setting, `null` resets it, and the members of
 * `typoTolerance`, `faceting`, `pagination` and `embedders` are merged one by one.
 */
export function applySettings(current: IndexSettings, patch: JsonObject): IndexSettings {
  const next: Record<string, unknown> = { ...current };
  for (const [name, value] of Object.entries(patch)) {
    if (!(name in DEFAULT_SETTINGS)) continue;
    const key = name as keyof IndexSettings;
    if (value === null) next[key] = DEFAULT_SETTINGS[key];
    else if (key === "typoTolerance") next[key] = mergeTypo(current.typoTolerance, value as JsonObject);
    else if (key === "faceting") next[key] = mergeFaceting(current.faceting, value as JsonObject);
    else if (key === "pagination")
      next[key] = mergeMembers(DEFAULT_SETTINGS.pagination, current.pagination, value as JsonObject);
    else if (key === "embedders") next[key] = mergeEmbedders(current.embedders, value as JsonObject);
    else if (key === "searchableAttributes" || key === "displayedAttributes") {
      next[key] = (value as string[]).includes("*") ? ["*"] : value;
    } else next[key] = SORTED_LISTS.has(key) ? sortedUnique(value as string[]) : value;
  }
  return next as unknown as IndexSettings;
}

function mergeMembers<T extends object>(defaults: T, current: T, patch: JsonObject): T {
  const next = { ...current } as Record<string, unknown>;
  for (const [name, value] of Object.entries(patch)) {
    next[name] = value === null ? (defaults as Record<string, unknown>)[name] : value;
  }
  return next as T;
}

function mergeTypo(
  current: IndexSettings["typoTolerance"],
  patch: JsonObject,
): IndexSettings["typoTolerance"] {
  const { minWordSizeForTypos: sizes, ...rest } = patch;
  const defaults = DEFAULT_SETTINGS.typoTolerance;
  const merged = mergeMembers(defaults, current, rest);
  const words = rest.disableOnWords;
  return {
    ...merged,
    disableOnWords: Array.isArray(words)
      ? sortedUnique((words as string[]).map((word) => word.toLowerCase()))
      : merged.disableOnWords,
    disableOnAttributes: sortedUnique(merged.disableOnAttributes),
    minWordSizeForTypos:
      sizes === undefined
        ? current.minWordSizeForTypos
        : sizes === null
          ? defaults.minWordSizeForTypos
          : mergeMembers(defaults.minWordSizeForTypos, current.minWordSizeForTypos, sizes as JsonObject),
  };
}

function mergeFaceting(current: IndexSettings["faceting"], patch: JsonObject): IndexSettings["faceting"] {
  const { sortFacetValuesBy: orders, ...rest } = patch;
  const merged = mergeMembers(DEFAULT_SETTINGS.faceting, current, rest);
  if (orders === undefined) return merged;
  if (orders === null) return { ...merged, sortFacetValuesBy: DEFAULT_SETTINGS.faceting.sortFacetValuesBy };
  const all = { "*": "alpha", ...(orders as Record<string, "alpha" | "count">) };
  const names = sortedUnique(Object.keys(all)) as (keyof typeof all)[];
  return {
    ...merged,
    sortFacetValuesBy: Object.fromEntries(names.map((name) => [name, all[name]])) as Record<
      string,
      "alpha" | "count"
    >,
  };
}

function mergeEmbedders(current: IndexSettings["embedders"], patch: JsonObject): IndexSettings["embedders"] {
  const next: Record<string, unknown> = { ...current };
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete next[name];
    else next[name] = mergeMembers({}, (next[name] ?? {}) as object, value as JsonObject);
  }
  return next as IndexSettings["embedders"];
}

/** Reads `filterableAttributes` into rules. */
export function filterableRules(settings: IndexSettings): FilterableRule[] {
  return settings.filterableAttributes.map((view) => {
    if (typeof view === "string") {
      return { patterns: [view], facetSearch: true, equality: true, comparison: true, view };
    }
    const rule = view as unknown as {
      attributePatterns: string[];
      features: { facetSearch: boolean; filter: { equality: boolean; comparison: boolean } };
    };
    return {
      patterns: rule.attributePatterns,
      facetSearch: rule.features.facetSearch,
      equality: rule.features.filter.equality,
      comparison: rule.features.filter.comparison,
      view,
    };
  });
}

/** Whether `name` is `pattern`, matches its `*` (first or last), or lies below it (`a` covers `a.b`). */
export function matchesPattern(pattern: string, name: string): boolean {
  if (pattern === "*" || pattern === name) return true;
  if (pattern.startsWith("*") && pattern.endsWith("*")) return name.includes(pattern.slice(1, -1));
  if (pattern.endsWith("*")) return name.startsWith(pattern.slice(0, -1));
  if (pattern.startsWith("*")) return name.endsWith(pattern.slice(1));
  return name.startsWith(`${pattern}.`);
}

/** The first rule that covers `name`, with its position in the list. */
export function matchingRule(
  rules: readonly FilterableRule[],
  name: string,
): { readonly rule: FilterableRule; readonly position: number } | undefined {
  for (const [position, rule] of rules.entries()) {
    if (rule.patterns.some((pattern) => matchesPattern(pattern, name))) return { rule, position };
  }
  return undefined;
}
