import { objectMembers } from "../../json/members.js";
import type { NodeResponse } from "../../meilisearch/transport.js";
import { type AskFacetPart, exactFacetCounts } from "../../merge/facet-counts.js";
import { type FacetHit, mergeFacetHits, recountedLists } from "../../merge/facet-search.js";
import { facetOrderOf } from "../../merge/facets.js";
import type { Hit } from "../../merge/hit.js";
import {
  filterWithShards,
  type JsonObject,
  type JsonValue,
  planSearch,
  type SearchParameters,
} from "../../merge/index.js";
import { standInForAttribute, standInsInAnyFilter } from "../../merge/injected-fields.js";
import { restrictionConditions, withConditions } from "../../merge/restrictions.js";
import { readHeaders } from "./degradation.js";
import { indexFacts } from "./index-facts.js";
import type { ReadAnswer, SearchDependencies } from "./search.js";
import { mergedRun, runSearch, type SearchToRun } from "./search-run.js";
import { type IndexRequest, NodeRefusedError, type ShardReadResult } from "./shard-read.js";
import type { ShardReader } from "./shard-reader.js";
import { soundRequest } from "./sound-request.js";

/** The body of a facet search, already validated; members that only nodes read are passed on as they are. */
export interface FacetSearchParameters extends JsonObject {
  readonly facetName: string;
  readonly facetQuery?: string | null;
  readonly filter?: JsonValue;
  readonly attributesToSearchOn?: readonly string[] | null;
  readonly rankingScoreThreshold?: number | null;
  readonly exhaustiveFacetCount?: boolean | null;
}

/** Searches the values of one facet. */
export interface FacetSearchService {
  /**
   * The answer that one Meilisearch with all documents would give (invariant 10).
   *
   * @param parameters undefined where the request is not sound; Meilisearch's reason is then looked for at a node
   * @param original the request as the client sent it
   * @throws MeilisearchError
   */
  search(
    indexUid: string,
    parameters: FacetSearchParameters | undefined,
    original: IndexRequest,
    signal: AbortSignal,
  ): Promise<ReadAnswer>;
}

/** How often one part is asked again where it cut its list of the most frequent values. */
const FURTHER_ASKS_PER_PART = 64;

/** How many documents a node looks at before it takes those that are left for good enough. */
const LOOKS_AT = 20;

/** Searches through `reader`. */
export function createFacetSearchService(dependencies: SearchDependencies): FacetSearchService {
  const { reader, refusals, unavailableShardPolicy } = dependencies;
  return {
    async search(indexUid, parameters, original, signal) {
      const isSound = parameters !== undefined;
      await soundRequest(dependencies, indexUid, isSound, original, signal);
      if (!isSound) throw new TypeError("a request that is not sound was taken for one");
      try {
        const { result, body } = await facetSearch(reader, indexUid, parameters, signal);
        return { body, headers: readHeaders(result, unavailableShardPolicy) };
      } catch (error) {
        if (error instanceof NodeRefusedError) throw await refusals.refusal(error, indexUid, original);
        throw error;
      }
    },
  };
}

async function facetSearch(
  reader: ShardReader,
  indexUid: string,
  parameters: FacetSearchParameters,
  signal: AbortSignal,
): Promise<{ readonly result: ShardReadResult; readonly body: Buffer }> {
  const asked = asNodesKnowIt(parameters);
  const threshold = parameters.rankingScoreThreshold ?? null;
  const probes = threshold !== null && parameters.exhaustiveFacetCount !== true;
  const unlimited = { ...asked, rankingScoreThreshold: null };
  const result = await reader.read(
    indexUid,
    {
      requests: ({ filter }, parts) => {
        const own = facetRequest(asked, filter);
        if (!probes || parts === "one") return [own];
        return [own, facetRequest(unlimited, filter), probeRequest(asked, filter)];
      },
    },
    signal,
  );
  // A threshold takes documents away only where a node meets them: not once it has enough above it.
  const ignoresThreshold = probes && result.parts === "many" && shown(result) >= LOOKS_AT;
  const effective = ignoresThreshold ? unlimited : asked;
  const answers = result.answers.map(({ responses }) => readAnswer(responses[ignoresThreshold ? 1 : 0]));
  let lists: readonly (readonly FacetHit[])[] = answers.map(({ hits }) => hits);
  if (result.parts === "many") {
    const facts = indexFacts(result.index);
    const max = facts.maxValuesPerFacet;
    const order = facetOrderOf(facts, parameters.facetName);
    const left =
      facts.distinctAttribute === null || parameters.exhaustiveFacetCount === true
        ? undefined
        : await documentsLeft(reader, indexUid, asked, signal);
    if (left !== undefined) {
      lists = recountedLists(lists, asked.facetName, left);
    } else if (order === "count") {
      const ask = askPart(reader, indexUid, effective, result, signal);
      ({ lists } = await exactFacetCounts(lists, max, ask, FURTHER_ASKS_PER_PART));
    }
    const byQuery = parameters.facetQuery !== undefined && parameters.facetQuery !== null;
    lists = [mergeFacetHits(lists, { order, max, byQuery })];
  }
  const facetQuery = answers[0]?.facetQuery ?? "null";
  const took = Math.max(0, ...answers.map(({ processingTimeMs }) => processingTimeMs));
  const printed = lists
    .flat()
    .map(({ value, count }) => `{"value":${JSON.stringify(value)},"count":${count}}`);
  const body = `{"facetHits":[${printed.join(",")}],"facetQuery":${facetQuery},"processingTimeMs":${took}}`;
  return { result, body: Buffer.from(body) };
}

/** The client's request under names that nodes cannot take for Miroir's fields. */
function asNodesKnowIt(parameters: FacetSearchParameters): FacetSearchParameters {
  const { facetName, filter, attributesToSearchOn } = parameters;
  return {
    ...parameters,
    facetName: standInForAttribute(facetName),
    ...(filter === undefined ? {} : { filter: standInsInAnyFilter(filter) }),
    ...(attributesToSearchOn === undefined || attributesToSearchOn === null
      ? {}
      : { attributesToSearchOn: attributesToSearchOn.map(standInForAttribute) }),
  };
}

function facetRequest(body: FacetSearchParameters, shards: readonly number[] | null): IndexRequest {
  return { method: "POST", path: "/facet-search", body: narrowedBody(body, shards) };
}

/** Asks for the documents that a node looks at for a facet search. */
function probeRequest(parameters: FacetSearchParameters, shards: readonly number[] | null): IndexRequest {
  const body: Record<string, JsonValue | undefined> = { limit: LOOKS_AT, attributesToRetrieve: [] };
  for (const name of SEARCH_MEMBERS) body[name] = parameters[name];
  return { method: "POST", path: "/search", body: narrowedBody(body, shards) };
}

/** What a facet search has in common with a search. */
const SEARCH_MEMBERS = [
  "q",
  "vector",
  "media",
  "hybrid",
  "filter",
  "matchingStrategy",
  "attributesToSearchOn",
  "rankingScoreThreshold",
  "locales",
] as const;

function narrowedBody(body: JsonObject, shards: readonly number[] | null): string {
  if (shards === null) return JSON.stringify(body);
  return JSON.stringify({ ...body, filter: filterWithShards(body.filter, shards) });
}

/**
 * All documents that a distinct attribute leaves of those that match, if they are fewer than a node looks at: it then
 * counts these alone, and parts cannot know of each other's duplicates.
 */
async function documentsLeft(
  reader: ShardReader,
  indexUid: string,
  parameters: FacetSearchParameters,
  signal: AbortSignal,
): Promise<readonly Hit[] | undefined> {
  const query: Record<string, JsonValue | undefined> = {
    limit: LOOKS_AT,
    attributesToRetrieve: [],
  };
  for (const name of SEARCH_MEMBERS) query[name] = parameters[name];
  const plan: SearchToRun["plan"] = (index) =>
    planSearch(query as SearchParameters, indexFacts(index), "many", [parameters.facetName]);
  const run = await runSearch(reader, { indexUid, plan, includeMetadata: false }, signal);
  // A search by vector looks at no document: it counts all that pass the filter.
  if (run.plan.kind !== "keyword") return undefined;
  const { page } = mergedRun(run);
  return page.length < LOOKS_AT ? page : undefined;
}

/** How many documents above the threshold the probes met. */
function shown(result: ShardReadResult): number {
  return result.answers.reduce((sum, { responses }) => {
    const probe: unknown = JSON.parse(responses[2]?.body.toString("utf8") ?? "{}");
    const hits = typeof probe === "object" && probe !== null && "hits" in probe ? probe.hits : [];
    return sum + (Array.isArray(hits) ? hits.length : 0);
  }, 0);
}

/** Asks the replicas of a part's shards again, about fewer documents. */
function askPart(
  reader: ShardReader,
  indexUid: string,
  parameters: FacetSearchParameters,
  first: ShardReadResult,
  signal: AbortSignal,
): AskFacetPart {
  return async (part, restriction) => {
    const shards = first.answers[part]?.ask.shards ?? [];
    const conditions = restrictionConditions(parameters.facetName, restriction);
    const narrowed = { ...parameters, filter: withConditions(parameters.filter, conditions) };
    try {
      const read = {
        requests: ({ filter }: { filter: readonly number[] | null }) => [facetRequest(narrowed, filter)],
      };
      const result = await reader.read(indexUid, read, signal, () => shards);
      if (result.missing.length > 0) return undefined;
      return result.answers.map(({ responses }) => readAnswer(responses[0]).hits);
    } catch (error) {
      // Facets can be searchable though they may not be filtered by, or not by comparison.
      if (error instanceof NodeRefusedError) return undefined;
      throw error;
    }
  };
}

interface FacetAnswer {
  readonly hits: FacetHit[];
  /** As the node printed it. */
  readonly facetQuery: string;
  readonly processingTimeMs: number;
}

function readAnswer(response: NodeResponse | undefined): FacetAnswer {
  const body = response?.body ?? Buffer.from("{}");
  const members = new Map(
    objectMembers(body).map(({ key, valueStart, valueEnd }) => [
      key,
      body.toString("utf8", valueStart, valueEnd),
    ]),
  );
  return {
    hits: JSON.parse(members.get("facetHits") ?? "[]") as FacetHit[],
    facetQuery: members.get("facetQuery") ?? "null",
    processingTimeMs: Number(members.get("processingTimeMs") ?? 0),
  };
}
