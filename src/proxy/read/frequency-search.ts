import type { Hit } from "../../merge/hit.js";
import {
  askBody,
  countBodies,
  type FrequencyQuery,
  type FrequencyStep,
  frequencyQuery,
  frequencySteps,
  joinSteps,
  type MergedSearch,
  planSearch,
  printAnswer,
  type SearchParameters,
} from "../../merge/index.js";
import { parsePartAnswer, sumOfTotals } from "../../merge/part-answer.js";
import type { IndexView } from "../topology/topology-view.js";
import { mapBounded } from "./bounded.js";
import { indexFacts } from "./index-facts.js";
import { mergedRun, runSearch, type SearchRun } from "./search-run.js";
import type { ShardReader } from "./shard-reader.js";

/** A search by `matchingStrategy: frequency`. */
export interface FrequencySearch {
  readonly indexUid: string;
  readonly parameters: SearchParameters;
  readonly query: FrequencyQuery;
  readonly includeMetadata: boolean;
}

/** Steps of one search under way at once. */
const MAX_CONCURRENT_STEPS = 4;

/** The words that nodes are to drop alike; undefined for a search of another kind. */
export function frequencyQueryOf(index: IndexView, parameters: SearchParameters): FrequencyQuery | undefined {
  return frequencyQuery(parameters, indexFacts(index));
}

/**
 * Searches as one node with all documents does that drops the most frequent words first: counts the words over all parts, then searches without
 * more and more of them until the page is full. Total and facets are those of the words that are never dropped, which find what all others do.
 *
 * @returns undefined where one node serves the index, and counts as it should
 * @throws NodeRefusedError where a node refuses the search
 */
export async function searchByFrequency(
  reader: ShardReader,
  search: FrequencySearch,
  signal: AbortSignal,
): Promise<{ readonly body: Buffer; readonly result: SearchRun["result"] } | undefined> {
  const { indexUid, parameters, query } = search;
  const asks = countBodies(query, parameters);
  const counted = await reader.read(
    indexUid,
    {
      requests: ({ filter }) =>
        asks.map((body) => ({
          method: "POST",
          path: "/search",
          body: askBody({ role: "universe", body }, filter),
        })),
    },
    signal,
  );
  if (counted.parts === "one") return undefined;
  const counts = asks.map((_, at) =>
    sumOfTotals(
      counted.answers.map(({ responses }, part) =>
        parsePartAnswer(responses[at]?.body ?? Buffer.from("{}"), part),
      ),
    ),
  );
  const steps = frequencySteps(query, counts);
  const facts = indexFacts(counted.index);
  const plan = planSearch(parameters, facts, "many");
  const run = new StepRun(reader, search, signal);
  const [rarest] = steps.at(-1) ?? [];
  if (rarest === undefined) throw new RangeError("the rarest words are always a step");
  const whole = await run.whole(rarest);
  const hits: Hit[] = [];
  const seen = new Set<string>();
  for (const level of steps) {
    if (hits.length >= plan.end) break;
    const limit = Math.min(plan.end + hits.length, facts.maxTotalHits);
    const answered = await mapBounded(level, MAX_CONCURRENT_STEPS, async (step) => ({
      step,
      hits: await run.hits(step, limit),
    }));
    hits.push(...joinSteps(answered, seen, parameters.showRankingScore === true));
  }
  const merged = { ...whole.merged, page: hits.slice(plan.from, plan.end) };
  const missing = [...new Set([...counted.missing, ...run.missing])].sort((a, b) => a - b);
  return { body: printAnswer(plan, merged), result: { ...whole.result, missing } };
}

/** Searches for the words that steps leave. */
class StepRun {
  readonly missing = new Set<number>();

  constructor(
    private readonly reader: ShardReader,
    private readonly search: FrequencySearch,
    private readonly signal: AbortSignal,
  ) {}

  /** Total and facets of the documents with all words of a step. */
  async whole({
    q,
  }: FrequencyStep): Promise<{ readonly merged: MergedSearch; readonly result: SearchRun["result"] }> {
    const { merged, result } = await this.#run({ q, limit: 0, matchingStrategy: "all" });
    // Nodes print the words that they were asked for.
    const answers = merged.answers.map(({ hits, list, members }) => ({
      hits,
      list,
      members: new Map([...members].filter(([name]) => name !== "query")),
    }));
    return { merged: { ...merged, answers }, result };
  }

  /** The best documents for the words of a step; `last` ranks those with all words first, and says which they are. */
  async hits({ q }: FrequencyStep, limit: number): Promise<readonly Hit[]> {
    return (await this.#run({ q, limit, matchingStrategy: "last", facets: undefined })).merged.page;
  }

  async #run(changes: SearchParameters): Promise<{ merged: MergedSearch; result: SearchRun["result"] }> {
    const { indexUid, includeMetadata, parameters } = this.search;
    const page = { offset: 0, page: undefined, hitsPerPage: undefined };
    const run = await runSearch(
      this.reader,
      {
        indexUid,
        includeMetadata,
        plan: (index) => planSearch({ ...parameters, ...page, ...changes }, indexFacts(index), "many"),
      },
      this.signal,
    );
    for (const shard of run.result.missing) this.missing.add(shard);
    return { merged: mergedRun(run), result: run.result };
  }
}
