import { isObject, type JsonObject } from "./json-object.js";
import { maskSecret } from "./mask-secret.js";

/** What may hold secrets: a settings object, or its embedders. */

/** The member of an embedder, at any depth, whose value Meilisearch shows masked. */
const SECRET = "apiKey";

/**
 * The API keys in a settings change, as JSON: its `embedders` with nothing but their members `apiKey`. Undefined where it brings none.
 */
export function embedderSecrets(patch: JsonObject): string | undefined {
  const found = secretsIn(patch.embedders);
  return found === undefined ? undefined : JSON.stringify(found);
}

/** What the names of the topology's resources begin with that hold embedders' keys; an instance follows. */
export const SECRETS_PREFIX = "secrets/";

/** The secrets of one settings change, as a resource keeps them. */
export interface KeptChange {
  readonly taskUid: number;
  readonly embedders: unknown;
}

/** The changes that such a resource holds, the oldest first. */
export function keptChanges(resourceJson: string): readonly KeptChange[] {
  return JSON.parse(resourceJson) as KeptChange[];
}

/** Settings with the embedders' real API keys in the place of masked ones. */
export interface UnmaskedSettings {
  readonly settings: JsonObject;
  /** Embedders of which no key is known whose mask is the one shown. */
  readonly masked: readonly string[];
}

/**
 * Puts secrets back where settings show their masks.
 *
 * @param known what {@link embedderSecrets} gave of the changes that were made, the last one first, parsed
 */
export function unmaskSecrets(settings: JsonObject, known: readonly unknown[]): UnmaskedSettings {
  if (!isObject(settings.embedders)) return { settings, masked: [] };
  const masked = new Set<string>();
  const embedders = Object.entries(settings.embedders).map(([name, embedder]) => {
    const candidates = known.map((secrets) => memberOf(secrets, name));
    return [name, unmask(embedder, candidates, () => masked.add(name))];
  });
  return { settings: { ...settings, embedders: Object.fromEntries(embedders) }, masked: [...masked] };
}

function unmask(value: unknown, known: readonly unknown[], onMasked: () => void): unknown {
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => {
      const candidates = known.map((secrets) => memberOf(secrets, name));
      if (name !== SECRET || typeof member !== "string") return [name, unmask(member, candidates, onMasked)];
      const secret = candidates.find(
        (candidate) => typeof candidate === "string" && maskSecret(candidate) === member,
      );
      if (secret === undefined) onMasked();
      return [name, secret ?? member];
    }),
  );
}

function secretsIn(value: unknown): unknown {
  if (!isObject(value)) return undefined;
  const found = Object.entries(value).flatMap(([name, member]) => {
    if (name === SECRET && typeof member === "string") return [[name, member]];
    const inside = secretsIn(member);
    return inside === undefined ? [] : [[name, inside]];
  });
  return found.length === 0 ? undefined : Object.fromEntries(found);
}

function memberOf(value: unknown, name: string): unknown {
  return isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}
