import type { Document } from "../documents.js";
import type { JsonValue } from "../exact-json.js";

/** What filters, sorts, facets and distinct see of one field of one document. */
export interface FacetValues {
  readonly exists: boolean;
  readonly isNull: boolean;
  readonly isEmpty: boolean;
  readonly numbers: readonly number[];
  /** Normalised: decomposed, trimmed, lower case. */
  readonly strings: readonly string[];
  /** As written, one for each of `strings`. */
  readonly originals: readonly string[];
}

/** Normalises a string as filters compare it. */
export function normalizeFacet(text: string): string {
  return text.trim().normalize("NFKD").toLowerCase();
}

/** Collects the values at a dotted path, through objects and arrays. */
export function facetValues(document: Document, path: string): FacetValues {
  const found: JsonValue[] = [];
  for (const [name, member] of document) collect(name, member.value, path, found);
  const numbers: number[] = [];
  const strings: string[] = [];
  const originals: string[] = [];
  let isNull = false;
  let isEmpty = false;
  const add = (value: JsonValue) => {
    if (typeof value === "number") numbers.push(value);
    else if (typeof value === "string" || typeof value === "boolean") {
      const original = String(value);
      const normalized = normalizeFacet(original);
      if (normalized === "" || strings.includes(normalized)) return;
      strings.push(normalized);
      originals.push(original);
    } else if (Array.isArray(value)) for (const item of value) add(item);
  };
  for (const value of found) {
    if (value === null) isNull = true;
    else if (value === "" || (Array.isArray(value) && value.length === 0)) isEmpty = true;
    else if (typeof value === "object" && !Array.isArray(value) && Object.keys(value).length === 0)
      isEmpty = true;
    add(value);
  }
  return { exists: found.length > 0, isNull, isEmpty, numbers: [...new Set(numbers)], strings, originals };
}

function collect(name: string, value: JsonValue, path: string, found: JsonValue[]): void {
  if (name === path) {
    found.push(value);
    return;
  }
  if (!path.startsWith(`${name}.`) || value === null || typeof value !== "object") return;
  const rest = path.slice(name.length + 1);
  for (const item of Array.isArray(value) ? value : [value]) {
    if (item === null || typeof item !== "object" || Array.isArray(item)) continue;
    for (const [member, below] of Object.entries(item)) collect(member, below, rest, found);
  }
}
