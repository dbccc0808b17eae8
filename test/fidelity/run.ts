import type { MeilisearchHttp } from "../support/meilisearch-http.js";
import type { SeededRandom } from "../support/random.js";
import { compareAnswers, type SearchAnswer } from "./compare.js";
import { type CorpusDocument, corpusShape, createRequestGenerator } from "./requests.js";

/** What a fidelity run works with. */
export interface FidelityOptions {
  readonly whole: MeilisearchHttp;
  readonly fleet: MeilisearchHttp;
  readonly documents: readonly CorpusDocument[];
  readonly primaryKey: string;
  /** The index that holds the corpus on both sides. */
  readonly index: string;
  readonly random: SeededRandom;
  readonly count: number;
  /** Load the corpus into both sides first. */
  readonly load: boolean;
  /** Hears of each request that is not identical. */
  note(line: string): void;
}

/** Figures of one kind of request. */
export interface FidelityRow {
  readonly kind: string;
  cases: number;
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

/** The result of a run: a request fails where its order, or the content of a hit, is wrong. */
export interface FidelityReport {
  readonly rows: readonly FidelityRow[];
  /** One line for each request whose nodes scored differently. */
  readonly named: readonly string[];
  readonly passed: number;
  readonly failed: number;
}

const BATCH = 1_000;
const DEEP_PAGE = 1_000;

/** Loads the corpus where asked to, sends every request to both sides and compares the answers. */
export async function runFidelity(options: FidelityOptions): Promise<FidelityReport> {
  const shape = corpusShape(options.documents, options.primaryKey);
  if (options.load)
    await Promise.all([options.whole, options.fleet].map((server) => load(server, options, shape.settings)));
  const next = createRequestGenerator(options.documents, shape, options.primaryKey, options.random);
  const rows = new Map<string, FidelityRow>();
  const named: string[] = [];
  let failed = 0;
  for (let at = 0; at < options.count; at++) {
    const request = next();
    const row = rows.get(request.kind) ?? emptyRow(request.kind);
    rows.set(request.kind, row);
    row.cases++;
    const body = { ...request.body, showRankingScoreDetails: true };
    const [fleet, whole] = await Promise.all(
      [options.fleet, options.whole].map((server) =>
        server.send("POST", `/indexes/${options.index}/search`, body),
      ),
    );
    if (fleet === undefined || whole === undefined) throw new Error("no answer");
    if (fleet.status !== 200 || whole.status !== 200) {
      const same = fleet.status === whole.status && fleet.text === whole.text;
      if (same) row.identical++;
      else {
        row.wrong++;
        failed++;
        options.note(
          `${request.kind} ${JSON.stringify(request.body)}: status ${fleet.status} ${fleet.text} instead of ${whole.status} ${whole.text}`,
        );
      }
      continue;
    }
    const deep = await options.whole.ok<SearchAnswer>(
      "POST",
      `/indexes/${options.index}/search`,
      deepPage(body),
    );
    const comparison = compareAnswers(
      JSON.parse(fleet.text) as SearchAnswer,
      JSON.parse(whole.text) as SearchAnswer,
      deep,
      options.primaryKey,
      request.body.matchingStrategy === "frequency",
    );
    if (comparison.contents !== "different") row.contents++;
    if (comparison.contents === "highlighted-differently") row.highlights++;
    if (comparison.totals) row.totals++;
    if (comparison.facets !== undefined) row.facetCases++;
    if (comparison.facets === true) row.facets++;
    const label = `${request.kind} ${JSON.stringify(request.body)}`;
    switch (comparison.order.verdict) {
      case "identical":
        row.identical++;
        break;
      case "equal-up-to-ties":
        row.ties++;
        options.note(`${label}: equal up to ties`);
        break;
      case "scored-differently":
        row.scoredDifferently++;
        named.push(`${label}: nodes score differently (${comparison.order.rules.join(", ")})`);
        break;
      case "wrong":
        row.wrong++;
        options.note(`${label}: ${comparison.order.reason}`);
        break;
    }
    if (!comparison.totals) options.note(`${label}: totals differ`);
    if (comparison.facets === false) options.note(`${label}: facets differ`);
    if (comparison.contents === "different") options.note(`${label}: contents differ`);
    if (comparison.contents === "highlighted-differently") {
      named.push(`${label}: nodes highlight a word with typos differently`);
    }
    if (comparison.order.verdict === "wrong" || comparison.contents === "different") failed++;
  }
  return {
    rows: [...rows.values()].sort((left, right) => (left.kind < right.kind ? -1 : 1)),
    named,
    passed: options.count - failed,
    failed,
  };
}

/** All that matches, also what distinct takes away: score details of documents that only the fleet shows. */
function deepPage(body: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { page, hitsPerPage, offset, limit, facets, distinct, ...rest } = body;
  return { ...rest, limit: DEEP_PAGE };
}

async function load(
  server: MeilisearchHttp,
  options: FidelityOptions,
  settings: Readonly<Record<string, unknown>>,
): Promise<void> {
  const tasks: number[] = [];
  const enqueue = async (method: string, path: string, body: unknown): Promise<void> => {
    tasks.push((await server.ok<{ taskUid: number }>(method, path, body)).taskUid);
  };
  await enqueue("POST", "/indexes", { uid: options.index, primaryKey: options.primaryKey });
  await enqueue("PATCH", `/indexes/${options.index}/settings`, settings);
  for (let start = 0; start < options.documents.length; start += BATCH) {
    await enqueue(
      "POST",
      `/indexes/${options.index}/documents`,
      options.documents.slice(start, start + BATCH),
    );
  }
  for (const task of tasks) await server.waitForTask(task);
}

function emptyRow(kind: string): FidelityRow {
  return {
    kind,
    cases: 0,
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
}
