import { parseErrorBody } from "../../meilisearch/errors.js";
import {
  type Ask,
  type AskPart,
  askBody,
  asksRanksFirst,
  completeFacets,
  cutShort,
  type FurtherAnswers,
  firstShare,
  type Hit,
  type MergedSearch,
  mergedSearch,
  nextRound,
  type PagePlace,
  type PartAnswers,
  pagePlaces,
  placeAsk,
  ranksAsk,
  type SearchPlan,
  wholePage,
} from "../../merge/index.js";
import type { IndexView } from "../topology/topology-view.js";
import type { DocumentSizes } from "./document-sizes.js";
import type { NodeAsk } from "./read-covers.js";
import { type IndexRequest, NodeRefusedError, type ShardRead, type ShardReadResult } from "./shard-read.js";
import type { ShardReader } from "./shard-reader.js";

/** One search, planned, and answered by every part. */
export interface SearchRun {
  readonly plan: SearchPlan;
  readonly parts: readonly PartAnswers[];
  /** What the parts found, merged, with facets completed; undefined where one node serves the index. */
  readonly merged: MergedSearch | undefined;
  /** The first read, with the shards that any of the rounds missed. */
  readonly result: Pick<ShardReadResult, "index" | "answers" | "missing">;
}

/** What to search. */
export interface SearchToRun {
  readonly indexUid: string;
  /** Called once for every state of the index's settings that the search meets. */
  readonly plan: (index: IndexView, parts: "one" | "many") => SearchPlan;
  /** Whether answers are to say which index and query they are of. */
  readonly includeMetadata: boolean;
  /**
   * Set where parts may be asked at first for less than the page could need of them: for fewer hits, and for the ranks of a deep page
   * without its documents. Not where their answers are merged otherwise.
   */
  readonly asksLess?: undefined | { readonly sizes: DocumentSizes };
}

/** Rounds of one search under a distinct attribute with several values in one document; what is open then stays so. */
const MAX_ROUNDS = 32;

/**
 * Asks all parts of an index what a plan wants to know of them, round by round.
 *
 * @throws MeilisearchError where the index is unknown
 * @throws NodeRefusedError where a node refuses the search
 */
export async function runSearch(
  reader: ShardReader,
  search: SearchToRun,
  signal: AbortSignal,
): Promise<SearchRun> {
  const read = new SearchRead(search);
  const result = await reader.read(search.indexUid, read, signal);
  const plan = read.plan(result.parts, result.index);
  let parts = partAnswers(result);
  if (plan.parts === "one") return { plan, parts, merged: undefined, result };
  const rounds: FurtherAnswers[] = [];
  const missing = new Set(result.missing);
  while (rounds.length < MAX_ROUNDS) {
    const ask = nextRound(plan, parts, rounds);
    if (ask === undefined) break;
    const round = await askParts(reader, search.indexUid, ask, signal);
    rounds.push({ ask, parts: round.parts });
    for (const shard of round.missing) missing.add(shard);
  }
  let found = mergedSearch(plan, parts, rounds);
  const short = cutShort(plan, found.ranked ?? [], read.askedHits(plan, result));
  if (short.length > 0) {
    const whole = await askWhole(reader, search, read, result, short, signal);
    parts = parts.flatMap((part, at) => whole.get(at)?.parts ?? [part]);
    for (const { missing: lost } of whole.values()) for (const shard of lost) missing.add(shard);
    found = mergedSearch(plan, parts, rounds);
  }
  if (read.tellsRanksOnly(plan)) {
    const page = await askPage(reader, search, read, result, found.page, signal);
    // The ranks were those of other documents, so that they do not tell anything.
    if (page === undefined) return runSearch(reader, { ...search, asksLess: undefined }, signal);
    found = { ...found, page };
  } else search.asksLess?.sizes.learn(result.index, plan, found);
  const merged =
    (plan.query.facets ?? []).length === 0
      ? found
      : await completeFacets(plan, parts, found, askOnePart(reader, search.indexUid, result, signal));
  const covered = { ...result, missing: [...missing].sort((a, b) => a - b) };
  return { plan, parts, merged, result: covered };
}

/** What a search found whose plan is for many parts. */
export function mergedRun({ merged }: SearchRun): MergedSearch {
  if (merged === undefined) throw new RangeError("the answer of one node is not merged");
  return merged;
}

/** Asks every part one thing more. */
export async function askParts(
  reader: ShardReader,
  indexUid: string,
  ask: Ask,
  signal: AbortSignal,
): Promise<{ readonly parts: readonly PartAnswers[]; readonly missing: readonly number[] }> {
  const round = await reader.read(indexUid, furtherRound(ask), signal);
  return { parts: partAnswers(round), missing: round.missing };
}

/** Asks some parts again, for all hits that the page could need of them. By part: what it answers, in one piece or several. */
async function askWhole(
  reader: ShardReader,
  { indexUid }: SearchToRun,
  first: SearchRead,
  { answers }: ShardReadResult,
  short: readonly number[],
  signal: AbortSignal,
): Promise<
  ReadonlyMap<number, { readonly parts: readonly PartAnswers[]; readonly missing: readonly number[] }>
> {
  const asked = short.map(async (part) => {
    const shards = answers[part]?.ask.shards ?? [];
    const result = await reader.read(indexUid, first.forWholeLists(), signal, () => shards);
    return [part, { parts: partAnswers(result), missing: result.missing }] as const;
  });
  return new Map(await Promise.all(asked));
}

/** The hits of a page of which the ranks are known, whole; undefined where they have changed in between. */
async function askPage(
  reader: ShardReader,
  { indexUid }: SearchToRun,
  first: SearchRead,
  { answers }: ShardReadResult,
  page: readonly Hit[],
  signal: AbortSignal,
): Promise<Hit[] | undefined> {
  const places = pagePlaces(page);
  const asked = places.map(async (place) => {
    const shards = answers[place.part]?.ask.shards ?? [];
    const result = await reader.read(indexUid, first.forPlace(place), signal, () => shards);
    const [only, ...others] = partAnswers(result);
    return only === undefined || others.length > 0 ? { answers: [] } : only;
  });
  return wholePage(page, places, await Promise.all(asked));
}

/** Asks the replicas of a part's shards a search more. */
function askOnePart(
  reader: ShardReader,
  indexUid: string,
  first: ShardReadResult,
  signal: AbortSignal,
): AskPart {
  return async (part, body) => {
    const shards = first.answers[part]?.ask.shards ?? [];
    try {
      const read = furtherRound({ role: "universe", body });
      const result = await reader.read(indexUid, read, signal, () => shards);
      return result.missing.length > 0
        ? undefined
        : result.answers.flatMap(({ responses }) => responses.map((response) => response.body));
    } catch (error) {
      // An attribute can be a facet though it may not be filtered by comparison.
      if (error instanceof NodeRefusedError) return undefined;
      throw error;
    }
  };
}

function partAnswers(result: ShardReadResult): PartAnswers[] {
  return result.answers.map(({ responses }) => ({
    answers: responses.map((response) => (response.status < 300 ? response.body : null)),
  }));
}

function furtherRound(ask: Ask): ShardRead {
  return {
    requests: (node) => [{ method: "POST", path: "/search", body: askBody(ask, node.filter) }],
  };
}

const METADATA_HEADERS = { "meili-include-metadata": "true" };

/** The asks of one search; planned once, whatever number of nodes it goes to. */
class SearchRead implements ShardRead {
  private readonly plans: {
    readonly parts: "one" | "many";
    readonly settingsVersion: bigint;
    readonly plan: SearchPlan;
  }[] = [];
  private current: SearchPlan | undefined;
  /** The plans by which nodes are asked for ranks; decided once for all nodes, whatever is learnt in between. */
  private readonly forRanks: SearchPlan[] = [];

  constructor(private readonly search: SearchToRun) {}

  plan(parts: "one" | "many", index: IndexView): SearchPlan {
    const { settingsVersion } = index;
    const known = this.plans.find((of) => of.parts === parts && of.settingsVersion === settingsVersion);
    if (known !== undefined) return known.plan;
    const plan = this.search.plan(index, parts);
    this.plans.push({ parts, settingsVersion, plan });
    const { asksLess } = this.search;
    if (asksLess !== undefined && asksRanksFirst(plan, asksLess.sizes.of(index))) this.forRanks.push(plan);
    return plan;
  }

  requests: ShardRead["requests"] = (ask, parts, index) => {
    const plan = this.plan(parts, index);
    this.current = plan;
    const hits = this.hitsOf(plan, ask, index);
    return this.requestsFor(plan, ask, hits);
  };

  /** Whether the answers tell the ranks of hits and nothing of their documents. */
  tellsRanksOnly(plan: SearchPlan): boolean {
    return this.forRanks.includes(plan);
  }

  /** For how many hits each node was asked. */
  askedHits(plan: SearchPlan, { answers, index }: ShardReadResult): number[] {
    return answers.map(({ ask }) => this.hitsOf(plan, ask, index));
  }

  /** The same read, by which every node is asked for all hits that the page could need. */
  forWholeLists(): ShardRead {
    return {
      requests: (ask, _parts, index) => {
        const plan = this.plan("many", index);
        return this.requestsFor(plan, ask, plan.end);
      },
    };
  }

  /** The same read, for the hits of one place. */
  forPlace(place: PagePlace): ShardRead {
    return {
      requests: ({ filter }, _parts, index) => {
        const { asks } = this.plan("many", index);
        return this.posts(asks.map((ask) => askBody(placeAsk(ask, place), filter)));
      },
    };
  }

  private hitsOf(plan: SearchPlan, { shards }: NodeAsk, index: IndexView): number {
    return this.search.asksLess === undefined ? plan.end : firstShare(plan, shards.length / index.shards);
  }

  private requestsFor(plan: SearchPlan, { filter }: NodeAsk, hits: number): readonly IndexRequest[] {
    const most = hits < plan.end ? hits : undefined;
    return this.posts(
      plan.asks.map((ask) => askBody(this.tellsRanksOnly(plan) ? ranksAsk(ask) : ask, filter, most)),
    );
  }

  private posts(bodies: readonly string[]): readonly IndexRequest[] {
    const headers = this.search.includeMetadata ? { headers: METADATA_HEADERS } : {};
    return bodies.map((body) => ({ method: "POST", path: "/search", body, ...headers }));
  }

  /** A hybrid search whose text cannot be embedded is answered by its keyword half alone. */
  toleratesRefusal: NonNullable<ShardRead["toleratesRefusal"]> = (at, response) =>
    this.current?.asks[at]?.role === "semantic" &&
    parseErrorBody(response.body)?.code === "vector_embedding_error";
}
