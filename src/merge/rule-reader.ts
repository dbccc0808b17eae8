import { CLOSE_BRACE, COLON, COMMA, OPEN_BRACE, QUOTE } from "../json/bytes.js";
import { decodeKey, decodeString } from "../json/members.js";
import { readNumber } from "../json/number.js";
import { plainStringEnd, stringEnd } from "../json/scan.js";
import { type RuleDetails, ruleDetails } from "./score-details.js";

/**
 * Reads the rule of score details whose name begins at `start`, as `parseScoreDetails` does, without a text made of it.
 *
 * @param order the place that the rule has to say it has
 * @returns undefined for what is not written as Meilisearch does, or says nothing that is known; that is for `parseScoreDetails`
 */
export function readRule(bytes: Uint8Array, start: number, order: number): RuleDetails | undefined {
  const keyEnd = plainStringEnd(bytes, start);
  if (keyEnd === -1 || bytes[keyEnd] !== COLON || bytes[keyEnd + 1] !== OPEN_BRACE) return undefined;
  const entry: Record<string, string | number | null> = {};
  let at = keyEnd + 2;
  for (;;) {
    const nameEnd = plainStringEnd(bytes, at);
    if (nameEnd === -1 || bytes[nameEnd] !== COLON) return undefined;
    const name = decodeKey(bytes, at, nameEnd);
    at = readValue(bytes, nameEnd + 1, entry, name);
    if (at === -1) return undefined;
    if (bytes[at] === CLOSE_BRACE) break;
    if (bytes[at] !== COMMA) return undefined;
    at++;
  }
  return entry.order === order ? ruleDetails(decodeKey(bytes, start, keyEnd), entry) : undefined;
}

/** Puts the value at `at` into `entry`; its end, or -1 for what has no place in an entry. */
function readValue(
  bytes: Uint8Array,
  at: number,
  entry: Record<string, string | number | null>,
  name: string,
): number {
  // It would not become a member.
  if (name === "__proto__") return -1;
  const byte = bytes[at] as number;
  if (byte === QUOTE) {
    const end = stringEnd(bytes, at);
    entry[name] = decodeString(bytes, at, end);
    return end;
  }
  if (byte === 0x6e) {
    entry[name] = null;
    return at + 4;
  }
  if (byte !== 0x2d && (byte < 0x30 || byte > 0x39)) return -1;
  let end = at + 1;
  while (end < bytes.length && bytes[end] !== COMMA && bytes[end] !== CLOSE_BRACE) end++;
  entry[name] = readNumber(bytes, at, end);
  return end;
}
