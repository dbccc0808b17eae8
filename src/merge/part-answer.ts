import { CLOSE_BRACKET, OPEN_BRACKET } from "../json/bytes.js";
import { arrayElements, type JsonMember, membersFrom, objectMembers } from "../json/members.js";
import { skipWhitespace } from "../json/scan.js";
import { type Hit, type HitList, HitsInAnswer } from "./hit.js";

/** One part's answer to one ask, its values still as bytes. */
export type PartAnswer = {
  /** Best first; `part` and `position` filled in. Whoever needs only some takes them from `list`. */
  readonly hits: readonly Hit[];
  /** The same hits, each looked for when it is asked for. */
  readonly list: HitList;
  /** Every member but `hits`, as raw JSON text. */
  readonly members: ReadonlyMap<string, Buffer>;
};

const HITS_FIRST = Buffer.from('{"hits":[');
const QUERY_BEHIND_HITS = Buffer.from('],"query":');
const NO_HITS = Buffer.from("]");

/**
 * Finds the spans of a search answer.
 *
 * @param part the part's index, which breaks ties
 * @throws JsonSyntaxError where the body is not a search answer; for one of its hits, when that hit is asked for
 */
export function parsePartAnswer(body: Buffer, part: number): PartAnswer {
  const rest = membersBehindHits(body);
  if (rest !== undefined) return answerOf(body, HITS_FIRST.length, part, rest);
  const members = byName(body, objectMembers(body));
  const hits = members.get("hits");
  members.delete("hits");
  if (hits === undefined || arrayElements(hits).length === 0) return answerOf(NO_HITS, 0, part, members);
  return answerOf(hits, hits.indexOf(OPEN_BRACKET) + 1, part, members);
}

function answerOf(
  bytes: Buffer,
  start: number,
  part: number,
  members: ReadonlyMap<string, Buffer>,
): PartAnswer {
  const first = skipWhitespace(bytes, start);
  const list = new HitsInAnswer(bytes, bytes[first] === CLOSE_BRACKET ? -1 : first, part);
  return new FoundAnswer(list, members);
}

// A class, not a literal with a getter: each of those has a hidden class of its own, which keeps what the getter sees until a full collection.
class FoundAnswer implements PartAnswer {
  constructor(
    readonly list: HitsInAnswer,
    readonly members: ReadonlyMap<string, Buffer>,
  ) {}

  get hits(): readonly Hit[] {
    return this.list.all();
  }
}

/**
 * What follows the hits of an answer as Meilisearch prints it: the hits first, then `query`. Found from the end, so that hits which
 * nobody asks for are not read. No string holds that pattern, as its quotes would be escaped; and what follows it inside of a hit
 * would not be members up to the very end of the body.
 */
function membersBehindHits(body: Buffer): Map<string, Buffer> | undefined {
  if (body.compare(HITS_FIRST, 0, HITS_FIRST.length, 0, HITS_FIRST.length) !== 0) return undefined;
  const at = body.lastIndexOf(QUERY_BEHIND_HITS);
  if (at < HITS_FIRST.length - 1) return undefined;
  try {
    const members = membersFrom(body, at + 2);
    if (members.at(-1)?.valueEnd !== body.length - 1) return undefined;
    return byName(body, members);
  } catch {
    return undefined;
  }
}

/** The number that a member holds; 0 where it is missing or no number. */
export function numberMember(answer: PartAnswer, name: string): number {
  const raw = answer.members.get(name);
  const value = raw === undefined ? 0 : Number(raw.toString("latin1"));
  return Number.isFinite(value) ? value : 0;
}

/** How many documents the part says matched: `totalHits` or `estimatedTotalHits`. */
export function totalOf(answer: PartAnswer): number {
  return numberMember(answer, answer.members.has("totalHits") ? "totalHits" : "estimatedTotalHits");
}

/** How many documents all parts say matched. */
export function sumOfTotals(answers: readonly PartAnswer[]): number {
  return answers.reduce((sum, answer) => sum + totalOf(answer), 0);
}

function byName(object: Buffer, members: readonly JsonMember[]): Map<string, Buffer> {
  const named = new Map<string, Buffer>();
  for (const { key, valueStart, valueEnd } of members) named.set(key, object.subarray(valueStart, valueEnd));
  return named;
}
