import { toClientSettings } from "../../settings/canonical-settings.js";
import type { IndexView, TopologySource } from "../topology/topology-view.js";
import { clientError } from "./node-refusals.js";
import { NodeRefusedError } from "./shard-read.js";
import type { ShardReader } from "./shard-reader.js";

/** Reads the settings of an index as clients see them. */
export interface SettingsReader {
  /** The whole settings object. @throws MeilisearchError */
  settings(index: IndexView, signal: AbortSignal): Promise<Readonly<Record<string, unknown>>>;
  /** One member, by the name of its sub-route, such as `stop-words`. @throws MeilisearchError */
  member(index: IndexView, route: string, signal: AbortSignal): Promise<unknown>;
}

/** The sub-routes of `/indexes/{uid}/settings`: the member that each one is about, and the method that changes it. */
export const SETTINGS_ROUTES: ReadonlyMap<
  string,
  { readonly member: string; readonly update: "PUT" | "PATCH" }
> = new Map([
  ["filterable-attributes", { member: "filterableAttributes", update: "PUT" }],
  ["sortable-attributes", { member: "sortableAttributes", update: "PUT" }],
  ["displayed-attributes", { member: "displayedAttributes", update: "PUT" }],
  ["typo-tolerance", { member: "typoTolerance", update: "PATCH" }],
  ["searchable-attributes", { member: "searchableAttributes", update: "PUT" }],
  ["stop-words", { member: "stopWords", update: "PUT" }],
  ["non-separator-tokens", { member: "nonSeparatorTokens", update: "PUT" }],
  ["separator-tokens", { member: "separatorTokens", update: "PUT" }],
  ["dictionary", { member: "dictionary", update: "PUT" }],
  ["synonyms", { member: "synonyms", update: "PUT" }],
  ["distinct-attribute", { member: "distinctAttribute", update: "PUT" }],
  ["proximity-precision", { member: "proximityPrecision", update: "PUT" }],
  ["localized-attributes", { member: "localizedAttributes", update: "PUT" }],
  ["ranking-rules", { member: "rankingRules", update: "PUT" }],
  ["faceting", { member: "faceting", update: "PATCH" }],
  ["pagination", { member: "pagination", update: "PATCH" }],
  ["embedders", { member: "embedders", update: "PATCH" }],
  ["search-cutoff-ms", { member: "searchCutoffMs", update: "PUT" }],
  ["facet-search", { member: "facetSearch", update: "PUT" }],
  ["prefix-search", { member: "prefixSearch", update: "PUT" }],
  ["chat", { member: "chat", update: "PATCH" }],
  ["foreign-keys", { member: "foreignKeys", update: "PUT" }],
]);

/** Members that the whole shows only while an experimental feature is on, each with the member that it is printed behind. */
const GATED = [
  {
    member: "foreignKeys",
    route: "foreign-keys",
    feature: "foreignKeys",
    behind: "sortableAttributes",
  },
  { member: "chat", route: "chat", feature: "chatCompletions", behind: "prefixSearch" },
] as const;

/** A member that the committed settings of every index hold once they have been read back from its nodes. */
const ALWAYS_THERE = "rankingRules";

/**
 * Reads from the catalogue, which holds the committed settings as clients see them. What it does not hold (members
 * that nodes print only on their own sub-route, or the settings of an index that is being created) is read from a replica.
 */
export function createSettingsReader(reader: ShardReader, topology: TopologySource): SettingsReader {
  const fromNode = async (index: IndexView, path: string, signal: AbortSignal): Promise<unknown> => {
    try {
      const result = await reader.read(
        index.uid,
        { requests: () => [{ method: "GET", path, asAdmin: true }] },
        signal,
        () => [0],
      );
      const body = result.answers[0]?.responses[0]?.body;
      if (body === undefined) throw new Error("no replica of shard 0 answered");
      return JSON.parse(body.toString("utf8")) as unknown;
    } catch (error) {
      if (!(error instanceof NodeRefusedError)) throw error;
      throw clientError(error.response, error.physicalName, index.uid);
    }
  };
  const member: SettingsReader["member"] = async (index, route, signal) => {
    const name = SETTINGS_ROUTES.get(route)?.member;
    if (name === undefined) throw new Error(`there is no settings route ${route}`);
    if (Object.hasOwn(index.settings, name)) return index.settings[name];
    const value = await fromNode(index, `/settings/${route}`, signal);
    return toClientSettings({ [name]: value })[name];
  };
  return {
    member,
    async settings(index, signal) {
      if (index.settings[ALWAYS_THERE] === undefined)
        return toClientSettings((await fromNode(index, "/settings", signal)) as Record<string, unknown>);
      const features = topology.current()?.experimentalFeatures;
      const shown = new Map<string, readonly [name: string, value: unknown]>();
      for (const { member: name, route, feature, behind } of GATED) {
        if (features?.has(feature)) shown.set(behind, [name, await member(index, route, signal)]);
      }
      const always = Object.entries(index.settings).filter(([name]) =>
        GATED.every((gated) => gated.member !== name),
      );
      return Object.fromEntries(
        always.flatMap((entry) => {
          const next = shown.get(entry[0]);
          return next === undefined ? [entry] : [entry, next];
        }),
      );
    },
  };
}
