import { removeMembers } from "../json/edit.js";
import { objectMembers } from "../json/members.js";
import { Pieces } from "../json/pieces.js";
import { type ClientView, clientView, needsNoView } from "./client-hit.js";
import { leastCandidates, printFacets } from "./facets.js";
import type { Hit } from "./hit.js";
import { hitPrinter } from "./hit-printer.js";
import { isInjectedField } from "./injected-fields.js";
import type { MergedSearch } from "./merged-search.js";
import { numberMember, parsePartAnswer } from "./part-answer.js";
import type { SearchPlan } from "./part-request.js";
import { METADATA_MEMBER, passThrough } from "./pass-through.js";
import type { PartAnswers } from "./round-answers.js";

/** Prints the members in Meilisearch's order. */
export function printAnswer(plan: SearchPlan, merged: MergedSearch): Buffer {
  const view = clientView(plan);
  const rest: string[] = [];
  const add = (name: string, raw: string | undefined): void => {
    if (raw !== undefined) rest.push(`"${name}":${raw}`);
  };
  const passOn = (name: string): string | undefined => passedOn(merged, name);

  add("query", passOn("query") ?? JSON.stringify(plan.query.q ?? ""));
  add("queryVector", passOn("queryVector"));
  add("processingTimeMs", `${processingTimeOf(merged)}`);
  if (plan.pagination.style === "page") {
    const { page, hitsPerPage } = plan.pagination;
    add("hitsPerPage", `${hitsPerPage}`);
    add("page", `${page}`);
    add("totalPages", `${hitsPerPage === 0 ? 0 : Math.ceil(merged.total / hitsPerPage)}`);
    add("totalHits", `${merged.total}`);
  } else {
    add("limit", `${plan.pagination.limit}`);
    add("offset", `${plan.pagination.offset}`);
    add("estimatedTotalHits", `${merged.total}`);
  }
  if (merged.facets !== undefined) {
    const candidates = Math.max(merged.total, leastCandidates(merged.facets.distribution));
    add("facetDistribution", printFacets(merged.facets.distribution, plan.facts, candidates));
    add("facetStats", merged.facets.stats);
  }
  add("requestUid", passOn("requestUid"));
  const metadata = passOn("metadata");
  if (metadata !== undefined) add("metadata", clientMetadata(plan, Buffer.from(metadata)));
  add("performanceDetails", passOn("performanceDetails"));
  add("semanticHitCount", merged.semanticHitCount?.toString());
  return printBody(merged.page, view, rest);
}

/** A member that is passed on as the first part that has it printed it. */
export function passedOn(merged: MergedSearch, name: string): string | undefined {
  return merged.answers
    .find((answer) => answer.members.has(name))
    ?.members.get(name)
    ?.toString("utf8");
}

/** The longest that a part took for the search. Milliseconds. */
export function processingTimeOf(merged: MergedSearch): number {
  return Math.max(0, ...merged.answers.map((answer) => numberMember(answer, "processingTimeMs")));
}

/**
 * A part's `metadata`: the node knows the index under a physical name, which no client may see, and no primary key of an index of which
 * it has no documents.
 */
export function clientMetadata({ facts }: SearchPlan, raw: Buffer): string {
  const primaryKey = facts.primaryKey === null ? [] : [`"primaryKey":${JSON.stringify(facts.primaryKey)}`];
  const members = objectMembers(raw).flatMap((member) => {
    if (member.key === "indexUid") return [`"indexUid":${JSON.stringify(facts.uid)}`, ...primaryKey];
    if (member.key === "primaryKey" && primaryKey.length > 0) return [];
    return [raw.toString("utf8", member.keyStart, member.valueEnd)];
  });
  return `{${members.join(",")}}`;
}

/** The one part's own answer, which is the answer but for what clients must not see. */
export function singleAnswer(plan: SearchPlan, parts: readonly PartAnswers[]): Buffer {
  const body = parts[0]?.answers[0];
  if (parts.length !== 1 || body === null || body === undefined) {
    throw new RangeError(`a plan for one part takes exactly one answer, not ${parts.length}`);
  }
  const view = clientView(plan);
  if (needsNoView(body, view) && !body.includes(METADATA_MEMBER)) return body;
  const passed = passThrough(body, view);
  if (passed !== undefined) return passed;
  const answer = parsePartAnswer(body, 0);
  const rest = [...answer.members].map(([name, raw]) => `"${name}":${clientMember(plan, name, raw)}`);
  return printBody(answer.hits, view, rest);
}

function clientMember(plan: SearchPlan, name: string, raw: Buffer): string {
  switch (name) {
    case "facetDistribution":
    case "facetStats":
      return removeMembers(raw, isInjectedField).toString("utf8");
    case "metadata":
      return clientMetadata(plan, raw);
    default:
      return raw.toString("utf8");
  }
}

function printBody(page: readonly Hit[], view: ClientView, rest: readonly string[]): Buffer {
  const body = new Pieces();
  const addHit = hitPrinter(body, view);
  body.add(OPEN);
  page.forEach((hit, at) => {
    if (at > 0) body.add(COMMA);
    addHit(hit);
  });
  body.add(Buffer.from(`],${rest.join(",")}}`));
  return body.toBuffer();
}

const OPEN = Buffer.from('{"hits":[');
const COMMA = Buffer.from(",");
