import { createHash } from "node:crypto";
import { canonicalJson } from "../json/canonical.js";
import { isReservedField, SEQUENCE_FIELD, SHARD_FIELD } from "../placement/injected-fields.js";
import {
  guardTemplate,
  mapTemplates,
  sentTemplate,
  type TemplateChange,
  unguardTemplate,
} from "./document-templates.js";
import { isObject } from "./json-object.js";
import { maskSecret } from "./mask-secret.js";

/** The last ranking rule of every physical index: ties come out in insertion order on every replica. */
export const SEQUENCE_RANKING_RULE = `${SEQUENCE_FIELD}:asc`;

/** A settings object, whole or in part, as Meilisearch's API prints and takes it. */
export type SettingsObject = Readonly<Record<string, unknown>>;

/** The settings of an index that nobody has changed, as Meilisearch v1.50 gives them, members in its order. */
export const DEFAULT_CLIENT_SETTINGS: SettingsObject = deepFreeze({
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
});

/** The ranking rules of an index without rules of its own. */
export const DEFAULT_RANKING_RULES = DEFAULT_CLIENT_SETTINGS.rankingRules as readonly string[];

/**
 * A plain attribute rather than a rule with patterns: a search for the facets `*` is refused by an index whose
 * filterable attributes are all plain, and has to stay refused.
 */
const SHARD_RULE = SHARD_FIELD;

/** Takes the sequence out of a client's wildcard, which would otherwise index every one of its values as a facet. */
const SEQUENCE_OFF_RULE = deepFreeze({
  attributePatterns: [SEQUENCE_FIELD],
  features: { facetSearch: false, filter: { equality: false, comparison: false } },
});

/**
 * What every node displays. A node hides an attribute also from the score details that searches are merged by, so
 * hiding is done in the merge, by the client's list; nodes do not know it, and the catalogue alone keeps it.
 */
const ALL_ATTRIBUTES = deepFreeze(["*"]);

/** The client's `displayedAttributes` after a settings change, as Meilisearch prints it. */
export function displayedAfter(before: unknown, clientPatch: SettingsObject): unknown {
  const change = clientPatch.displayedAttributes;
  if (change === undefined) return before ?? ALL_ATTRIBUTES;
  if (!Array.isArray(change) || change.includes("*")) return ALL_ATTRIBUTES;
  return [...new Set<unknown>(change)];
}

/**
 * What a node is sent for a client's settings change: the change itself, with Miroir's additions in
 * `filterableAttributes`, `rankingRules` and `sortableAttributes` (lists of documents are sorted by the sequence) where it
 * names them. `null` resets to the default, so it
 * becomes the default with the additions. Document templates of `embedders` pass over Miroir's fields. Every other member, whatever its value, passes as it is;
 * the same goes for a value that no version of Meilisearch would take, so that the node can refuse it.
 *
 * Additions stand behind the client's own filterable attributes, so that the rule numbers in a node's error
 * messages stay the client's, except where one of the client's patterns matches an injected field: a node
 * applies the first rule that matches.
 */
export function toNodeSettings(clientPatch: SettingsObject): Record<string, unknown> {
  const patch: Record<string, unknown> = { ...clientPatch };
  if ("filterableAttributes" in clientPatch) {
    patch.filterableAttributes = withShardRule(clientPatch.filterableAttributes);
  }
  if ("rankingRules" in clientPatch) {
    const rules = clientPatch.rankingRules ?? DEFAULT_RANKING_RULES;
    patch.rankingRules = Array.isArray(rules) ? [...rules, SEQUENCE_RANKING_RULE] : rules;
  }
  if ("sortableAttributes" in clientPatch) {
    const attributes = clientPatch.sortableAttributes ?? [];
    patch.sortableAttributes = Array.isArray(attributes) ? [...attributes, SEQUENCE_FIELD] : attributes;
  }
  if ("embedders" in clientPatch) patch.embedders = mapTemplates(clientPatch.embedders, guardTemplate);
  const displayed = clientPatch.displayedAttributes;
  if (
    displayed === null ||
    (Array.isArray(displayed) && displayed.every((name) => typeof name === "string"))
  ) {
    patch.displayedAttributes = ALL_ATTRIBUTES;
  }
  return patch;
}

/** The settings change that makes a new physical index ready for Miroir's documents. */
export function initialNodeSettings(): Record<string, unknown> {
  return toNodeSettings({ filterableAttributes: null, rankingRules: null, sortableAttributes: null });
}

/**
 * A node's settings, whole or in part, as the client is to see them (invariant 11), but for
 * `displayedAttributes`, which nodes do not know.
 */
export function toClientSettings(nodeSettings: SettingsObject): Record<string, unknown> {
  return withoutAdditions(nodeSettings, unguardTemplate);
}

/** {@link toClientSettings} for the details of a settings change's task, which show what the client sent. */
export function toClientDetails(nodeDetails: SettingsObject): Record<string, unknown> {
  return withoutAdditions(nodeDetails, sentTemplate);
}

function withoutAdditions(nodeSettings: SettingsObject, template: TemplateChange): Record<string, unknown> {
  const settings: Record<string, unknown> = { ...nodeSettings };
  if (Array.isArray(settings.filterableAttributes)) {
    settings.filterableAttributes = settings.filterableAttributes.filter((rule) => !isAddedRule(rule));
  }
  if (Array.isArray(settings.rankingRules)) {
    settings.rankingRules = settings.rankingRules.filter((rule) => rule !== SEQUENCE_RANKING_RULE);
  }
  if (Array.isArray(settings.sortableAttributes)) {
    settings.sortableAttributes = settings.sortableAttributes.filter((name) => name !== SEQUENCE_FIELD);
  }
  if ("embedders" in settings) settings.embedders = mapTemplates(settings.embedders, template);
  return settings;
}

/**
 * A text that two settings objects share exactly when they say the same, whatever the order of their
 * members: SHA-256 in hexadecimal of their canonical JSON.
 */
export function settingsFingerprint(settings: SettingsObject): string {
  return createHash("sha256").update(canonicalJson(settings)).digest("hex");
}

/**
 * The reserved name that a client's settings change uses as an attribute or a ranking rule, or undefined.
 * Such a change is refused: it would expose or unsettle Miroir's own fields.
 */
export function reservedSettingsName(clientPatch: SettingsObject): string | undefined {
  for (const member of [
    "filterableAttributes",
    "rankingRules",
    "sortableAttributes",
    "searchableAttributes",
    "displayedAttributes",
  ]) {
    for (const name of namesIn(clientPatch[member])) {
      if (isReservedField(name.split(":", 1)[0] ?? name)) return name;
    }
  }
  const distinct = clientPatch.distinctAttribute;
  return typeof distinct === "string" && isReservedField(distinct) ? distinct : undefined;
}

/** A value of a settings change that would make the codes in injected fields searchable. */
export interface ExposingToken {
  readonly member: "nonSeparatorTokens" | "dictionary";
  /** Where in the member's list. */
  readonly at: number;
  readonly token: string;
}

/**
 * The first value of a client's settings change that would make a node find words in the injected fields, whose
 * values consist of separators alone: a symbol of theirs that is to separate no longer, or a dictionary word made of
 * nothing else. Longer tokens with such a symbol in them are harmless: a node compares whole separators.
 */
export function exposingToken(clientPatch: SettingsObject): ExposingToken | undefined {
  const find = (member: ExposingToken["member"], exposes: RegExp): ExposingToken | undefined => {
    const list = clientPatch[member];
    if (!Array.isArray(list)) return undefined;
    const at = list.findIndex((token) => typeof token === "string" && exposes.test(token));
    return at === -1 ? undefined : { member, at, token: String(list[at]) };
  };
  return find("nonSeparatorTokens", /^[(),;[\]{}]$/) ?? find("dictionary", /^[(),;[\]{}]+$/);
}

/**
 * Settings with the secrets of embedders masked the way Meilisearch prints them, fit for a task's details.
 */
export function maskSecrets(settings: SettingsObject): Record<string, unknown> {
  if (!isObject(settings.embedders)) return { ...settings };
  return { ...settings, embedders: maskMembers(settings.embedders) as Record<string, unknown> };
}

function maskMembers(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(maskMembers);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [
      name,
      name === "apiKey" && typeof member === "string" ? maskSecret(member) : maskMembers(member),
    ]),
  );
}

function withShardRule(filterable: unknown): unknown {
  if (filterable === null || filterable === undefined) return [SHARD_RULE];
  if (!Array.isArray(filterable)) return filterable;
  const patterns = namesIn(filterable);
  if (patterns.some((pattern) => matches(pattern, SEQUENCE_FIELD))) {
    return [SHARD_RULE, SEQUENCE_OFF_RULE, ...filterable];
  }
  return patterns.some((pattern) => matches(pattern, SHARD_FIELD))
    ? [SHARD_RULE, ...filterable]
    : [...filterable, SHARD_RULE];
}

function isAddedRule(rule: unknown): boolean {
  const names = namesIn([rule]);
  return names.length > 0 && names.every((name) => name === SHARD_FIELD || name === SEQUENCE_FIELD);
}

/** Attribute names, patterns and ranking rules in a settings member of any form. */
function namesIn(member: unknown): readonly string[] {
  if (!Array.isArray(member)) return [];
  return member.flatMap((entry: unknown) => {
    if (typeof entry === "string") return [entry];
    if (isObject(entry) && Array.isArray(entry.attributePatterns)) {
      return entry.attributePatterns.filter((pattern) => typeof pattern === "string");
    }
    return [];
  });
}

/** Whether a Meilisearch attribute pattern (`*` in front, behind or both) matches a field. */
function matches(pattern: string, field: string): boolean {
  if (pattern === "*") return true;
  const open = pattern.startsWith("*");
  const close = pattern.endsWith("*");
  const core = pattern.slice(open ? 1 : 0, close ? -1 : undefined);
  if (open && close) return field.includes(core);
  if (open) return field.endsWith(core);
  return close ? field.startsWith(core) : field === core;
}

function deepFreeze<T extends object>(value: T): T {
  for (const member of Object.values(value)) {
    if (typeof member === "object" && member !== null) deepFreeze(member);
  }
  return Object.freeze(value);
}
