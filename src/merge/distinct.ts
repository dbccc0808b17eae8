import { arrayElements, objectMembers } from "../json/members.js";
import type { Hit } from "./hit.js";
import { normalizeFacet } from "./text-order.js";

/**
 * The values under which a node knows a hit's distinct attribute: strings and booleans in normalised
 * form, numbers as doubles. Empty for a document without a value (missing, null, an object, an empty array): such
 * documents are all distinct. An empty string is a value here, though facets do not show it.
 *
 * @param attribute a path; a dot leads into objects and arrays of objects
 */
export function distinctKeys(hit: Hit, attribute: string): string[] {
  return attributeValues(hit, attribute).map(({ key }) => key);
}

/** A value of an attribute: what nodes compare it by, see {@link distinctKeys}, and as the document writes it. */
export type AttributeValue = { readonly key: string; readonly label: string };

/** The values of a hit's attribute in the order in which the document has them; see {@link distinctKeys}. */
export function attributeValues(hit: Hit, attribute: string): AttributeValue[] {
  const values: AttributeValue[] = [];
  collectFromObject(hit.bytes, attribute, values);
  return values;
}

/** Keeps one document of each distinct value, in the order in which documents are offered. */
export class DistinctValues {
  readonly #seen = new Set<string>();

  /** Values that were kept so far. */
  get seen(): ReadonlySet<string> {
    return this.#seen;
  }

  /**
   * Whether a document with these values is the first of each; if so they count as seen. A document
   * without values always is.
   */
  keep(keys: readonly string[]): boolean {
    if (keys.some((key) => this.#seen.has(key))) return false;
    for (const key of keys) this.#seen.add(key);
    return true;
  }
}

/**
 * Whether a facet's value is among distinct values. A label that reads like a number may be a string.
 *
 * @param key the label in the form that facets are compared by
 */
export function hasFacetValue(values: ReadonlySet<string>, key: string, isNumber: boolean): boolean {
  return values.has(`s${key}`) || (isNumber && values.has(`n${Number(key)}`));
}

function collectFromObject(object: Buffer, path: string, values: AttributeValue[]): void {
  for (const member of objectMembers(object)) {
    const value = (): Buffer => object.subarray(member.valueStart, member.valueEnd);
    if (member.key === path) collectValues(value(), values);
    else if (path.startsWith(`${member.key}.`))
      collectBelow(value(), path.slice(member.key.length + 1), values);
  }
}

function collectBelow(value: Buffer, path: string, values: AttributeValue[]): void {
  if (value[0] === 0x7b) collectFromObject(value, path, values);
  else if (value[0] === 0x5b) {
    for (const span of arrayElements(value)) collectBelow(value.subarray(span.start, span.end), path, values);
  }
}

function collectValues(value: Buffer, values: AttributeValue[]): void {
  switch (value[0]) {
    case 0x5b:
      for (const span of arrayElements(value)) collectValues(value.subarray(span.start, span.end), values);
      return;
    case 0x7b:
    case 0x6e:
      return;
    case 0x22: {
      const text = String(JSON.parse(value.toString("utf8")));
      values.push({ key: `s${normalizeFacet(text)}`, label: text });
      return;
    }
    case 0x74:
    case 0x66:
      values.push({ key: `s${value.toString("latin1")}`, label: value.toString("latin1") });
      return;
    default:
      values.push({ key: `n${Number(value.toString("latin1"))}`, label: value.toString("latin1") });
  }
}
