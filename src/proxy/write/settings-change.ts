import { errorLink, MeilisearchError } from "../../meilisearch/errors.js";
import { badRequest } from "./refusals.js";
import type { SettingsMethod, SettingsRoute } from "./types.js";

/** The members of a settings object, in the order in which Meilisearch prints them. */
const MEMBERS = [
  "displayedAttributes",
  "searchableAttributes",
  "filterableAttributes",
  "sortableAttributes",
  "foreignKeys",
  "rankingRules",
  "stopWords",
  "nonSeparatorTokens",
  "separatorTokens",
  "dictionary",
  "synonyms",
  "distinctAttribute",
  "proximityPrecision",
  "typoTolerance",
  "faceting",
  "pagination",
  "embedders",
  "searchCutoffMs",
  "localizedAttributes",
  "facetSearch",
  "prefixSearch",
  "chat",
] as const;

/** Members that Meilisearch keeps as sorted sets. */
const SETS = new Set([
  "sortableAttributes",
  "stopWords",
  "nonSeparatorTokens",
  "separatorTokens",
  "dictionary",
]);

/** What a reset of everything shows in its task instead of null. */
const RESET_DETAILS: Readonly<Record<string, unknown>> = {
  displayedAttributes: ["*"],
  searchableAttributes: ["*"],
};

/** A settings change, whatever route it came by. */
export interface SettingsChange {
  /** As `PATCH /settings` would take it; null resets a member. */
  readonly patch: Readonly<Record<string, unknown>>;
  /** The only member, where it came by a sub-route. */
  readonly member: string | undefined;
  /** A pure reset, which does not create an index. */
  readonly reset: boolean;
  readonly details: Readonly<Record<string, unknown>>;
}

/** The member that a sub-route such as `stop-words` names. */
export function settingsMember(route: string): string {
  return route.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/**
 * Reads a settings change.
 *
 * @throws MeilisearchError where the whole is no object
 */
export function readSettingsChange(
  route: SettingsRoute,
  method: SettingsMethod,
  body: unknown,
): SettingsChange {
  if (route !== "all") {
    const member = settingsMember(route);
    const patch = { [member]: method === "DELETE" ? null : body };
    return { patch, member, reset: method === "DELETE", details: settingsDetails(patch) };
  }
  if (method === "DELETE") {
    const patch = Object.fromEntries(MEMBERS.map((member) => [member, null]));
    return { patch, member: undefined, reset: true, details: { ...patch, ...RESET_DETAILS } };
  }
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    const found = body === null ? "null" : `${kindOf(body)}: \`${JSON.stringify(body)}\``;
    throw badRequest(`Invalid value type: expected an object, but found ${found}`);
  }
  const patch = body as Record<string, unknown>;
  return { patch, member: undefined, reset: false, details: settingsDetails(patch) };
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return "an array";
  if (typeof value === "number") return Number.isInteger(value) ? "a positive integer" : "a number";
  return typeof value === "boolean" ? "a boolean" : "a string";
}

/** A change as Meilisearch prints it in a task: members in its order, sets sorted. */
function settingsDetails(patch: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const details: Record<string, unknown> = {};
  for (const member of MEMBERS) {
    if (!(member in patch)) continue;
    const value = patch[member] ?? RESET_DETAILS[member] ?? null;
    details[member] = SETS.has(member) && Array.isArray(value) ? [...new Set(value)].sort() : value;
  }
  return details;
}

/**
 * A node's refusal of a whole change, as it reads where the change came by a sub-route: places in the body lose the member in front.
 */
export function subRouteRefusal(error: MeilisearchError, member: string | undefined): MeilisearchError {
  if (member === undefined) return error;
  const message = error.body.message.replace(
    / at `\.([A-Za-z]+)([^`]*)`/,
    (place, name: string, rest: string) => (name !== member ? place : rest === "" ? "" : ` at \`${rest}\``),
  );
  return new MeilisearchError(error.status, { ...error.body, message, link: errorLink(error.body.code) });
}
