import { removeMembers } from "../json/edit.js";
import { arrayElements, type JsonMember, objectMembers } from "../json/members.js";
import { type AttributeView, hidesNothing, isDisplayed } from "./attribute-view.js";
import { isInjectedField, SEQUENCE_RULE } from "./injected-fields.js";
import type { SearchPlan } from "./part-request.js";

/** What a hit is turned into before a client sees it. */
export type ClientView = {
  readonly attributes: AttributeView;
  /** What nodes were asked to print behind the document, in their order. */
  readonly tail: readonly TailMember[];
  readonly showRankingScore: boolean;
  readonly showRankingScoreDetails: boolean;
};

type TailMember = (typeof TAIL)[number];

/** Builds the view that the client's own parameters ask for. */
export function clientView({ query, parts, kind, view }: SearchPlan): ClientView {
  const showRankingScore = query.showRankingScore === true;
  const showRankingScoreDetails = query.showRankingScoreDetails === true;
  const asked: Record<TailMember, boolean> = {
    [FORMATTED]: (view.attributesToHighlight ?? []).length > 0 || (view.attributesToCrop ?? []).length > 0,
    [MATCHES_POSITION]: query.showMatchesPosition === true,
    [RANKING_SCORE]: showRankingScore || (parts === "many" && kind === "hybrid"),
    [RANKING_SCORE_DETAILS]: showRankingScoreDetails || parts === "many",
  };
  return {
    attributes: view,
    tail: TAIL.filter((member) => asked[member]),
    showRankingScore,
    showRankingScoreDetails,
  };
}

const FORMATTED = "_formatted";
const MATCHES_POSITION = "_matchesPosition";
const RANKING_SCORE = "_rankingScore";
const RANKING_SCORE_DETAILS = "_rankingScoreDetails";
const VECTORS = "_vectors";

/** What Meilisearch prints behind the document, in this order, each at most once. */
const TAIL = [FORMATTED, MATCHES_POSITION, RANKING_SCORE, RANKING_SCORE_DETAILS] as const;

/**
 * The hit as the client is to see it (invariant 11): without injected fields, attributes that were only
 * asked for the merge, hidden attributes, and scores that were not asked for. All bytes that stay are
 * the node's own (invariant 14); a hit that loses nothing comes back as it is.
 *
 * @param added a member to end the document with, in front of what Meilisearch prints behind it; it takes the
 *   place of a member of the same name
 */
export function clientHit(
  hit: Buffer,
  view: ClientView,
  added?: { readonly key: string; readonly json: string },
): Buffer {
  const members = objectMembers(hit);
  const tailStart = startOfTail(members, view.tail);
  const pieces: Buffer[] = [];
  let changed = false;
  let toAdd = added && Buffer.from(`${JSON.stringify(added.key)}:${added.json}`);
  members.forEach((member, at) => {
    const text = hit.subarray(member.keyStart, member.valueEnd);
    if (toAdd !== undefined && (at === tailStart || (at < tailStart && member.key === added?.key))) {
      pieces.push(toAdd);
      toAdd = undefined;
      changed = true;
      if (at < tailStart) return;
    }
    const kept =
      at < tailStart
        ? documentMember(hit, member, text, view.attributes)
        : tailMember(hit, member, text, view);
    if (kept !== text) changed = true;
    if (kept !== undefined) pieces.push(kept);
  });
  if (toAdd !== undefined) pieces.push(toAdd);
  else if (!changed) return hit;
  return joinMembers(pieces);
}

/** Whether nothing in a body can need a change, told from its bytes alone. */
export function needsNoView(body: Buffer, view: ClientView): boolean {
  return hidesNothing(view.attributes) && !body.includes("_miroir_");
}

/** The document may have members named like those of the tail: only the last of each, where it was asked, is not its own. */
function startOfTail(members: readonly JsonMember[], tail: readonly TailMember[]): number {
  let start = members.length;
  for (let i = tail.length - 1; i >= 0 && start > 0; i--) {
    if (members[start - 1]?.key === tail[i]) start--;
  }
  return start;
}

function documentMember(
  hit: Buffer,
  member: JsonMember,
  text: Buffer,
  attributes: AttributeView,
): Buffer | undefined {
  if (isInjectedField(member.key)) return undefined;
  if (member.key === VECTORS && !isDisplayed(VECTORS, attributes.displayed)) return undefined;
  return withoutExtras(hit, member, text, attributes.extraInDocument);
}

function tailMember(hit: Buffer, member: JsonMember, text: Buffer, view: ClientView): Buffer | undefined {
  const value = hit.subarray(member.valueStart, member.valueEnd);
  const key = hit.subarray(member.keyStart, member.valueStart);
  switch (member.key) {
    case RANKING_SCORE:
      return view.showRankingScore ? text : undefined;
    case RANKING_SCORE_DETAILS: {
      if (!view.showRankingScoreDetails) return undefined;
      const shown = clientScoreDetails(value, view.attributes.displayed);
      return shown === value ? text : Buffer.concat([key, shown]);
    }
    case MATCHES_POSITION: {
      const shown = removeMembers(value, (path) => !isDisplayed(path, view.attributes.displayed));
      return shown === value ? text : Buffer.concat([key, shown]);
    }
    default: {
      const shown = formattedDocument(value, view.attributes.extraInFormatted);
      if (shown === value) return text;
      return isEmptyObject(shown) ? undefined : Buffer.concat([key, shown]);
    }
  }
}

function formattedDocument(document: Buffer, extras: readonly string[]): Buffer {
  const members = objectMembers(document);
  const pieces: Buffer[] = [];
  let changed = false;
  for (const member of members) {
    const text = document.subarray(member.keyStart, member.valueEnd);
    const kept = isInjectedField(member.key) ? undefined : withoutExtras(document, member, text, extras);
    if (kept !== text) changed = true;
    if (kept !== undefined) pieces.push(kept);
  }
  return changed ? joinMembers(pieces) : document;
}

/** The details without the sequence rule, and with rules over hidden attributes made anonymous. */
function clientScoreDetails(details: Buffer, displayed: readonly string[] | null): Buffer {
  const shown = removeMembers(details, (rule) => rule === SEQUENCE_RULE);
  if (displayed === null) return shown;
  const pieces = objectMembers(shown).map((member, order) => {
    const sort = /^(.*):(?:asc|desc)$/su.exec(member.key);
    const attribute = sort?.[1];
    if (attribute === undefined || attribute.startsWith("_geoPoint(") || displayed.includes(attribute)) {
      return shown.subarray(member.keyStart, member.valueEnd);
    }
    return Buffer.from(`"<hidden-rule-${order}>":{"order":${order},"value":"<hidden>"}`);
  });
  return joinMembers(pieces);
}

function withoutExtras(
  object: Buffer,
  member: JsonMember,
  text: Buffer,
  extras: readonly string[],
): Buffer | undefined {
  let value: Buffer | undefined;
  for (const extra of extras) {
    if (extra === member.key) return undefined;
    if (!extra.startsWith(`${member.key}.`)) continue;
    value ??= object.subarray(member.valueStart, member.valueEnd);
    value = withoutPath(value, extra.slice(member.key.length + 1));
    if (value === undefined) return undefined;
  }
  if (value === undefined || value.length === member.valueEnd - member.valueStart) return text;
  return Buffer.concat([object.subarray(member.keyStart, member.valueStart), value]);
}

/** Removes what lies at `path` inside objects and arrays of objects; undefined where nothing is left. */
function withoutPath(value: Buffer, path: string): Buffer | undefined {
  if (value[0] === 0x5b) {
    const kept = arrayElements(value).flatMap(
      (span) => withoutPath(value.subarray(span.start, span.end), path) ?? [],
    );
    return kept.length === 0 ? undefined : bracket("[", kept, "]");
  }
  if (value[0] !== 0x7b) return value;
  const pieces = objectMembers(value).flatMap((member) => {
    const text = value.subarray(member.keyStart, member.valueEnd);
    return withoutExtras(value, member, text, [path]) ?? [];
  });
  return pieces.length === 0 ? undefined : joinMembers(pieces);
}

function joinMembers(members: readonly Buffer[]): Buffer {
  return bracket("{", members, "}");
}

function bracket(open: string, pieces: readonly Buffer[], close: string): Buffer {
  const comma = Buffer.from(",");
  const parts: Buffer[] = [Buffer.from(open)];
  pieces.forEach((piece, at) => {
    if (at > 0) parts.push(comma);
    parts.push(piece);
  });
  parts.push(Buffer.from(close));
  return Buffer.concat(parts);
}

function isEmptyObject(object: Buffer): boolean {
  return objectMembers(object).length === 0;
}
