import { findMember, objectMembers } from "../json/members.js";
import { compareScoreDetails } from "./compare.js";
import { SEQUENCE_RULE } from "./injected-fields.js";
import { parseScoreDetails, type ScoreDetails } from "./score-details.js";

/** One hit of one part: its bytes as the part sent them, and where it stood. */
export type Hit = {
  readonly bytes: Buffer;
  /** Index of the part, from 0. */
  readonly part: number;
  /** Place among the part's hits, from 0. */
  readonly position: number;
  /** What the ranking rules said; read on first use, the document itself never is. */
  readonly details: ScoreDetails;
};

const DETAILS_KEY = "_rankingScoreDetails";
const DETAILS_MEMBER = Buffer.from(`"${DETAILS_KEY}":`);

/** Wraps a hit's bytes; nothing is read yet. */
export function hitAt(bytes: Buffer, part: number, position: number): Hit {
  let details: ScoreDetails | undefined;
  return {
    bytes,
    part,
    position,
    get details() {
      details ??= readDetails(bytes);
      return details;
    },
  };
}

/**
 * The total order of hits: score details first, then part, then place in the part (which keeps each
 * part's own order among ties). No two hits of one ask are equal under it.
 */
export function compareHits(a: Hit, b: Hit): number {
  return compareScoreDetails(a.details, b.details) || a.part - b.part || a.position - b.position;
}

/** The hit's `_rankingScore`; 0 where it was not asked for. */
export function rankingScoreOf(hit: Hit): number {
  const member = findMember(hit.bytes, "_rankingScore");
  return member === undefined ? 0 : Number(hit.bytes.toString("latin1", member.valueStart, member.valueEnd));
}

/** The value of the sequence rule, which names a document within its index; undefined without the rule. */
export function sequenceOf(hit: Hit): string | undefined {
  const rule = hit.details.at(-1);
  if (rule?.name !== SEQUENCE_RULE || rule.kind !== "sort") return undefined;
  return typeof rule.value === "string" ? rule.value : undefined;
}

/** The raw text of a top-level member of the hit. */
export function memberText(hit: Hit, name: string): string | undefined {
  const member = objectMembers(hit.bytes).find((candidate) => candidate.key === name);
  return member === undefined ? undefined : hit.bytes.toString("utf8", member.valueStart, member.valueEnd);
}

function readDetails(bytes: Buffer): ScoreDetails {
  // Meilisearch prints the details last. Inside a string the quotes of the key would be escaped, so that
  // the last occurrence is the member itself if nothing but a closing brace follows its value.
  const at = bytes.lastIndexOf(DETAILS_MEMBER);
  if (at === -1) return [];
  const value = bytes.toString("utf8", at + DETAILS_MEMBER.length, bytes.length - 1);
  try {
    return parseScoreDetails(value);
  } catch {
    // Printed by something other than Meilisearch: look the member up properly.
    const member = findMember(bytes, DETAILS_KEY);
    if (member === undefined) return [];
    return parseScoreDetails(bytes.toString("utf8", member.valueStart, member.valueEnd));
  }
}
