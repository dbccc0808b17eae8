import type { MeilisearchHttp } from "../support/meilisearch-http.js";
import { median } from "./quantiles.js";

/** A server under measurement. */
export interface BenchTarget {
  readonly name: string;
  readonly api: MeilisearchHttp;
  readonly key: string | undefined;
}

/** One measure of both sides: medians over the repeats, and the ratio repeat by repeat. */
export interface BenchRow {
  readonly measure: string;
  readonly node: number;
  readonly miroir: number;
  /** Miroir's value over the node's. */
  readonly ratio: number;
  readonly ratioLow: number;
  readonly ratioHigh: number;
}

/** Sums up pairs that were measured one after the other. */
export function benchRow(
  measure: string,
  pairs: readonly { readonly node: number; readonly miroir: number }[],
): BenchRow {
  const ratios = pairs.map(({ node, miroir }) => miroir / node);
  return {
    measure,
    node: median(pairs.map(({ node }) => node)),
    miroir: median(pairs.map(({ miroir }) => miroir)),
    ratio: median(ratios),
    ratioLow: Math.min(...ratios),
    ratioHigh: Math.max(...ratios),
  };
}
