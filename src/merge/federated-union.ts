import { SEQUENCE_FIELD } from "../placement/injected-fields.js";
import { type FacetCounts, facetsOfHits, mergeFacetStats, statsOfHits } from "./facets.js";
import { identityOf } from "./federated-merge.js";
import { type Hit, memberText } from "./hit.js";
import type { MergedSearch, SummedFacets } from "./merged-search.js";
import { parsePartAnswer } from "./part-answer.js";
import { type Ask, NO_FORMATTING, type SearchPlan } from "./part-request.js";
import type { FurtherAnswers } from "./round-answers.js";
import type { JsonValue } from "./search-parameters.js";

/** One query of an index, and everything that was merged for it. */
export type AnsweredQuery = { readonly plan: SearchPlan; readonly merged: MergedSearch };

/** How many documents the queries of one index match together, and their facets. */
export type Union = {
  readonly total: number;
  /** Undefined where none were asked for. */
  readonly facets: SummedFacets | undefined;
};

/**
 * What parts are still to be asked before {@link unionOf} can tell what several queries of an index match together. Nothing for
 * one query, for queries of which one matches every document, and where every query's hits are all there. One search where
 * queries differ by their filters alone. Else lists of the documents that each matches, as long as nodes give them.
 */
export function unionAsks(queries: readonly AnsweredQuery[]): readonly Ask[] {
  if (queries.length < 2 || queries.some(matchesEverything) || queries.every(isComplete)) return [];
  const filter = commonSearchFilter(queries);
  const page = queries[0]?.plan.asks.find((ask) => ask.role === "page");
  if (filter !== undefined && page !== undefined) {
    const body = { ...page.body, ...NO_FORMATTING, attributesToRetrieve: [], filter, limit: 0 };
    return [{ role: "universe", body: { ...body, offset: 0, page: undefined, hitsPerPage: undefined } }];
  }
  return queries.flatMap(({ plan }) => {
    const attributes = [SEQUENCE_FIELD, ...facetNames(plan)];
    return plan.asks.filter(findsHits).map((ask): Ask => {
      const body = { ...ask.body, ...NO_FORMATTING, facets: undefined, attributesToRetrieve: attributes };
      const end = { offset: 0, limit: plan.facts.maxTotalHits, page: undefined, hitsPerPage: undefined };
      return { role: "values", body: { ...body, ...end } };
    });
  });
}

/**
 * What the queries of one index match together. Exact but for lists that nodes cut at `maxTotalHits`, for thresholds, and for distinct
 * attributes where a page is full.
 *
 * @param rejected documents that were left out for their distinct value
 * @param answers the answers to {@link unionAsks}, in their order
 * @param merge merges the answers to the one search that stands for all queries
 */
export function unionOf(
  queries: readonly AnsweredQuery[],
  rejected: readonly Hit[],
  answers: readonly FurtherAnswers[],
  merge: (answers: FurtherAnswers) => Union,
): Union {
  const [first, ...others] = queries;
  if (first === undefined) return { total: 0, facets: undefined };
  if (others.length === 0)
    return without({ total: first.merged.total, facets: first.merged.facets }, rejected);
  const everything = queries.find(matchesEverything);
  if (everything !== undefined) {
    return without({ total: everything.merged.total, facets: everything.merged.facets }, rejected);
  }
  const [only] = answers;
  if (only?.ask.role === "universe") return without(merge(only), rejected);
  if (only === undefined) {
    const lost = new Set(rejected.map(identityOf));
    const documents = new Map<string, Hit>();
    for (const hit of queries.flatMap(({ merged }) => merged.page)) {
      if (!lost.has(identityOf(hit))) documents.set(identityOf(hit), hit);
    }
    return { total: documents.size, facets: facetsOfDocuments(queries, [...documents.values()], true) };
  }
  return without(unionOfLists(queries, answers), rejected);
}

/** A query without words and filter. */
function matchesEverything({ plan }: AnsweredQuery): boolean {
  const { q, filter, rankingScoreThreshold } = plan.query;
  const isNarrowed = [rankingScoreThreshold, filter].some((value) => value !== null && value !== undefined);
  return plan.kind === "keyword" && (q ?? "").trim() === "" && !isNarrowed && plan.distinct === null;
}

/** Whether there are no more hits than were asked for. */
function isComplete({ plan, merged }: AnsweredQuery): boolean {
  return merged.page.length < plan.end;
}

function findsHits(ask: Ask): boolean {
  return ask.role === "page" || ask.role === "keyword" || ask.role === "semantic";
}

function facetNames(plan: SearchPlan): string[] {
  const facets = plan.query.facets ?? [];
  return facets.some((facet) => facet.includes("*")) ? ["*"] : [...facets];
}

/** What decides which documents match, besides the filter. */
const MATCHING = ["q", "matchingStrategy", "attributesToSearchOn", "locales"] as const;

/** How many lists of alternatives a combined filter may have. */
const MAX_ALTERNATIVES = 256;

/** A filter under which one of the queries matches what all do under theirs; undefined where they differ otherwise. */
function commonSearchFilter(queries: readonly AnsweredQuery[]): JsonValue | undefined {
  const searches = queries.map(({ plan }) => {
    const { query, kind, distinct } = plan;
    const isPlain = kind === "keyword" && distinct === null && (query.rankingScoreThreshold ?? null) === null;
    return isPlain ? JSON.stringify(MATCHING.map((name) => query[name] ?? null)) : undefined;
  });
  if (searches[0] === undefined || searches.some((search) => search !== searches[0])) return undefined;
  let any: string[][] | undefined;
  for (const { plan } of queries) {
    const filter = alternatives(plan.asks.find((ask) => ask.role === "page")?.body.filter);
    if (filter === undefined) return undefined;
    // (A and B) or (C and D) as an AND of ORs: (A or C) and (A or D) and (B or C) and (B or D).
    any = any === undefined ? filter : any.flatMap((left) => filter.map((right) => [...left, ...right]));
    if (any.length > MAX_ALTERNATIVES) return undefined;
  }
  return any;
}

/** A filter as an AND of ORs; undefined for one that is none. */
function alternatives(filter: JsonValue | undefined): string[][] | undefined {
  if (filter === null || filter === undefined) return [];
  if (typeof filter === "string") return filter.trim() === "" ? [] : [[filter]];
  if (!Array.isArray(filter)) return undefined;
  const clauses: string[][] = [];
  for (const clause of filter as readonly JsonValue[]) {
    const any = Array.isArray(clause) ? (clause as readonly JsonValue[]) : [clause];
    if (any.length === 0 || !any.every((one): one is string => typeof one === "string")) return undefined;
    clauses.push(any as string[]);
  }
  return clauses;
}

function unionOfLists(queries: readonly AnsweredQuery[], answers: readonly FurtherAnswers[]): Union {
  const documents = new Map<string, Hit>();
  let cut = 0;
  let at = 0;
  for (const { plan, merged } of queries) {
    const own = new Set<string>();
    for (const _ask of plan.asks.filter(findsHits)) {
      for (const [part, { answers: bodies }] of (answers[at]?.parts ?? []).entries()) {
        const body = bodies[0];
        if (body === null || body === undefined) continue;
        for (const hit of parsePartAnswer(body, part).hits) {
          const document = memberText(hit, SEQUENCE_FIELD) ?? `${part}/${hit.position}`;
          own.add(document);
          documents.set(document, hit);
        }
      }
      at++;
    }
    cut = Math.max(cut, merged.total - own.size);
  }
  return {
    total: documents.size + Math.max(0, cut),
    facets: facetsOfDocuments(queries, [...documents.values()], cut <= 0),
  };
}

/** Facets counted over documents; labels as the queries' own facets show them. */
function facetsOfDocuments(
  queries: readonly AnsweredQuery[],
  documents: readonly Hit[],
  isWhole: boolean,
): SummedFacets | undefined {
  const own = queries.flatMap(({ merged }) => (merged.facets === undefined ? [] : [merged.facets]));
  if (own.length === 0) return undefined;
  const labels = new Map<string, FacetCounts>();
  for (const { distribution } of own) {
    for (const [attribute, counts] of distribution) {
      const known = new Map(labels.get(attribute));
      for (const [key, count] of counts) {
        const before = known.get(key);
        if (before === undefined || before.count < count.count) known.set(key, count);
      }
      labels.set(attribute, known);
    }
  }
  const distribution = new Map<string, FacetCounts>();
  for (const [attribute, counts] of labels) {
    const counted = new Map(facetsOfHits(counts, attribute, documents));
    // A query's own count is the least that there can be.
    if (!isWhole) {
      for (const [key, least] of counts) {
        if ((counted.get(key)?.count ?? 0) < least.count) counted.set(key, least);
      }
    }
    distribution.set(attribute, counted);
  }
  const stats = isWhole
    ? statsOfHits([...distribution.keys()].sort(), documents)
    : mergeFacetStats(own.map((facets) => Buffer.from(facets.stats)));
  return { distribution, stats };
}

function without(union: Union, rejected: readonly Hit[]): Union {
  return rejected.length === 0 ? union : { ...union, total: Math.max(0, union.total - rejected.length) };
}
