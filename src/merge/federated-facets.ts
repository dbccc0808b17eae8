import { distinctKeys } from "./distinct.js";
import {
  type FacetCount,
  leastCandidates,
  mergeFacetStats,
  type OrderedFacets,
  orderFacets,
  printOrderedFacets,
} from "./facets.js";
import type { Union } from "./federated-union.js";
import type { Hit } from "./hit.js";
import type { FacetOrder, IndexFacts } from "./search-parameters.js";
import { compareUtf8 } from "./text-order.js";

/** The facets of one index of a federated search, as the index shows them. */
export type IndexFacets = { readonly values: OrderedFacets; readonly stats: string };

/** The facets of what an index's queries match, ordered and cut; undefined where none were asked for. */
export function indexFacets({ total, facets }: Union, facts: IndexFacts): IndexFacets | undefined {
  if (facets === undefined) return undefined;
  const candidates = Math.max(total, leastCandidates(facets.distribution));
  return { values: orderFacets(facets.distribution, facts, candidates), stats: facets.stats };
}

/** The members of `facetsByIndex`, by index uid. */
export function printFacetsByIndex(facets: ReadonlyMap<string, IndexFacets>): string {
  const printed = [...facets].map(
    ([uid, { values, stats }]) =>
      `${JSON.stringify(uid)}:{"distribution":${printOrderedFacets(values)},"stats":${stats}}`,
  );
  return `{${printed.join(",")}}`;
}

/**
 * Makes one of the facets of several indexes: counts of the same label are added up, whatever its index.
 *
 * @param orderOf how the values of an attribute are ordered; all indexes agree
 * @param maxValues values shown for an attribute; undefined for all
 */
export function mergeIndexFacets(
  facets: readonly IndexFacets[],
  orderOf: (attribute: string) => FacetOrder,
  maxValues: number | undefined,
): IndexFacets {
  const merged = new Map<string, Map<string, FacetCount>>();
  for (const { values } of facets) {
    for (const [attribute, counts] of values) {
      const known = merged.get(attribute) ?? new Map<string, FacetCount>();
      merged.set(attribute, known);
      for (const value of counts) {
        const before = known.get(value.label);
        known.set(
          value.label,
          before === undefined ? value : { ...before, count: before.count + value.count },
        );
      }
    }
  }
  const ordered = [...merged]
    .sort(([a], [b]) => compareUtf8(a, b))
    .map(([attribute, counts]): [string, FacetCount[]] => {
      const byCount = orderOf(attribute) === "count";
      const values = [...counts.values()].sort((a, b) =>
        byCount ? b.count - a.count : compareUtf8(a.label, b.label),
      );
      return [attribute, values.slice(0, maxValues)];
    });
  const stats = mergeFacetStats(facets.map((own) => Buffer.from(own.stats)));
  return { values: new Map(ordered), stats };
}

/** Facets once documents are left out that they were counted over; values without documents go. Stats stay as they are. */
export function facetsWithout(facets: IndexFacets, hits: readonly Hit[]): IndexFacets {
  if (hits.length === 0) return facets;
  const values = new Map<string, readonly FacetCount[]>();
  for (const [attribute, counts] of facets.values) {
    const lost = new Map<string, number>();
    for (const key of hits.flatMap((hit) => distinctKeys(hit, attribute))) {
      lost.set(key, (lost.get(key) ?? 0) + 1);
    }
    const left = counts.map((value) => {
      const gone = lost.get(`s${value.key}`) ?? lost.get(`n${Number(value.key)}`) ?? 0;
      return gone === 0 ? value : { ...value, count: Math.max(0, value.count - gone) };
    });
    values.set(
      attribute,
      left.filter(({ count }) => count > 0),
    );
  }
  return { ...facets, values };
}
