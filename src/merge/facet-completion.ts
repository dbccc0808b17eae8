import { attributeValues } from "./distinct.js";
import { exactFacetCounts } from "./facet-counts.js";
import { firstNumbers } from "./facet-numbers.js";
import {
  type FacetCounts,
  facetOrderOf,
  type LabelCount,
  NUMERIC_ORDER_THRESHOLD,
  orderFacets,
  readDistribution,
  readsAsNumber,
  sumAttribute,
} from "./facets.js";
import type { Hit } from "./hit.js";
import { sequenceOf } from "./hit.js";
import type { MergedSearch } from "./merged-search.js";
import { type PartAnswer, parsePartAnswer, totalOf } from "./part-answer.js";
import { NO_FORMATTING, type SearchPlan } from "./part-request.js";
import { conditionOn, restrictionConditions, withConditions } from "./restrictions.js";
import type { PartAnswers } from "./round-answers.js";
import { type JsonObject, LONGEST_COMPLETION } from "./search-parameters.js";

/**
 * Asks one part a search more. Several answers where the part is read from several nodes; undefined where it cannot be asked, or
 * where nodes refuse.
 */
export type AskPart = (part: number, body: JsonObject) => Promise<readonly Buffer[] | undefined>;

/** How often one part is asked again about one facet. */
const ASKS_PER_PART = 64;

/**
 * Completes facets that parts cut at `maxValuesPerFacet` otherwise than one node would have (invariant 10), and finds the label
 * of values that documents write in several ways. Asks nothing where the first answers say it all: alphabetical facets of texts, facets that
 * no part cut.
 *
 * - Numbers in alphabetical order: above a number of documents a node orders by value, below by text. Where the whole is above it and a
 *   part below, that part cut other values.
 * - Values ordered by count: the most frequent ones of the whole need not be the most frequent ones of each part.
 * - Labels: a node prints a value as its first document has it.
 *
 * Facets under a distinct attribute stay as they are.
 *
 * @param merged what the first answers give
 * @returns it with the facets completed
 */
export async function completeFacets(
  plan: SearchPlan,
  parts: readonly PartAnswers[],
  merged: MergedSearch,
  ask: AskPart,
): Promise<MergedSearch> {
  const { facets, total } = merged;
  const at = plan.asks.findIndex(({ role }) => role === facets?.source);
  const asked = plan.asks[at];
  if (facets === undefined || asked === undefined || plan.distinct !== null || parts.length < 2)
    return merged;
  const answers = parts.map(({ answers: bodies }, part) => parsePartAnswer(bodies[at] ?? EMPTY, part));
  const distributions = answers.map((answer) => distributionOf(answer));
  const completion = new Completion(plan, asked.body, ask, answers, total);
  const corrections = new Map<string, FacetCounts>();
  // One after the other, so that a search for many facets does not flood the nodes.
  for (const [attribute, summed] of facets.distribution) {
    const lists = distributions.map((distribution) => distribution.get(attribute) ?? []);
    const counts = await completion.counts(attribute, lists);
    const correction = (await completion.labels(attribute, lists, counts ?? summed)) ?? counts;
    if (correction !== undefined) corrections.set(attribute, correction);
  }
  if (corrections.size === 0) return merged;
  return {
    ...merged,
    facets: { ...facets, distribution: new Map([...facets.distribution, ...corrections]) },
  };
}

const EMPTY = Buffer.from("{}");

function distributionOf(answer: PartAnswer): Map<string, LabelCount[]> {
  const raw = answer.members.get("facetDistribution");
  return raw === undefined ? new Map() : readDistribution(raw);
}

class Completion {
  private readonly max: number;

  constructor(
    private readonly plan: SearchPlan,
    private readonly body: JsonObject,
    private readonly ask: AskPart,
    private readonly answers: readonly PartAnswer[],
    private readonly candidates: number,
  ) {
    this.max = plan.facts.maxValuesPerFacet;
  }

  /** The values that are shown, or more, with exact counts; undefined where the first answers have them. */
  async counts(
    attribute: string,
    lists: readonly (readonly LabelCount[])[],
  ): Promise<FacetCounts | undefined> {
    const isCut = lists.some((list) => list.length >= this.max);
    if (!isCut || this.max === 0) return undefined;
    if (facetOrderOf(this.plan.facts, attribute) === "count") return this.#byCount(attribute, lists);
    return this.#cutsByText(lists) ? this.#numbers(attribute, lists) : undefined;
  }

  /** The values under the labels of their first documents; undefined where parts agree. */
  async labels(
    attribute: string,
    lists: readonly (readonly LabelCount[])[],
    counts: FacetCounts | undefined,
  ): Promise<FacetCounts | undefined> {
    if (counts === undefined) return undefined;
    const shown =
      orderFacets(new Map([[attribute, counts]]), this.plan.facts, this.candidates).get(attribute) ?? [];
    const labels = new Map<string, Set<string>>();
    for (const list of lists) {
      for (const [key, { label }] of sumAttribute([list]))
        labels.set(key, (labels.get(key) ?? new Set()).add(label));
    }
    const open = shown.filter(({ key, isNumber }) => !isNumber && (labels.get(key)?.size ?? 0) > 1);
    if (open.length === 0) return undefined;
    const keys = open.map(({ key }) => key);
    const longest = Math.min(this.plan.facts.maxTotalHits, LONGEST_COMPLETION);
    const answered = await this.#askAll({
      ...this.body,
      ...NO_FORMATTING,
      filter: withConditions(this.body.filter, [conditionOn(attribute, keys)]),
      attributesToRetrieve: [attribute],
      facets: undefined,
      showRankingScoreDetails: true,
      ...(this.plan.pagination.style === "page"
        ? { page: 1, hitsPerPage: longest }
        : { offset: 0, limit: longest }),
    });
    if (answered === undefined) return undefined;
    const first = firstLabels(
      answered.flatMap((body, part) => parsePartAnswer(body, part).hits),
      attribute,
    );
    const labelled = new Map(counts);
    for (const value of open) {
      const label = first.get(`s${value.key}`);
      if (label !== undefined) labelled.set(value.key, { ...value, label });
    }
    return labelled;
  }

  /** Whether some part ordered numbers by text, and cut them, where the whole orders them by value. */
  #cutsByText(lists: readonly (readonly LabelCount[])[]): boolean {
    if (this.candidates <= NUMERIC_ORDER_THRESHOLD) return false;
    return lists.some((list, part) => {
      const answer = this.answers[part];
      const last = list[this.max - 1];
      return (
        answer !== undefined &&
        last !== undefined &&
        readsAsNumber(last.label) &&
        totalOf(answer) <= NUMERIC_ORDER_THRESHOLD
      );
    });
  }

  async #numbers(
    attribute: string,
    lists: readonly (readonly LabelCount[])[],
  ): Promise<FacetCounts | undefined> {
    const numbers = await firstNumbers(
      lists,
      this.max,
      async (after, upTo) => {
        const body = this.#facetBody(
          attribute,
          restrictionConditions(attribute, { kind: "range", after, upTo }),
        );
        const answered = await this.#askAll(body);
        return answered?.map((raw, part) => distributionOf(parsePartAnswer(raw, part)).get(attribute) ?? []);
      },
      ASKS_PER_PART,
    );
    return numbers && sumAttribute([numbers]);
  }

  async #byCount(
    attribute: string,
    lists: readonly (readonly LabelCount[])[],
  ): Promise<FacetCounts | undefined> {
    const hasNumbers = lists.flat().some(({ label }) => readsAsNumber(label));
    const exact = await exactFacetCounts(
      lists.map((list) => list.map(({ label, count }) => ({ value: label, count }))),
      this.max,
      async (part, restriction) => {
        // Ranges are walked in the order of texts, which is not that of numbers.
        if (hasNumbers && restriction.kind === "range") return undefined;
        const answered = await this.ask(
          part,
          this.#facetBody(attribute, restrictionConditions(attribute, restriction)),
        );
        return answered?.map((raw) =>
          (distributionOf(parsePartAnswer(raw, part)).get(attribute) ?? []).map(({ label, count }) => ({
            value: label,
            count,
          })),
        );
      },
      ASKS_PER_PART,
    );
    return sumAttribute(exact.lists.map((list) => list.map(({ value, count }) => ({ label: value, count }))));
  }

  /** Counts one facet over fewer documents. A threshold, and a hybrid search, need their page to be what they are. */
  #facetBody(attribute: string, conditions: readonly string[]): JsonObject {
    const { query, kind } = this.plan;
    const needsPage = kind === "hybrid" || typeof query.rankingScoreThreshold === "number";
    return {
      ...this.body,
      ...NO_FORMATTING,
      filter: withConditions(this.body.filter, conditions),
      attributesToRetrieve: [],
      facets: [attribute],
      ...(needsPage ? {} : { page: undefined, hitsPerPage: undefined, offset: 0, limit: 0 }),
    };
  }

  async #askAll(body: JsonObject): Promise<readonly Buffer[] | undefined> {
    const answered = await Promise.all(this.answers.map((_, part) => this.ask(part, body)));
    return answered.some((bodies) => bodies === undefined)
      ? undefined
      : answered.flatMap((bodies) => bodies ?? []);
  }
}

/** By value: how the document that came first writes it. A document that writes it in several ways is known by the last one. */
function firstLabels(hits: readonly Hit[], attribute: string): Map<string, string> {
  const first = new Map<string, { readonly sequence: string; readonly label: string }>();
  for (const hit of hits) {
    const sequence = sequenceOf(hit) ?? "";
    for (const { key, label } of attributeValues(hit, attribute)) {
      const known = first.get(key);
      if (known === undefined || sequence <= known.sequence) first.set(key, { sequence, label });
    }
  }
  return new Map([...first].map(([key, { label }]) => [key, label]));
}
