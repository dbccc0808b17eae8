import { decodeString, type JsonMember, objectMembers } from "../../json/members.js";
import { integerText, printSerdeObject, printSerdeValue, readSerdeValue } from "./serde-value.js";
import { type TaskFailure, taskFailure } from "./task-failure.js";

/** Longest document id in bytes. */
const MAX_ID_BYTES = 511;

type Extraction =
  | { readonly kind: "found"; readonly id: string }
  | { readonly kind: "missing" }
  | { readonly kind: "several" }
  | { readonly kind: "invalid"; readonly value: string };

/**
 * Infers the primary key from the first document's top-level field names: the one that ends in "id", whatever its case.
 *
 * @returns the name, or why Meilisearch fails the task
 */
export function inferPrimaryKey(
  fieldNames: readonly string[],
): { readonly primaryKey: string } | { readonly failure: TaskFailure } {
  const candidates = [...new Set(fieldNames)]
    .filter((name) => name.toLowerCase().endsWith("id"))
    .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const [first, second] = candidates;
  if (first === undefined) return { failure: noPrimaryKeyCandidate() };
  if (second === undefined) return { primaryKey: first };
  return {
    failure: taskFailure(
      "index_primary_key_multiple_candidates_found",
      `The primary key inference failed as the engine found ${candidates.length} fields ending with \`id\` in their names: '${first}' and '${second}'. Please specify the primary key manually using the \`primaryKey\` query parameter.`,
    ),
  };
}

/** The failure of a task whose first document has no field that could be the primary key. */
export function noPrimaryKeyCandidate(): TaskFailure {
  return taskFailure(
    "index_primary_key_no_candidate_found",
    "The primary key inference failed as the engine did not find any field ending with `id` in its name. Please specify the primary key manually using the `primaryKey` query parameter.",
  );
}

/** The failure of a task that names another primary key than the index has. */
export function primaryKeyTaken(primaryKey: string): TaskFailure {
  return taskFailure(
    "index_primary_key_already_exists",
    `Index already has a primary key: \`${primaryKey}\`.`,
  );
}

/**
 * The document's id as text: integers in canonical decimal, strings decoded. `a.b` names the member `b` of the object
 * `a`, or the member `a.b`; a document where both exist has too many.
 *
 * @param members the document's own members, from `objectMembers`
 */
export function documentId(
  document: Buffer,
  members: readonly JsonMember[],
  primaryKey: string,
): { readonly id: string } | { readonly failure: TaskFailure } {
  const extraction = extract(document, members, primaryKey);
  switch (extraction.kind) {
    case "found":
      return { id: extraction.id };
    case "missing":
      return {
        failure: taskFailure(
          "missing_document_id",
          `Document doesn't have a \`${primaryKey}\` attribute: \`${printDocument(document)}\`.`,
        ),
      };
    case "several":
      return {
        failure: taskFailure(
          "invalid_document_id",
          `Document have too many matching \`${primaryKey}\` attribute: \`${printDocument(document)}\`.`,
        ),
      };
    case "invalid":
      return {
        failure: taskFailure(
          "invalid_document_id",
          `Document identifier \`${extraction.value}\` is invalid. A document identifier can be of type integer or string, only composed of alphanumeric characters (a-z A-Z 0-9), hyphens (-) and underscores (_), and can not be more than 511 bytes.`,
        ),
      };
  }
}

/** Whether Meilisearch takes this text as a document id. */
export function isDocumentId(text: string): boolean {
  return text.length > 0 && text.length <= MAX_ID_BYTES && /^[A-Za-z0-9_-]+$/.test(text);
}

function printDocument(document: Buffer): string {
  const value = readSerdeValue(document);
  return value.kind === "object" ? printSerdeObject(value.members) : printSerdeValue(value);
}

function extract(document: Buffer, members: readonly JsonMember[], path: string): Extraction {
  const levels = levelsOf(path);
  let found: Extraction | undefined;
  for (const member of members) {
    const rest = levels.get(member.key);
    if (rest === undefined || member.key === "") continue;
    const extraction = rest === "" ? readId(document, member) : extractNested(document, member, rest);
    if (extraction.kind === "missing") continue;
    if (extraction.kind !== "found") return extraction;
    if (found !== undefined) return { kind: "several" };
    found = extraction;
  }
  return found ?? { kind: "missing" };
}

function extractNested(document: Buffer, member: JsonMember, path: string): Extraction {
  if (document[member.valueStart] !== 0x7b) return { kind: "missing" };
  return extract(document, objectMembers(document, member.valueStart), path);
}

/** By the first part of the path: what is left of it. `a.b.c` → a: b.c, a.b: c, a.b.c: nothing. */
function levelsOf(path: string): ReadonlyMap<string, string> {
  const levels = new Map<string, string>();
  for (let dot = path.indexOf("."); dot !== -1; dot = path.indexOf(".", dot + 1)) {
    levels.set(path.slice(0, dot), path.slice(dot + 1));
  }
  levels.set(path, "");
  return levels;
}

function readId(document: Buffer, member: JsonMember): Extraction {
  const { valueStart, valueEnd } = member;
  const first = document[valueStart];
  if (first === 0x22) {
    const text = decodeString(document, valueStart, valueEnd);
    return isDocumentId(text)
      ? { kind: "found", id: text }
      : { kind: "invalid", value: JSON.stringify(text) };
  }
  if (first === 0x2d || (first !== undefined && first >= 0x30 && first <= 0x39)) {
    const integer = integerText(document.toString("latin1", valueStart, valueEnd));
    if (integer !== undefined) return { kind: "found", id: integer };
  }
  return { kind: "invalid", value: printSerdeValue(readSerdeValue(document, valueStart, valueEnd)) };
}
