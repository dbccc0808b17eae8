import { arrayElements, objectMembers } from "../json/members.js";
import type { Hit } from "./hit.js";
import { normalizeFacet } from "./text-order.js";

/**
 * The values under which a node knows a hit's distinct attribute: strings and booleans in normalised
 * form, numbers as doubles. Empty for a document without a value (missing, null, an object, an empty
 * string or array): such documents are all distinct.
 *
 * @param attribute a path; a dot leads into objects and arrays of objects
 */
export function distinctKeys(hit: Hit, attribute: string): string[] {
  const keys: string[] = [];
  collectFromObject(hit.bytes, attribute, keys);
  return keys;
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

function collectFromObject(object: Buffer, path: string, keys: string[]): void {
  for (const member of objectMembers(object)) {
    const value = (): Buffer => object.subarray(member.valueStart, member.valueEnd);
    if (member.key === path) collectValues(value(), keys);
    else if (path.startsWith(`${member.key}.`))
      collectBelow(value(), path.slice(member.key.length + 1), keys);
  }
}

function collectBelow(value: Buffer, path: string, keys: string[]): void {
  if (value[0] === 0x7b) collectFromObject(value, path, keys);
  else if (value[0] === 0x5b) {
    for (const span of arrayElements(value)) collectBelow(value.subarray(span.start, span.end), path, keys);
  }
}

function collectValues(value: Buffer, keys: string[]): void {
  switch (value[0]) {
    case 0x5b:
      for (const span of arrayElements(value)) collectValues(value.subarray(span.start, span.end), keys);
      return;
    case 0x7b:
    case 0x6e:
      return;
    case 0x22: {
      const text = String(JSON.parse(value.toString("utf8")));
      if (text !== "") keys.push(`s${normalizeFacet(text)}`);
      return;
    }
    case 0x74:
    case 0x66:
      keys.push(`s${value.toString("latin1")}`);
      return;
    default:
      keys.push(`n${Number(value.toString("latin1"))}`);
  }
}
