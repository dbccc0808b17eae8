import type { DumpedIndex } from "../../dumps/manifest.js";
import { CommandError, ExitCode } from "../exit-codes.js";

/** API keys of embedders by index and name, as `--embedder-key` gives them. */
export type EmbedderKeys = ReadonlyMap<string, string>;

/** Reads `INDEX:EMBEDDER=KEY` texts. @throws CommandError (usage) */
export function parseEmbedderKeys(texts: readonly string[]): EmbedderKeys {
  return new Map(
    texts.map((text) => {
      const [, target, key] = /^([^:=]+:[^=]+)=(.+)$/.exec(text) ?? [];
      if (target === undefined || key === undefined) {
        throw new CommandError(ExitCode.usage, `--embedder-key: expected INDEX:EMBEDDER=KEY`);
      }
      return [target, key] as const;
    }),
  );
}

/** Embedders of the dump whose key is neither in it nor given, as `INDEX:EMBEDDER`. */
export function missingEmbedderKeys(indexes: readonly DumpedIndex[], given: EmbedderKeys): readonly string[] {
  return indexes
    .flatMap(({ uid, maskedEmbedders }) => maskedEmbedders.map((name) => `${uid}:${name}`))
    .filter((target) => !given.has(target));
}

/** Settings with the given keys in the place of those of the dump, wherever an embedder has one. */
export function withEmbedderKeys(
  uid: string,
  settings: Readonly<Record<string, unknown>>,
  given: EmbedderKeys,
): Readonly<Record<string, unknown>> {
  const { embedders } = settings;
  if (typeof embedders !== "object" || embedders === null) return settings;
  const replaced = Object.entries(embedders).map(([name, embedder]) => {
    const key = given.get(`${uid}:${name}`);
    return [name, key === undefined ? embedder : withKey(embedder, key)];
  });
  return { ...settings, embedders: Object.fromEntries(replaced) };
}

function withKey(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [
      name,
      name === "apiKey" && typeof member === "string" ? key : withKey(member, key),
    ]),
  );
}
