import { matchesIndex } from "../../meilisearch/index-pattern.js";

/** What a tenant token adds to searches of one index; `filter` as JSON value, undefined for none. */
export interface IndexSearchRules {
  readonly filter: unknown;
}

/** The indexes that a tenant token opens, by pattern; null adds nothing to their searches. */
export type SearchRules = ReadonlyMap<string, IndexSearchRules | null>;

/** What a request may touch, once its key is known to be good for the route. */
export class AuthFilter {
  /** Undefined unless the request came with a tenant token. */
  readonly #searchRules: SearchRules | undefined;
  readonly #indexes: readonly string[];
  readonly #mayCreateIndexes: boolean;

  constructor(
    indexes: readonly string[],
    mayCreateIndexes: boolean,
    searchRules: SearchRules | undefined = undefined,
  ) {
    this.#indexes = indexes;
    this.#mayCreateIndexes = mayCreateIndexes;
    this.#searchRules = searchRules;
  }

  /** What the master key may touch. */
  static readonly everything = new AuthFilter(["*"], true);

  /** What a request may touch of which nothing is known yet. */
  static readonly nothing = new AuthFilter([], false);

  get isTenantToken(): boolean {
    return this.#searchRules !== undefined;
  }

  /** Whether nothing is out of reach. */
  get allIndexes(): boolean {
    return this.#indexes.includes("*") && (this.#searchRules === undefined || this.#searchRules.has("*"));
  }

  /** Whether the index is within reach of the key, and of the token where there is one. */
  allows(indexUid: string): boolean {
    return this.keyAllows(indexUid) && this.tokenAllows(indexUid);
  }

  /** Whether a document may be added to an index that is not there yet. */
  allowsCreating(indexUid: string): boolean {
    return this.#mayCreateIndexes && this.allows(indexUid);
  }

  /** `allows`, by the key alone. */
  keyAllows(indexUid: string): boolean {
    return this.#indexes.some((pattern) => matchesIndex(pattern, indexUid));
  }

  /** `allows`, by the token alone. */
  tokenAllows(indexUid: string): boolean {
    if (this.#searchRules === undefined) return true;
    return [...this.#searchRules.keys()].some((pattern) => matchesIndex(pattern, indexUid));
  }

  /** The key's patterns, as messages list them. */
  get keyIndexes(): readonly string[] {
    return [...new Set(this.#indexes)].sort(byBytes);
  }

  /** The token's patterns, as messages list them. */
  get tokenIndexes(): readonly string[] {
    return [...(this.#searchRules?.keys() ?? [])].sort(byBytes);
  }

  /** What is added to a search of an index; the most exact of the token's rules that name it. */
  searchRules(indexUid: string): IndexSearchRules | undefined {
    if (!this.allows(indexUid)) return undefined;
    let best: readonly [string, IndexSearchRules | null] | undefined;
    for (const rule of this.#searchRules ?? []) {
      if (matchesIndex(rule[0], indexUid) && (best === undefined || isMoreExact(rule[0], best[0])))
        best = rule;
    }
    return best?.[1] ?? undefined;
  }
}

function isMoreExact(pattern: string, other: string): boolean {
  const exact = !pattern.endsWith("*");
  if (exact !== !other.endsWith("*")) return exact;
  return pattern.length >= other.length;
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
