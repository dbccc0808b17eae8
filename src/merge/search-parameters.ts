/** Any JSON value. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;

/** A JSON object. */
export type JsonObject = { readonly [key: string]: JsonValue | undefined };

/** A filter as clients write it: an expression, or an array (AND) of expressions and arrays (OR) of them. */
export type Filter = string | readonly (string | readonly string[])[];

/**
 * The body of a search as the client sent it, already validated: unknown members are gone and every
 * member has its type. Members that the merge does not read are passed on to the nodes as they are.
 */
export type SearchParameters = {
  readonly q?: string | null | undefined;
  readonly offset?: number | null | undefined;
  readonly limit?: number | null | undefined;
  readonly page?: number | null | undefined;
  readonly hitsPerPage?: number | null | undefined;
  /** Any JSON value: what is no filter is for the node to complain about. */
  readonly filter?: JsonValue | undefined;
  readonly sort?: readonly string[] | null | undefined;
  readonly facets?: readonly string[] | null | undefined;
  readonly distinct?: string | null | undefined;
  readonly attributesToRetrieve?: readonly string[] | null | undefined;
  readonly attributesToHighlight?: readonly string[] | null | undefined;
  readonly attributesToCrop?: readonly string[] | null | undefined;
  readonly attributesToSearchOn?: readonly string[] | null | undefined;
  readonly showMatchesPosition?: boolean | null | undefined;
  readonly showRankingScore?: boolean | null | undefined;
  readonly showRankingScoreDetails?: boolean | null | undefined;
  readonly rankingScoreThreshold?: number | null | undefined;
  readonly vector?: readonly number[] | null | undefined;
  readonly media?: JsonValue | undefined;
  readonly hybrid?: { readonly embedder: string; readonly semanticRatio?: number | null } | null | undefined;
  readonly [other: string]: JsonValue | undefined;
};

/**
 * The longest list that a part is asked for to complete an answer, whatever `maxTotalHits` allows: what lies behind it is estimated. A node
 * takes some tens of milliseconds for it.
 */
export const LONGEST_COMPLETION = 10_000;

/** How the values of a facet are ordered. */
export type FacetOrder = "alpha" | "count";

/** What the merge has to know of an index: the client's own settings, never a node's additions to them. */
export type IndexFacts = {
  /** The client's name for the index; written into `metadata`. */
  readonly uid: string;
  /** Null while the index has no documents. */
  readonly primaryKey: string | null;
  /** `distinctAttribute`; null for none. A search's own `distinct` goes before it. */
  readonly distinctAttribute: string | null;
  /** Whether `distinctAttribute` is filterable too, which lets nodes count its values. */
  readonly distinctAttributeIsFilterable: boolean;
  /**
   * `displayedAttributes`; null for all. Nodes display everything, since what a node hides it also hides
   * from the score details that the merge compares; hiding is done here.
   */
  readonly displayedAttributes: readonly string[] | null;
  /** `stopWords`. */
  readonly stopWords?: readonly string[];
  /** Whether `words` is the first of `rankingRules`, as it is unless they were changed. */
  readonly ranksByWordsFirst?: boolean;
  /** `pagination.maxTotalHits`; 1000 on a fresh index. Limits hits, not totals. */
  readonly maxTotalHits: number;
  /** `faceting.maxValuesPerFacet`; 100 on a fresh index. Nodes may be set higher, never lower. */
  readonly maxValuesPerFacet: number;
  /** `faceting.sortFacetValuesBy`: attribute (or `*`) to order; `{}` means alphabetical throughout. */
  readonly sortFacetValuesBy: { readonly [attribute: string]: FacetOrder };
};
