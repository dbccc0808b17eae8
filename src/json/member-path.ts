import { OPEN_BRACE } from "./bytes.js";
import { type JsonSpan, objectMembers } from "./members.js";

/**
 * The value at a path of the object that begins at `start`: `a.b` names the member `b` of the object `a`, or the member `a.b`. The
 * first of several, as in a document that Meilisearch has taken there is one.
 *
 * @param start offset of the object; 0 by default
 * @returns undefined where nothing is there
 * @throws JsonSyntaxError where there is no object, or it does not hold together
 */
export function findAtPath(bytes: Uint8Array, path: string, start = 0): JsonSpan | undefined {
  for (const { key, valueStart, valueEnd } of objectMembers(bytes, start)) {
    if (key === path) return { start: valueStart, end: valueEnd };
    if (path.startsWith(`${key}.`) && bytes[valueStart] === OPEN_BRACE) {
      const found = findAtPath(bytes, path.slice(key.length + 1), valueStart);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}
