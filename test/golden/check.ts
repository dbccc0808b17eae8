import { objectMembers } from "../../src/json/members.js";
import { compareRule, compareScoreDetails } from "../../src/merge/compare.js";
import { distinctKeys } from "../../src/merge/distinct.js";
import { type Hit, memberText } from "../../src/merge/hit.js";
import { mergeSearch, planSearch, type SearchPlan } from "../../src/merge/index.js";
import { type PartAnswer, parsePartAnswer, totalOf } from "../../src/merge/part-answer.js";
import { isSemantic } from "../../src/merge/score-segments.js";
import { normalizeFacet } from "../../src/merge/text-order.js";
import type { RecordedCase, Recording } from "./recording.js";

/**
 * - `equal`: as the single node answered, order up to ties.
 * - `scored differently`: the parts' own scores or matches differ from the single node's, so that no merge
 *   of these answers gives what the single node did.
 * - `not recorded`: an exact answer takes an ask that was not made when recording.
 * - `wrong`: the merge's own fault.
 */
export type Outcome = "equal" | "scored differently" | "not recorded" | "wrong";

/** One aspect of one case, with the reason where it is not equal. */
export type Check = {
  readonly aspect: string;
  readonly outcome: Outcome;
  readonly reason: string;
};

/** Replays one case through the merge and compares every aspect of the answer. */
export function checkCase(recording: Recording, recorded: RecordedCase): Check[] {
  const request = { ...recorded.request, showRankingScore: true, showRankingScoreDetails: true };
  const asked = planSearch(request, recording.facts);
  const parts = recorded.parts.map((body, part) => parsePartAnswer(body, part));
  const { plan, answers } = recordedPlan(asked, recorded.parts, parts);
  const merged = parsePartAnswer(mergeSearch(plan, answers), 0);
  const whole = parsePartAnswer(recorded.whole, 0);
  const context = { plan, asked, parts, merged, whole };
  const order = checkOrder(context);
  return [order, ...checkNumbers(context)];
}

type Context = {
  readonly plan: SearchPlan;
  /** The plan with all of its asks; the recording answers only some. */
  readonly asked: SearchPlan;
  readonly parts: readonly PartAnswer[];
  readonly merged: PartAnswer;
  readonly whole: PartAnswer;
};

/** The plan reduced to what the recording answers; a recorded hybrid answer is taken apart into its halves. */
function recordedPlan(
  plan: SearchPlan,
  bodies: readonly Buffer[],
  parts: readonly PartAnswer[],
): { plan: SearchPlan; answers: { answers: Buffer[] }[] } {
  if (plan.kind !== "hybrid") {
    const asks = plan.asks.filter((ask) => ask.role === "page");
    return { plan: { ...plan, asks }, answers: bodies.map((body) => ({ answers: [body] })) };
  }
  const halves = parts.map((part) => ({
    answers: [
      withHits(
        part,
        part.hits.filter((hit) => !isSemantic(hit)),
      ),
      withHits(part, part.hits.filter(isSemantic)),
    ],
  }));
  return { plan, answers: halves };
}

function withHits(answer: PartAnswer, hits: readonly Hit[]): Buffer {
  const rest = [...answer.members].map(([name, raw]) => `${JSON.stringify(name)}:${raw.toString("utf8")}`);
  const list = hits.map((hit) => hit.bytes.toString("utf8")).join(",");
  return Buffer.from(`{"hits":[${list}],${rest.join(",")}}`);
}

/** The kind of search that decides which row of the table a case's order belongs to. */
function kindOf(plan: SearchPlan): string {
  const { query } = plan;
  if (plan.kind !== "keyword") return plan.kind;
  if (plan.distinct !== null) return "distinct";
  if ((query.sort ?? []).some((rule) => rule.startsWith("_geoPoint"))) return "geo";
  if ((query.sort ?? []).length > 0) return "sort";
  if (query.rankingScoreThreshold !== undefined) return "threshold";
  return "plain";
}

function checkOrder(context: Context): Check {
  const aspect = `order: ${kindOf(context.plan)}`;
  const difference = firstDifference(context);
  if (difference === undefined) return { aspect, outcome: "equal", reason: "" };
  const rule = differingRule(context);
  if (rule !== undefined) return { aspect, outcome: "scored differently", reason: rule };
  const lacking = lackingHalf(context);
  if (lacking !== undefined) return { aspect, outcome: "not recorded", reason: lacking };
  return { aspect, outcome: "wrong", reason: difference };
}

/** The first place where the merged page cannot be the whole's under any order of ties. */
function firstDifference({ whole, merged, plan }: Context): string | undefined {
  if (whole.hits.length !== merged.hits.length) return `${merged.hits.length} hits, not ${whole.hits.length}`;
  if (new Set(merged.hits.map(idOf)).size !== merged.hits.length) return "a document comes twice";
  // Which of several tied documents stands for a distinct value is open; the value is not.
  const nameOf = (hit: Hit): string =>
    (plan.distinct === null ? "" : distinctKeys(hit, plan.distinct).join()) || idOf(hit);
  const shown = new Set(merged.hits.map(nameOf));
  let groupStart = 0;
  for (const [i, expected] of whole.hits.entries()) {
    const actual = merged.hits[i] as Hit;
    if (compareScoreDetails(expected.details, actual.details) !== 0) {
      return `hit ${i} is ${idOf(actual)}, not ${idOf(expected)}`;
    }
    const next = whole.hits[i + 1];
    if (next !== undefined && compareScoreDetails(expected.details, next.details) === 0) continue;
    // A group of ties inside the page is there as a whole; at its edges others of the group may stand.
    if (groupStart > 0 && next !== undefined) {
      const missing = whole.hits.slice(groupStart, i + 1).find((hit) => !shown.has(nameOf(hit)));
      if (missing !== undefined) return `${idOf(missing)} is missing among the ties at hit ${groupStart}`;
    }
    groupStart = i + 1;
  }
  return undefined;
}

/**
 * Proof that the parts scored some document up to the page's end otherwise than the whole did, as the
 * rule in question; undefined where there is none, which makes a difference the merge's fault. What is
 * concluded from the comparator itself is concluded only while the whole's own page is in its order.
 */
function differingRule(context: Context): string | undefined {
  const { parts, whole, merged, plan } = context;
  const inParts = new Map(parts.flatMap((part) => part.hits).map((hit) => [idOf(hit), hit]));
  for (const hit of whole.hits) {
    const own = inParts.get(idOf(hit));
    if (own === undefined || isSemantic(own) !== isSemantic(hit)) continue;
    for (let i = 0; i < Math.max(hit.details.length, own.details.length); i++) {
      const left = hit.details[i];
      const right = own.details[i];
      if (left === undefined || right === undefined || compareRule(left, right) !== 0) {
        return `${left?.name ?? right?.name} of document ${idOf(hit)}`;
      }
    }
  }
  const isNarrowed = plan.distinct !== null || plan.query.rankingScoreThreshold !== undefined;
  if (isNarrowed || !isInOrder(whole.hits)) return undefined;
  const found = plan.from + merged.hits.length;
  if (plan.kind === "keyword" && found > totalOf(whole)) {
    return `matching: ${found} documents up to the page's end, of which the whole matches ${totalOf(whole)}`;
  }
  return differingMember(context, inParts);
}

/** A document that stands on one of the two pages and, with its details, would have to on the other. */
function differingMember(
  { parts, whole, merged, plan }: Context,
  inParts: ReadonlyMap<string, Hit>,
): string | undefined {
  const onWhole = new Set(whole.hits.map(idOf));
  const last = whole.hits.at(-1);
  if (plan.from === 0 && last !== undefined) {
    const extra = merged.hits.find(
      (hit) => !onWhole.has(idOf(hit)) && compareScoreDetails(hit.details, last.details) < 0,
    );
    if (extra !== undefined)
      return `${isSemantic(extra) ? "vectorSort" : "matching"} of document ${idOf(extra)}`;
  }
  const missing = whole.hits.find(
    (hit) =>
      !inParts.has(idOf(hit)) &&
      parts.every((part) => {
        const lastOfPart = part.hits.at(-1);
        if (lastOfPart === undefined || part.hits.length < plan.end) return true;
        return compareScoreDetails(hit.details, lastOfPart.details) < 0;
      }),
  );
  return missing === undefined ? undefined : `matching of document ${idOf(missing)}`;
}

function isInOrder(hits: readonly Hit[]): boolean {
  return hits.every(
    (hit, i) => i === 0 || compareScoreDetails((hits[i - 1] as Hit).details, hit.details) <= 0,
  );
}

/** Why a hybrid case cannot be merged from what was recorded. */
function lackingHalf({ plan, parts, whole }: Context): string | undefined {
  if (plan.kind !== "hybrid") return undefined;
  const semanticHits = parts.map((part) => part.hits.filter(isSemantic).length);
  const isKeywordOnly = !whole.hits.some(isSemantic);
  if (!isKeywordOnly && semanticHits.some((count) => count === 0)) {
    return "a part found its keyword half good enough and did not record the other";
  }
  if (isKeywordOnly && semanticHits.some((count) => count > 0)) {
    return "the keyword half was good enough over all parts but not in each, and was cut short there";
  }
  return undefined;
}

function checkNumbers(context: Context): Check[] {
  const { merged, whole } = context;
  const checks = [
    verdict(
      context,
      "totals",
      totalOf(merged) === totalOf(whole),
      `${totalOf(merged)}, not ${totalOf(whole)}`,
    ),
  ];
  const pages = text(whole, "totalPages");
  if (pages !== undefined) {
    checks.push(verdict(context, "pages", text(merged, "totalPages") === pages, `not ${pages}`));
  }
  const facets = whole.members.get("facetDistribution");
  if (facets !== undefined) {
    const difference = facetDifference(facets, merged.members.get("facetDistribution"));
    checks.push(verdict(context, "facets", difference === undefined, difference ?? ""));
    const stats = text(whole, "facetStats");
    checks.push(verdict(context, "facet stats", text(merged, "facetStats") === stats, `not ${stats}`));
  }
  const semantic = text(whole, "semanticHitCount");
  if (semantic !== undefined) {
    const order = checkOrder(context);
    const equal = text(merged, "semanticHitCount") === semantic;
    checks.push({
      aspect: "semantic hits",
      outcome: equal ? "equal" : order.outcome === "equal" ? "wrong" : order.outcome,
      reason: equal ? "" : order.reason,
    });
  }
  return checks;
}

function verdict(context: Context, aspect: string, equal: boolean, reason: string): Check {
  if (equal) return { aspect, outcome: "equal", reason: "" };
  const { asked, plan, parts, whole } = context;
  if (aspect === "facets" && parts.some(isCut)) {
    return { aspect, outcome: "not recorded", reason: `${reason}; parts were cut at maxValuesPerFacet` };
  }
  if (asked.asks.length > plan.asks.length || plan.kind === "hybrid") {
    return { aspect, outcome: "not recorded", reason };
  }
  // Without distinct or a threshold, totals are plain sums: where they differ, the parts matched otherwise.
  const sum = parts.reduce((total, part) => total + totalOf(part), 0);
  return { aspect, outcome: sum === totalOf(whole) ? "wrong" : "scored differently", reason };
}

const MAX_VALUES_PER_FACET = 100;

function isCut(part: PartAnswer): boolean {
  const facets = part.members.get("facetDistribution");
  if (facets === undefined) return false;
  return objectMembers(facets).some(
    (attribute) => objectMembers(facets, attribute.valueStart).length >= MAX_VALUES_PER_FACET,
  );
}

/** Attributes, labels, their order and counts; casing aside, which is that of some node's first document. */
function facetDifference(whole: Buffer, merged: Buffer | undefined): string | undefined {
  if (merged === undefined) return "no facets";
  const expected = facetEntries(whole);
  const actual = facetEntries(merged);
  const at = expected.findIndex((entry, i) => entry !== actual[i]);
  if (at !== -1) return `${actual[at]} not ${expected[at]}`;
  return actual.length > expected.length ? `${actual[expected.length]} too many` : undefined;
}

function facetEntries(distribution: Buffer): string[] {
  return objectMembers(distribution).flatMap((attribute) => [
    attribute.key,
    ...objectMembers(distribution, attribute.valueStart).map(
      (entry) =>
        `${attribute.key}.${normalizeFacet(entry.key)}=${distribution.toString("latin1", entry.valueStart, entry.valueEnd)}`,
    ),
  ]);
}

function text(answer: PartAnswer, name: string): string | undefined {
  return answer.members.get(name)?.toString("utf8");
}

function idOf(hit: Hit): string {
  return memberText(hit, "id") ?? "?";
}
