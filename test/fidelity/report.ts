import type { Cause } from "./causes.js";
import type { Comparison } from "./compare.js";

/** Figures of one kind of request. */
export interface FidelityRow {
  readonly kind: string;
  cases: number;
  /** Requests that both sides refused in the same words. */
  refused: number;
  identical: number;
  ties: number;
  scoredDifferently: number;
  wrong: number;
  /** Requests whose hits have the same contents, {@link highlights} included. */
  contents: number;
  /** Requests in which nothing but highlights of words with typos differ. */
  highlights: number;
  totals: number;
  facets: number;
  facetCases: number;
}

/** The result of a run: a request fails where its order, the content of a hit, its facets or its refusal is wrong. */
export interface FidelityReport {
  readonly rows: readonly FidelityRow[];
  /** How many requests nodes scored differently, by cause. */
  readonly causes: Readonly<Partial<Record<Cause, number>>>;
  /** One line for each request whose nodes scored differently. */
  readonly named: readonly string[];
  readonly passed: number;
  readonly failed: number;
}

/** Counts comparisons. */
export class ReportBuilder {
  readonly #rows = new Map<string, FidelityRow>();
  readonly #causes: Partial<Record<Cause, number>> = {};
  readonly #named: string[] = [];
  #cases = 0;
  #failed = 0;

  /** A request that at least one side refused. */
  refusal(kind: string, isEqual: boolean): void {
    const row = this.#row(kind);
    if (isEqual) row.refused++;
    else {
      row.wrong++;
      this.#failed++;
    }
  }

  /** @returns what is to be said of a request that is not identical */
  comparison(kind: string, label: string, comparison: Comparison, cause: Cause | undefined): string[] {
    const row = this.#row(kind);
    const { order, contents, totals, facets } = comparison;
    if (contents !== "different") row.contents++;
    if (contents === "highlighted-differently") {
      row.highlights++;
      this.#named.push(`${label}: nodes highlight a word with typos differently`);
    }
    if (totals) row.totals++;
    if (facets !== undefined) row.facetCases++;
    if (facets === true) row.facets++;
    if (order.verdict === "identical") row.identical++;
    else if (order.verdict === "equal-up-to-ties") row.ties++;
    else if (order.verdict === "wrong") row.wrong++;
    else {
      row.scoredDifferently++;
      if (cause !== undefined) this.#causes[cause] = (this.#causes[cause] ?? 0) + 1;
      this.#named.push(
        `${label}: nodes score differently (${order.rules.join(", ")}), ${cause ?? "unknown cause"}`,
      );
    }
    const differsInFacets = facets === false && order.verdict !== "scored-differently";
    if (order.verdict === "wrong" || contents === "different" || differsInFacets) this.#failed++;
    return [
      ...(order.verdict === "equal-up-to-ties" ? [`${label}: equal up to ties`] : []),
      ...(order.verdict === "wrong" ? [`${label}: ${order.reason}`] : []),
      ...(totals ? [] : [`${label}: totals differ, ${comparison.totalsSeen}`]),
      ...(facets === false ? [`${label}: facets differ, ${comparison.facetsSeen}`] : []),
      ...(contents === "different" ? [`${label}: contents differ`] : []),
    ];
  }

  finished(): FidelityReport {
    return {
      rows: [...this.#rows.values()].sort((left, right) => (left.kind < right.kind ? -1 : 1)),
      causes: this.#causes,
      named: this.#named,
      passed: this.#cases - this.#failed,
      failed: this.#failed,
    };
  }

  #row(kind: string): FidelityRow {
    this.#cases++;
    let row = this.#rows.get(kind);
    if (row === undefined) {
      row = {
        kind,
        cases: 0,
        refused: 0,
        identical: 0,
        ties: 0,
        scoredDifferently: 0,
        wrong: 0,
        contents: 0,
        highlights: 0,
        totals: 0,
        facets: 0,
        facetCases: 0,
      };
      this.#rows.set(kind, row);
    }
    row.cases++;
    return row;
  }
}
