import { ApiError } from "./errors.js";
import type { JsonObject, JsonValue } from "./exact-json.js";
import { sortedUnique } from "./settings.js";
import type { Place } from "./validate.js";
import * as check from "./validate.js";

type Validator = (value: JsonValue, place: Place) => JsonValue;

/** One setting: its name in bodies, its sub-route, the method that changes it there, and how it is checked. */
export interface SettingRoute {
  readonly name: string;
  readonly route: string;
  readonly method: "PUT" | "PATCH";
  readonly code: string;
  readonly validate: Validator;
}

const strings: Validator = (value, place) => check.asStrings(value, place);
const sortedStrings: Validator = (value, place) => sortedUnique(check.asStrings(value, place));
const boolean: Validator = (value, place) => check.asBoolean(value, place);

function setting(name: string, validate: Validator, method: "PUT" | "PATCH" = "PUT"): SettingRoute {
  const snake = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return { name, route: snake.replaceAll("_", "-"), method, code: `invalid_settings_${snake}`, validate };
}

const BUILT_IN_RULES = new Set([
  "words",
  "typo",
  "sort",
  "proximity",
  "attribute",
  "attributeRank",
  "wordPosition",
  "exactness",
]);

function rankingRules(value: JsonValue, place: Place): JsonValue {
  const rules = check.asArray(value, place).map((item, i) => rankingRule(item, check.below(place, i)));
  const split = rules.includes("attributeRank") || rules.includes("wordPosition");
  if (split && rules.includes("attribute")) {
    throw new ApiError(
      place.code,
      "Mixed usage of the attribute, attributeRank, and wordPosition ranking rules. You must either use the attribute ranking rule alone or the attributeRank and wordPosition ranking rules.",
    );
  }
  return rules;
}

function rankingRule(value: JsonValue, place: Place): string {
  const rule = check.asString(value, place);
  if (BUILT_IN_RULES.has(rule)) return rule;
  const match = /^(.+):(asc|desc)$/.exec(rule);
  if (match === null) {
    throw check.invalidValue(
      `\`${rule}\` ranking rule is invalid. Valid ranking rules are words, typo, sort, proximity, attribute, exactness and custom ranking rules.`,
      place,
    );
  }
  const name = match[1] ?? "";
  for (const reserved of [
    "_geoPoint",
    "_geoRadius",
    "_geoBoundingBox",
    "_geoPolygon",
    "_geoDistance",
    "_geo",
    "_geojson",
  ]) {
    if (name !== reserved && !name.startsWith(`${reserved}(`)) continue;
    const hint = reserved === "_geoPoint" ? ". `_geoPoint` can only be used for sorting at search time" : "";
    throw check.invalidValue(
      `\`${reserved}\` is a reserved keyword and thus can't be used as a ranking rule${hint}`,
      place,
    );
  }
  return rule;
}

function filterableAttributes(value: JsonValue, place: Place): JsonValue {
  return check.asArray(value, place).map((item, i) => {
    const at = check.below(place, i);
    if (typeof item === "string") return item;
    if (typeof item !== "object" || item === null || Array.isArray(item))
      throw check.wrongType(item, "a string", at);
    check.refuseUnknown(item, ["attributePatterns", "features"], at);
    if (item.attributePatterns === undefined) {
      throw new ApiError(place.code, `Missing field \`attributePatterns\` inside \`${at.path}\``);
    }
    const patterns = check.asStrings(item.attributePatterns, check.below(at, "attributePatterns"));
    const featuresAt = check.below(at, "features");
    const features = check.asObject(item.features ?? {}, featuresAt);
    check.refuseUnknown(features, ["facetSearch", "filter"], featuresAt);
    const filterAt = check.below(featuresAt, "filter");
    const filter = check.asObject(features.filter ?? {}, filterAt);
    check.refuseUnknown(filter, ["equality", "comparison"], filterAt);
    return {
      attributePatterns: patterns,
      features: {
        facetSearch: check.asBoolean(features.facetSearch ?? false, check.below(featuresAt, "facetSearch")),
        filter: {
          equality: check.asBoolean(filter.equality ?? true, check.below(filterAt, "equality")),
          comparison: check.asBoolean(filter.comparison ?? false, check.below(filterAt, "comparison")),
        },
      },
    };
  });
}

function synonyms(value: JsonValue, place: Place): JsonValue {
  const object = check.asObject(value, place);
  const names = sortedUnique(Object.keys(object));
  return Object.fromEntries(
    names.map((name) => [name, check.asStrings(object[name] ?? null, check.below(place, name))]),
  );
}

function typoTolerance(value: JsonValue, place: Place): JsonValue {
  const object = check.asObject(value, place);
  const known = [
    "enabled",
    "minWordSizeForTypos",
    "disableOnWords",
    "disableOnAttributes",
    "disableOnNumbers",
  ];
  check.refuseUnknown(object, known, place);
  const sizesAt = check.below(place, "minWordSizeForTypos");
  const result: JsonObject = {};
  for (const name of known) {
    const member = object[name];
    if (member === undefined) continue;
    const at = check.below(place, name);
    if (member === null) result[name] = null;
    else if (name === "enabled" || name === "disableOnNumbers") result[name] = check.asBoolean(member, at);
    else if (name === "minWordSizeForTypos") result[name] = wordSizes(member, sizesAt);
    else result[name] = sortedStrings(member, at);
  }
  return result;
}

function wordSizes(value: JsonValue, place: Place): JsonValue {
  const sizes = check.asObject(value, place);
  check.refuseUnknown(sizes, ["oneTypo", "twoTypos"], place);
  const result: JsonObject = {};
  for (const name of ["oneTypo", "twoTypos"] as const) {
    const size = sizes[name];
    if (size === undefined) continue;
    result[name] = size === null ? null : check.asPositiveInteger(size, check.below(place, name));
  }
  const { oneTypo: one, twoTypos: two } = result;
  if (typeof one === "number" && typeof two === "number" && one > two) {
    throw check.invalidValue(
      `\`minWordSizeForTypos\` setting is invalid. \`oneTypo\` and \`twoTypos\` fields should be between \`0\` and \`255\`, and \`twoTypos\` should be greater or equals to \`oneTypo\` but found \`oneTypo: ${one}\` and twoTypos: ${two}\`.`,
      place,
    );
  }
  return result;
}

function faceting(value: JsonValue, place: Place): JsonValue {
  const object = check.asObject(value, place);
  check.refuseUnknown(object, ["maxValuesPerFacet", "sortFacetValuesBy"], place);
  const result: JsonObject = {};
  const { maxValuesPerFacet: max, sortFacetValuesBy: orders } = object;
  if (max !== undefined) {
    result.maxValuesPerFacet =
      max === null ? null : check.asPositiveInteger(max, check.below(place, "maxValuesPerFacet"));
  }
  if (orders === null) result.sortFacetValuesBy = null;
  else if (orders !== undefined) {
    const at = check.below(place, "sortFacetValuesBy");
    result.sortFacetValuesBy = Object.fromEntries(
      Object.entries(check.asObject(orders, at)).map(([name, order]) => [
        name,
        check.asOneOf(order, ["alpha", "count"], check.below(at, name)),
      ]),
    );
  }
  return result;
}

function pagination(value: JsonValue, place: Place): JsonValue {
  const object = check.asObject(value, place);
  check.refuseUnknown(object, ["maxTotalHits"], place);
  const max = object.maxTotalHits;
  if (max === undefined) return {};
  if (max === null) return { maxTotalHits: null };
  const at = check.below(place, "maxTotalHits");
  if (check.asPositiveInteger(max, at) === 0) {
    throw check.invalidValue(
      "a non-zero integer value lower than `18446744073709551615` was expected, but found a zero",
      at,
    );
  }
  return { maxTotalHits: max };
}

const EMBEDDER_SOURCES = ["openAi", "huggingFace", "ollama", "userProvided", "rest", "composite"] as const;

function embedders(value: JsonValue, place: Place): JsonValue {
  const object = check.asObject(value, place);
  return Object.fromEntries(
    Object.entries(object).map(([name, embedder]) => {
      if (embedder === null) return [name, null];
      const at = check.below(place, name);
      const members = check.asObject(embedder, at);
      if (members.source === undefined) {
        throw new ApiError(
          place.code,
          `\`.embedders.${name}\`: the embedded node needs \`source\` to be given`,
        );
      }
      const source = check.asOneOf(members.source, EMBEDDER_SOURCES, check.below(at, "source"));
      if (source !== "userProvided") {
        throw new ApiError(
          place.code,
          `\`.embedders.${name}\`: the embedded node supports the source \`userProvided\` only, not \`${source}\``,
        );
      }
      if (members.dimensions === undefined || members.dimensions === null) {
        throw new ApiError(
          place.code,
          `\`.embedders.${name}\`: Missing field \`dimensions\` (note: this field is mandatory for source \`userProvided\`)`,
        );
      }
      return [
        name,
        {
          ...members,
          dimensions: check.asPositiveInteger(members.dimensions, check.below(at, "dimensions")),
        },
      ];
    }),
  );
}

function localizedAttributes(value: JsonValue, place: Place): JsonValue {
  return check.asArray(value, place).map((item, i) => {
    const at = check.below(place, i);
    const rule = check.asObject(item, at);
    check.refuseUnknown(rule, ["attributePatterns", "locales"], at);
    return {
      attributePatterns: check.asStrings(rule.attributePatterns ?? [], check.below(at, "attributePatterns")),
      locales: check.asStrings(rule.locales ?? [], check.below(at, "locales")),
    };
  });
}

/** Every setting, in the order in which Meilisearch lists them. */
export const SETTING_ROUTES: readonly SettingRoute[] = [
  setting("displayedAttributes", strings),
  setting("searchableAttributes", strings),
  setting("filterableAttributes", filterableAttributes),
  setting("sortableAttributes", sortedStrings),
  setting("foreignKeys", (value, place) => check.asArray(value, place)),
  setting("rankingRules", rankingRules),
  setting("stopWords", sortedStrings),
  setting("nonSeparatorTokens", sortedStrings),
  setting("separatorTokens", sortedStrings),
  setting("dictionary", sortedStrings),
  setting("synonyms", synonyms),
  setting("distinctAttribute", (value, place) => check.asString(value, place)),
  setting("proximityPrecision", (value, place) => check.asOneOf(value, ["byWord", "byAttribute"], place)),
  setting("typoTolerance", typoTolerance, "PATCH"),
  setting("faceting", faceting, "PATCH"),
  setting("pagination", pagination, "PATCH"),
  setting("embedders", embedders, "PATCH"),
  setting("searchCutoffMs", (value, place) => check.asPositiveInteger(value, place)),
  setting("localizedAttributes", localizedAttributes),
  setting("facetSearch", boolean),
  setting("prefixSearch", (value, place) => check.asOneOf(value, ["indexingTime", "disabled"], place)),
];

/**
 * Checks a `PATCH settings` body and returns it in Meilisearch's order and normal form, which is also what
 * the task shows as its details.
 *
 * @throws ApiError with the code of the setting that is wrong.
 */
export function validateSettings(body: JsonValue): JsonObject {
  const object = check.asObject(body, { path: "", code: "bad_request" });
  const known = [...SETTING_ROUTES.map((route) => route.name), "chat"];
  check.refuseUnknown(object, known, { path: "", code: "bad_request" });
  const result: JsonObject = {};
  for (const { name, code, validate } of SETTING_ROUTES) {
    const value = object[name];
    if (value === undefined) continue;
    result[name] = value === null ? reset(name) : validate(value, { path: `.${name}`, code });
  }
  return result;
}

/** The patch that resets every setting. */
export function resetAll(): JsonObject {
  return Object.fromEntries([...SETTING_ROUTES.map(({ name }) => [name, reset(name)]), ["chat", null]]);
}

/** What a task's details show for a setting that was reset. */
export function reset(name: string): JsonValue {
  return name === "displayedAttributes" || name === "searchableAttributes" ? ["*"] : null;
}
