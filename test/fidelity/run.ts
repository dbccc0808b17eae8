import { findMember } from "../../src/json/members.js";
import type { MeilisearchHttp } from "../support/meilisearch-http.js";
import { seededRandom } from "../support/random.js";
import { type Cause, Causes } from "./causes.js";
import { type Comparison, compareAnswers, type SearchAnswer, sharesDocuments } from "./compare.js";
import { type FidelityReport, ReportBuilder } from "./report.js";
import {
  type CorpusDocument,
  type CorpusShape,
  corpusShape,
  createRequestGenerator,
  type FidelityRequest,
} from "./requests.js";

/** What a fidelity run works with. */
export interface FidelityOptions {
  readonly whole: MeilisearchHttp;
  readonly fleet: MeilisearchHttp;
  readonly documents: readonly CorpusDocument[];
  readonly primaryKey: string;
  /** Settings besides those that the requests need. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** The index that holds the corpus on both sides. */
  readonly index: string;
  /** One series of requests for each. */
  readonly seeds: readonly number[];
  /** Requests for each seed. */
  readonly count: number;
  /** Send requests of these kinds alone; all unless given. */
  readonly kinds?: readonly string[] | undefined;
  /** Load the corpus into both sides first. */
  readonly load: boolean;
  /** Hears of each request that is not identical. */
  note(line: string): void;
}

const BATCH = 1_000;
const DEEP_PAGE = 1_000;

/** Loads the corpus where asked to, sends every request to both sides and compares the answers. */
export async function runFidelity(options: FidelityOptions): Promise<FidelityReport> {
  const shape = corpusShape(options.documents, options.primaryKey);
  if (options.load)
    await Promise.all([options.whole, options.fleet].map((server) => load(server, options, shape)));
  const run = new FidelityRun(options);
  for (const seed of options.seeds) {
    const next = createRequestGenerator(options.documents, shape, options.primaryKey, seededRandom(seed));
    for (let at = 0; at < options.count; at++) {
      const request = next();
      if (options.kinds?.includes(request.kind) !== false) await run.compare(request, seed);
    }
  }
  return run.report.finished();
}

class FidelityRun {
  readonly report = new ReportBuilder();
  #causes: Causes | undefined;

  constructor(private readonly options: FidelityOptions) {}

  async compare(request: FidelityRequest, seed: number): Promise<void> {
    const label = `${request.kind} ${JSON.stringify(request.body)}`;
    const isWrong = request.kind === "wrong";
    const compared = await this.#ask(
      isWrong ? request.body : { ...request.body, showRankingScoreDetails: true },
    );
    if ("refusal" in compared) {
      this.report.refusal(request.kind, compared.refusal === undefined);
      if (compared.refusal !== undefined) this.options.note(`[${seed}] ${label}: ${compared.refusal}`);
      return;
    }
    const { comparison } = isWrong ? compared : await this.#explained(request.body, compared);
    const cause =
      comparison.order.verdict === "scored-differently"
        ? await this.#causeOf(request.body, comparison.order.rules)
        : undefined;
    for (const line of this.report.comparison(request.kind, label, comparison, cause)) {
      this.options.note(`[${seed}] ${line}`);
    }
  }

  /** What looks wrong on a later page can come from a document in front of it that nodes score differently. */
  async #explained(
    body: FidelityRequest["body"],
    compared: { readonly comparison: Comparison },
  ): Promise<{ readonly comparison: Comparison }> {
    const { page, hitsPerPage, offset, limit, ...rest } = body;
    const end =
      page === undefined
        ? Number(offset ?? 0) + Number(limit ?? 20)
        : Number(page) * Number(hitsPerPage ?? 20);
    const isLaterPage = page !== undefined || offset !== undefined;
    if (compared.comparison.order.verdict !== "wrong" || !isLaterPage) return compared;
    const before = await this.#ask({ ...rest, limit: end, showRankingScoreDetails: true });
    if (!("comparison" in before) || before.comparison.order.verdict !== "scored-differently")
      return compared;
    return { comparison: { ...compared.comparison, order: before.comparison.order } };
  }

  async #causeOf(body: FidelityRequest["body"], rules: readonly string[]): Promise<Cause> {
    this.#causes ??= new Causes(this.options.documents);
    return await this.#causes.of({
      body,
      rules,
      agreesWithoutPrefix: async () => {
        const closed = await this.#ask({ ...body, q: `${String(body.q)} `, showRankingScoreDetails: true });
        return "comparison" in closed && closed.comparison.order.verdict !== "scored-differently";
      },
    });
  }

  async #ask(
    body: Readonly<Record<string, unknown>>,
  ): Promise<{ readonly comparison: Comparison } | { readonly refusal: string | undefined }> {
    const { options } = this;
    const path = `/indexes/${options.index}/search`;
    const [fleet, whole] = await Promise.all([
      options.fleet.send("POST", path, body),
      options.whole.send("POST", path, body),
    ]);
    if (fleet.status !== 200 || whole.status !== 200) {
      const same = fleet.status === whole.status && fleet.text === whole.text;
      const refusal = `status ${fleet.status} ${fleet.text} instead of ${whole.status} ${whole.text}`;
      return { refusal: same ? undefined : refusal };
    }
    const answers = [answerOf(fleet.text), answerOf(whole.text)] as const;
    // What nodes say of documents that only one side shows takes all that match.
    const deep = sharesDocuments(...answers, options.primaryKey)
      ? answers[1]
      : await options.whole.ok<SearchAnswer>("POST", path, deepPage(body));
    const byNodeFrequency = body.matchingStrategy === "frequency";
    return { comparison: compareAnswers(...answers, deep, options.primaryKey, byNodeFrequency) };
  }
}

/** An answer whose facets are still the text that was sent, which alone has the order of its labels. */
function answerOf(text: string): SearchAnswer {
  const bytes = Buffer.from(text);
  const answer = JSON.parse(text) as SearchAnswer;
  const raw = (name: string): Record<string, string> => {
    const member = findMember(bytes, name);
    return member === undefined ? {} : { [name]: bytes.toString("utf8", member.valueStart, member.valueEnd) };
  };
  return { ...answer, ...raw("facetDistribution"), ...raw("facetStats") };
}

/** All that matches, also what distinct takes away: score details of documents that only the fleet shows. */
function deepPage(body: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { page, hitsPerPage, offset, limit, facets, distinct, ...rest } = body;
  return { ...rest, limit: DEEP_PAGE };
}

async function load(server: MeilisearchHttp, options: FidelityOptions, shape: CorpusShape): Promise<void> {
  const tasks: number[] = [];
  const enqueue = async (method: string, path: string, body: unknown): Promise<void> => {
    tasks.push((await server.ok<{ taskUid: number }>(method, path, body)).taskUid);
  };
  await enqueue("POST", "/indexes", { uid: options.index, primaryKey: options.primaryKey });
  await enqueue("PATCH", `/indexes/${options.index}/settings`, { ...shape.settings, ...options.settings });
  for (let start = 0; start < options.documents.length; start += BATCH) {
    await enqueue(
      "POST",
      `/indexes/${options.index}/documents`,
      options.documents.slice(start, start + BATCH),
    );
  }
  for (const task of tasks) await server.waitForTask(task, LOAD_TIMEOUT_MS);
}

const LOAD_TIMEOUT_MS = 900_000;
