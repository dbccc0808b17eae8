import { createEmbeddedNode } from "../../src/embedded/node.js";
import {
  askBody,
  type IndexFacts,
  mergeSearch,
  planSearch,
  type SearchParameters,
} from "../../src/merge/index.js";
import { SEQUENCE_FIELD, SHARD_FIELD, sequenceCode, shardCode } from "../../src/placement/injected-fields.js";
import { fillIndex } from "../support/fill-index.js";
import { type MeilisearchHttp, meilisearchHttp } from "../support/meilisearch-http.js";
import { seededRandom } from "../support/random.js";
import { COMMON_WORDS, madeUpDocuments } from "./documents.js";
import { timeWork, type WorkTime } from "./in-process.js";

/** How merging is measured. */
export interface MergeBenchOptions {
  /** Nodes that have answered. */
  readonly parts: number;
  /** Hits that each of them gave. */
  readonly hits: number;
  readonly hitBytes: number;
  readonly durationMs: number;
  readonly repeats: number;
}

/** From the parts' bytes to the bytes of one page. */
export interface MergeRow {
  readonly page: string;
  /** Bytes of all parts' answers together. */
  readonly bytes: number;
  readonly time: WorkTime;
}

const FACTS: IndexFacts = {
  uid: "films",
  primaryKey: "id",
  distinctAttribute: null,
  distinctAttributeIsFilterable: false,
  displayedAttributes: null,
  maxTotalHits: 1_000_000,
  maxValuesPerFacet: 100,
  sortFacetValuesBy: {},
};

const RULES = ["words", "typo", "proximity", "attribute", "sort", "exactness"];

/** Merges what nodes answered: pages of 20 and one as long as a part's own list, beside a merge that parses everything. */
export async function benchMerge(options: MergeBenchOptions): Promise<MergeRow[]> {
  const { hits } = options;
  const [q = ""] = COMMON_WORDS;
  const pages: readonly (readonly [name: string, query: SearchParameters])[] = [
    ["the first 20 of them", { q, limit: 20 }],
    ["the last 20 of them", { q, offset: hits - 20, limit: 20 }],
    [`the first ${hits}`, { q, limit: hits }],
  ];
  const cases = await withParts(options, async (indexes) => {
    const found = [];
    for (const [page, query] of pages) {
      const plan = planSearch(query, FACTS);
      const [ask] = plan.asks;
      if (ask === undefined || plan.asks.length > 1) throw new Error("a plain search takes one ask");
      const answers: Buffer[] = [];
      // As many as are wanted of each part, however few of them the page needs.
      const body = askBody({ ...ask, body: { ...ask.body, limit: hits } }, null);
      for (const search of indexes) answers.push(await search(body));
      found.push({ page, query, plan, answers });
    }
    return found;
  });
  const works = cases.flatMap(({ page, query, plan, answers }) => {
    const parts = answers.map((answer) => ({ answers: [answer] }));
    return [
      { name: page, answers, run: () => mergeSearch(plan, parts) },
      { name: `${page}, parsed and printed`, answers, run: () => parsedAndPrinted(answers, query) },
    ];
  });
  const times = timeWork(works, options);
  return works.flatMap(({ name, answers }) => {
    const time = times.get(name);
    const bytes = answers.reduce((sum, answer) => sum + answer.length, 0);
    return time === undefined ? [] : [{ page: name, bytes, time }];
  });
}

/** Makes an index for each part on a node in this process, as a fleet would, and gives `use` a way to search each. */
async function withParts<T>(
  { parts, hits, hitBytes }: MergeBenchOptions,
  use: (indexes: readonly ((body: string) => Promise<Buffer>)[]) => Promise<T>,
): Promise<T> {
  const node = await createEmbeddedNode();
  try {
    const api = meilisearchHttp(node.url);
    const searches: ((body: string) => Promise<Buffer>)[] = [];
    // Each document holds a common word with a fair chance, so that twice as many as are asked for have the one searched for.
    const documents = madeUpDocuments(parts * hits * 2, hitBytes, seededRandom(5)).map((document, at) => ({
      ...document,
      title: at % 2 === 0 ? `${COMMON_WORDS[0]} ${at}` : document.title,
      [SHARD_FIELD]: shardCode(at % 64),
      [SEQUENCE_FIELD]: sequenceCode(at),
    }));
    for (let part = 0; part < parts; part++) {
      const mine = documents.filter((_, at) => Math.floor(at / 2) % parts === part);
      searches.push(await partOf(api, `part-${part}`, mine));
    }
    return await use(searches);
  } finally {
    await node.close();
  }
}

async function partOf(
  api: MeilisearchHttp,
  index: string,
  documents: readonly object[],
): Promise<(body: string) => Promise<Buffer>> {
  const { taskUid } = await api.ok<{ taskUid: number }>("PATCH", `/indexes/${index}/settings`, {
    rankingRules: [...RULES, `${SEQUENCE_FIELD}:asc`],
    filterableAttributes: [SHARD_FIELD],
    pagination: { maxTotalHits: FACTS.maxTotalHits },
  });
  await api.waitForTask(taskUid);
  await fillIndex(api, index, documents);
  return async (body) => Buffer.from((await api.send("POST", `/indexes/${index}/search`, body)).text);
}

interface ParsedAnswer {
  readonly hits: readonly { readonly _rankingScoreDetails: Readonly<Record<string, { score?: number }>> }[];
}

/** What a proxy would do that knows nothing but JSON. */
function parsedAndPrinted(answers: readonly Buffer[], { offset, limit }: SearchParameters): Buffer {
  const parsed = answers.map((answer) => JSON.parse(answer.toString()) as ParsedAnswer);
  const hits = parsed.flatMap((answer) => answer.hits);
  hits.sort((a, b) => {
    for (const [name, { score = 0 }] of Object.entries(a._rankingScoreDetails)) {
      const difference = (b._rankingScoreDetails[name]?.score ?? 0) - score;
      if (difference !== 0) return difference;
    }
    return 0;
  });
  const from = offset ?? 0;
  return Buffer.from(JSON.stringify({ ...parsed[0], hits: hits.slice(from, from + (limit ?? 20)) }));
}
