import { canonicalJson } from "../json/canonical.js";
import {
  type SettingsObject,
  settingsFingerprint,
  toClientSettings,
  toNodeSettings,
} from "./canonical-settings.js";
import { mapTemplates, unmarkTemplate } from "./document-templates.js";
import { unmaskSecrets } from "./embedder-secrets.js";
import { isObject, type JsonObject } from "./json-object.js";

/** Members that hold additions of Miroir's, which have to be there whatever the client's part says. */
const WITH_ADDITIONS = ["filterableAttributes", "rankingRules", "sortableAttributes", "embedders"] as const;

/**
 * The members in which a node's settings are not what was committed, in the order of the committed ones; none where the node
 * follows them. Miroir's additions count: a member without them differs, whatever else it says. Secrets are compared as nodes
 * print them, masked. Members that only one side has are left out: a node prints some of them only while an experimental
 * feature is on.
 *
 * @param committed as clients see them
 * @param nodeSettings as the node prints them
 */
export function driftedMembers(committed: SettingsObject, nodeSettings: SettingsObject): readonly string[] {
  const seen = toClientSettings(nodeSettings);
  const bare = membersWithoutAdditions(nodeSettings);
  return Object.keys(committed).filter((name) => {
    if (!(name in seen)) return false;
    // Nodes display everything; the client's list lives in the catalogue alone.
    if (name === "displayedAttributes") return canonicalJson(seen[name]) !== '["*"]';
    return bare.includes(name) || canonicalJson(seen[name]) !== canonicalJson(committed[name]);
  });
}

/** What two nodes' settings share exactly when they say the same; see {@link settingsFingerprint}. */
export function nodeFingerprint(nodeSettings: SettingsObject): string {
  const { embedders } = nodeSettings;
  return settingsFingerprint({
    ...nodeSettings,
    ...(embedders === undefined ? {} : { embedders: mapTemplates(embedders, unmarkTemplate) }),
  });
}

/** Whether a node's settings hold Miroir's additions, in the places where they belong. */
export function carriesAdditions(nodeSettings: SettingsObject): boolean {
  return membersWithoutAdditions(nodeSettings).length === 0;
}

function membersWithoutAdditions(nodeSettings: SettingsObject): readonly string[] {
  const client = toClientSettings(nodeSettings);
  const wanted = toNodeSettings(
    Object.fromEntries(WITH_ADDITIONS.flatMap((name) => (name in client ? [[name, client[name]]] : []))),
  );
  return Object.keys(wanted).filter(
    (name) => printed(name, wanted[name]) !== printed(name, nodeSettings[name]),
  );
}

/** A node keeps its sortable attributes as a set; in the other lists with additions their place counts. */
function printed(name: string, value: unknown): string {
  if (name === "embedders") return canonicalJson(mapTemplates(value, unmarkTemplate));
  return canonicalJson(name === "sortableAttributes" && Array.isArray(value) ? [...value].sort() : value);
}

/**
 * The settings change that gives a node the committed settings back in these members. Secrets of embedders whose masks alone are
 * known are left out of it: a node keeps the ones that it has.
 *
 * @param secrets what is known of them, as `unmaskSecrets` takes it
 */
export function repairPatch(
  committed: SettingsObject,
  nodeSettings: SettingsObject,
  members: readonly string[],
  secrets: readonly unknown[],
): Record<string, unknown> {
  const patch: Record<string, unknown> = {};
  for (const name of members) {
    patch[name] = name === "embedders" ? embeddersPatch(committed, nodeSettings, secrets) : committed[name];
  }
  return toNodeSettings(patch);
}

function embeddersPatch(
  committed: SettingsObject,
  nodeSettings: SettingsObject,
  secrets: readonly unknown[],
): Record<string, unknown> {
  const { settings, masked } = unmaskSecrets({ embedders: asObject(committed.embedders) }, secrets);
  const wanted = Object.entries(asObject(settings.embedders)).map(([name, embedder]) => [
    name,
    masked.includes(name) ? withoutSecrets(embedder) : embedder,
  ]);
  const gone = Object.keys(asObject(nodeSettings.embedders)).filter(
    (name) => !wanted.some(([known]) => known === name),
  );
  return Object.fromEntries([...wanted, ...gone.map((name) => [name, null])]);
}

function withoutSecrets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutSecrets);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, member]) =>
      name === "apiKey" ? [] : [[name, withoutSecrets(member)]],
    ),
  );
}

function asObject(value: unknown): JsonObject {
  return isObject(value) ? value : {};
}
