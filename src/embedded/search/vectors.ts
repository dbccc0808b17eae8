import type { Document } from "../documents.js";
import { ApiError } from "../errors.js";
import type { JsonObject, JsonValue } from "../exact-json.js";
import type { IndexSettings } from "../settings.js";

/** The vectors of a document for one embedder; empty where it has none. */
export function vectorsOf(document: Document, embedder: string): number[][] {
  const all = document.get("_vectors")?.value;
  if (typeof all !== "object" || all === null || Array.isArray(all)) return [];
  return toVectors(all[embedder]);
}

function toVectors(value: JsonValue | undefined): number[][] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) {
    if (value.length === 0) return [];
    return typeof value[0] === "number" ? [value as number[]] : (value as number[][]);
  }
  return typeof value === "object" ? toVectors((value as JsonObject).embeddings) : [];
}

/**
 * Checks that `_vectors` fits the index's embedders.
 *
 * @throws ApiError `invalid_vectors_type` or `invalid_vector_dimensions`.
 */
export function checkVectors(document: Document, key: string, embedders: IndexSettings["embedders"]): void {
  const member = document.get("_vectors");
  if (member === undefined || Object.keys(embedders).length === 0 || member.value === null) return;
  if (typeof member.value !== "object" || Array.isArray(member.value)) {
    throw new ApiError(
      "invalid_vectors_type",
      `The \`_vectors\` field in the document with id: \`${key}\` is not an object. Was expecting an object with a key for each embedder with manually provided vectors, but instead got \`${member.text}\``,
    );
  }
  for (const [name, { dimensions }] of Object.entries(embedders)) {
    const given = member.value[name];
    if (given !== undefined && given !== null && typeof given !== "object") {
      throw new ApiError(
        "invalid_vectors_type",
        `Bad embedder configuration in the document with id: \`${key}\`. Expected \`._vectors.${name}\` to be an array of floats, an array of arrays of floats, or an object with at least the field \`regenerate\`, but got the ${typeof given} \`${given}\``,
      );
    }
    for (const [i, vector] of vectorsOf(document, name).entries()) {
      if (vector.length === dimensions) continue;
      throw new ApiError(
        "invalid_vector_dimensions",
        `Invalid vector dimensions in document with id \`${key}\` in \`._vectors.${name}\`.\n  - note: embedding #${i} has dimensions ${vector.length}\n  - note: embedder \`${name}\` requires ${dimensions}`,
      );
    }
  }
}

/**
 * Checks that every document has vectors for every embedder, or says `null` to have none.
 *
 * @throws ApiError `vector_embedding_error` naming the first that does not.
 */
export function checkVectorsPresent(
  documents: Iterable<readonly [string, Document]>,
  embedders: IndexSettings["embedders"],
): void {
  for (const name of Object.keys(embedders)) {
    const missing: string[] = [];
    for (const [key, document] of documents) {
      const all = document.get("_vectors")?.value;
      const given = typeof all === "object" && all !== null && !Array.isArray(all) && all[name] !== undefined;
      if (!given) missing.push(key);
    }
    const [first] = missing;
    if (first === undefined) continue;
    const others =
      missing.length > 1 ? ` and at least ${Math.min(missing.length, 100) - 1} other document(s)` : "";
    throw new ApiError(
      "vector_embedding_error",
      `While embedding documents for embedder \`${name}\`: no vectors provided for document \`${first}\`${others}\n- Note: \`${name}\` has \`source: userProvided\`, so documents must provide embeddings as an array in \`_vectors.${name}\`.\n- Hint: opt-out for a document with \`_vectors.${name}: null\``,
    );
  }
}

/** Half of one plus the cosine of the angle, as a 32-bit float: 1 for equal directions, 0 for opposite ones. */
export function similarity(a: readonly number[], b: readonly number[]): number {
  let dot = 0;
  let left = 0;
  let right = 0;
  for (let i = 0; i < a.length; i++) {
    const x = a[i] ?? 0;
    const y = b[i] ?? 0;
    dot += x * y;
    left += x * x;
    right += y * y;
  }
  if (left === 0 || right === 0) return 0;
  return Math.fround((1 + dot / Math.sqrt(left * right)) / 2);
}
