import { type Document, printDocument } from "../documents.js";
import { type JsonObject, type JsonValue, printFloat } from "../exact-json.js";
import type { IndexState } from "../index-state.js";
import { vectorsOf } from "./vectors.js";

/** Prints a number that was kept as a 32-bit float, as Meilisearch does: as the double of the same value. */
export function printFloat32(value: number): string {
  return printFloat(Math.fround(value));
}

/** The `_vectors` member of a document as `retrieveVectors` shows it. */
export function renderVectors(document: Document, embedders: readonly string[]): string {
  const members = embedders.map((name) => {
    const printed = vectorsOf(document, name).map((vector) => `[${vector.map(printFloat32).join(",")}]`);
    return `${JSON.stringify(name)}:{"embeddings":[${printed.join(",")}],"regenerate":false}`;
  });
  return `{${members.join(",")}}`;
}

/**
 * Prints a document for a client.
 *
 * @param fields members to show, by name or dotted path; `undefined` shows all.
 * @param withVectors shows `_vectors`, which is hidden otherwise.
 */
export function renderDocument(
  index: IndexState,
  id: number,
  fields: readonly string[] | undefined,
  withVectors: boolean,
): string {
  const document = index.document(id) ?? new Map();
  const names = index.fields.filter((name) => name !== "_vectors" && document.has(name));
  const text = fields === undefined ? printDocument(document, names) : printSelected(document, names, fields);
  if (!withVectors) return text;
  const vectors = renderVectors(document, Object.keys(index.settings.embedders));
  return text === "{}" ? `{"_vectors":${vectors}}` : `${text.slice(0, -1)},"_vectors":${vectors}}`;
}

function printSelected(document: Document, names: readonly string[], fields: readonly string[]): string {
  const members = names.flatMap((name) => {
    const member = document.get(name);
    if (member === undefined) return [];
    if (fields.includes(name)) return [`${JSON.stringify(name)}:${member.text}`];
    const below = fields
      .filter((field) => field.startsWith(`${name}.`))
      .map((field) => field.slice(name.length + 1));
    if (below.length === 0) return [];
    const part = selectPaths(member.value, below);
    return part === undefined ? [] : [`${JSON.stringify(name)}:${JSON.stringify(part)}`];
  });
  return `{${members.join(",")}}`;
}

/** The part of a value that lies on dotted paths, through arrays; `undefined` where there is none. */
export function selectPaths(value: JsonValue, paths: readonly string[]): JsonValue | undefined {
  if (Array.isArray(value)) {
    const items = value.flatMap((item) => selectPaths(item, paths) ?? []);
    return items.length === 0 ? undefined : items;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const result: JsonObject = {};
  for (const [name, member] of Object.entries(value)) {
    if (paths.includes(name)) result[name] = member;
    else {
      const below = paths
        .filter((path) => path.startsWith(`${name}.`))
        .map((path) => path.slice(name.length + 1));
      const part = below.length === 0 ? undefined : selectPaths(member, below);
      if (part !== undefined) result[name] = part;
    }
  }
  return Object.keys(result).length === 0 ? undefined : result;
}
