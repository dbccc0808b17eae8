import { findMember, objectMembers } from "../json/members.js";
import { compareScoreDetails } from "./compare.js";
import { findFlatHit } from "./flat-hit.js";
import { type HitScan, nextHit, scanHit } from "./hit-scan.js";
import { CODED_CHARACTER } from "./injected-bytes.js";
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
  /** Where it was found; absent from hits that were made. */
  readonly place?: HitPlace;
};

/** Where an answer holds a hit. */
export type HitPlace = { readonly answer: Buffer; readonly start: number; readonly scan: HitScan };

/** Hits in their order, of which one may not know yet how many there are. */
export type HitList = {
  /** The hit at a place, from 0; undefined behind the last one. */
  at(position: number): Hit | undefined;
};

const DETAILS_KEY = "_rankingScoreDetails";
const DETAILS_MEMBER = Buffer.from(`"${DETAILS_KEY}":`);

/** Wraps a hit's bytes; nothing is read yet. */
export function hitAt(bytes: Buffer, part: number, position: number): Hit {
  return new MadeHit(bytes, part, position);
}

// Classes, not literals with getters: each of those has a hidden class of its own, which keeps what the getter sees until a full collection.
class MadeHit implements Hit {
  #details: ScoreDetails | undefined;

  constructor(
    readonly bytes: Buffer,
    readonly part: number,
    readonly position: number,
  ) {}

  get details(): ScoreDetails {
    this.#details ??= readDetails(this.bytes);
    return this.#details;
  }
}

/** The hits of an array, each looked for when it is first asked for: a merge reads few of those that it gets. */
export class HitsInAnswer implements HitList {
  readonly #answer: Buffer;
  readonly #part: number;
  readonly #found: Hit[] = [];
  /** Where the next one begins; -1 where there is none. */
  #next: number;
  readonly #mayHideNames: boolean;

  /** @param first where the first hit begins in `answer`; -1 where there is none */
  constructor(answer: Buffer, first: number, part: number) {
    this.#answer = answer;
    this.#next = first;
    this.#part = part;
    this.#mayHideNames = answer.includes(CODED_CHARACTER);
  }

  at(position: number): Hit | undefined {
    while (this.#found.length <= position && this.#next !== -1) this.#findNext();
    return this.#found[position];
  }

  /** All of them. */
  all(): readonly Hit[] {
    while (this.#next !== -1) this.#findNext();
    return this.#found;
  }

  #findNext(): void {
    const previous = this.#found.at(-1)?.place?.scan.rules;
    const scan =
      (this.#mayHideNames ? undefined : findFlatHit(this.#answer, this.#next, previous)) ??
      scanHit(this.#answer, this.#next);
    const place = { answer: this.#answer, start: this.#next, scan };
    this.#found.push(new FoundHit(place, this.#part, this.#found.length));
    this.#next = nextHit(this.#answer, scan.end);
  }
}

class FoundHit implements Hit {
  #bytes: Buffer | undefined;
  #details: ScoreDetails | undefined;

  constructor(
    readonly place: HitPlace,
    readonly part: number,
    readonly position: number,
  ) {}

  get bytes(): Buffer {
    this.#bytes ??= this.place.answer.subarray(this.place.start, this.place.scan.end);
    return this.#bytes;
  }

  get details(): ScoreDetails {
    this.#details ??= this.place.scan.rules?.details() ?? readDetails(this.bytes);
    return this.#details;
  }
}

/**
 * The total order of hits: score details first, then part, then place in the part (which keeps each
 * part's own order among ties). No two hits of one ask are equal under it.
 */
export function compareHits(a: Hit, b: Hit): number {
  return compareDetails(a, b) || a.part - b.part || a.position - b.position;
}

/** Compares what the ranking rules said of two hits: from their bytes where these are enough. */
function compareDetails(a: Hit, b: Hit): number {
  const rules = a.place?.scan.rules;
  const others = b.place?.scan.rules;
  const order = rules === undefined || others === undefined ? undefined : rules.compare(others);
  return order ?? compareScoreDetails(a.details, b.details);
}

/** Bytes of a hit, told without making a view of them. */
export function hitSize(hit: Hit): number {
  const { place } = hit;
  return place === undefined ? hit.bytes.length : place.scan.end - place.start;
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
