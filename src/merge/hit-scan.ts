import { CLOSE_BRACE, COLON, COMMA, QUOTE } from "../json/bytes.js";
import { plainStringEnd, skipWhitespace, stringEnd, valueEnd } from "../json/scan.js";
import { SEQUENCE_FIELD, SHARD_FIELD } from "../placement/injected-fields.js";
import type { FlatHit } from "./flat-hit.js";
import { FoundRules } from "./found-rules.js";

/** Members of a hit that are not the document's own, or may be others than they seem. */
export const MARKED = ["injected", "score", "details", "other"] as const;

/** See {@link MARKED}; `other` is any name that begins with an underscore. */
export type MarkKind = (typeof MARKED)[number];

/** A top-level member of a hit, as offsets into the text that holds the hit. Ends are exclusive. */
export type Mark = {
  readonly kind: MarkKind;
  readonly keyStart: number;
  readonly valueEnd: number;
};

/** What is known of a hit: found at a glance, or by a walk. */
export type HitScan = FlatHit | WalkedHit;

/** What one walk over a hit finds. */
export type WalkedHit = {
  readonly kind: "walked";
  /** Behind the hit's closing brace. */
  readonly end: number;
  /** In their order. */
  readonly marks: readonly Mark[];
  /** Whether the hit is printed as Meilisearch does: no white space around members, no escapes in their names. */
  readonly isCompact: boolean;
  /** The score details where they are the last member and printed as Meilisearch does. */
  readonly rules: FoundRules | undefined;
};

const UNDERSCORE = 0x5f;

const KINDS: readonly (readonly [name: Buffer, kind: MarkKind])[] = [
  [Buffer.from(`${SHARD_FIELD}"`), "injected"],
  [Buffer.from(`${SEQUENCE_FIELD}"`), "injected"],
  [Buffer.from('_rankingScoreDetails"'), "details"],
  [Buffer.from('_rankingScore"'), "score"],
];

/**
 * Walks over the hit that begins at `start` once, to find its end and what of it does not belong to the document.
 *
 * @throws JsonSyntaxError where there is no value, or it does not end
 */
export function scanHit(bytes: Uint8Array, start: number): WalkedHit {
  const marks: Mark[] = [];
  let rules: FoundRules | undefined;
  let at = start + 1;
  if (bytes[start] !== 0x7b) return notCompact(bytes, start);
  if (bytes[at] === CLOSE_BRACE) return { kind: "walked", end: at + 1, marks, isCompact: true, rules };
  for (;;) {
    const keyStart = at;
    // An escape may hide another name.
    const colon = plainStringEnd(bytes, keyStart);
    if (colon === -1 || bytes[colon] !== COLON || isSpace(bytes, colon + 1)) return notCompact(bytes, start);
    const valueStart = colon + 1;
    rules = undefined;
    if (bytes[keyStart + 1] === UNDERSCORE) {
      const kind = kindOf(bytes, keyStart + 1);
      if (kind === "details") rules = FoundRules.find(bytes, valueStart);
      at = rules === undefined ? valueEnd(bytes, valueStart) : rules.end;
      marks.push({ kind, keyStart, valueEnd: at });
    } else {
      at = bytes[valueStart] === QUOTE ? stringEnd(bytes, valueStart) : valueEnd(bytes, valueStart);
    }
    const next = bytes[at];
    if (next === CLOSE_BRACE) return { kind: "walked", end: at + 1, marks, isCompact: true, rules };
    if (next !== COMMA) return notCompact(bytes, start);
    at++;
  }
}

/** Leaves the hit to those who read any JSON. */
function notCompact(bytes: Uint8Array, start: number): WalkedHit {
  return { kind: "walked", end: valueEnd(bytes, start), marks: [], isCompact: false, rules: undefined };
}

function isSpace(bytes: Uint8Array, at: number): boolean {
  return (bytes[at] as number) <= 0x20;
}

function kindOf(bytes: Uint8Array, start: number): MarkKind {
  for (const [name, kind] of KINDS) {
    let i = 1;
    while (i < name.length && bytes[start + i] === name[i]) i++;
    if (i === name.length) return kind;
  }
  return "other";
}

/** The place of the next hit behind one that ends at `end`, or -1 where there is none. */
export function nextHit(bytes: Uint8Array, end: number): number {
  const at = skipWhitespace(bytes, end);
  return bytes[at] === COMMA ? skipWhitespace(bytes, at + 1) : -1;
}
