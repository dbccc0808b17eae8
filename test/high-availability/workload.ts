import { type HttpAnswer, meilisearchHttp } from "../support/meilisearch-http.js";

/** A request that was not answered as a client hopes. */
export interface FailedRequest {
  readonly what: string;
  readonly status: number;
  readonly text: string;
}

/** What a {@link Workload} has seen since its last look. */
export interface Observation {
  readonly writes: number;
  readonly searches: number;
  readonly taskReads: number;
  readonly failed: readonly FailedRequest[];
  /** The longest that a request took, in milliseconds. */
  readonly slowestWriteMs: number;
  readonly slowestSearchMs: number;
}

/** Pause of each client between two requests, in milliseconds. */
const PAUSE_MS = 20;
const INDEX = "films";

/** Clients that write, search and read tasks without end, through several proxies; what was acknowledged is remembered. */
export class Workload {
  /** Documents whose write was answered 202, with its task. */
  readonly acknowledged = new Map<number, number>();
  readonly #urls: readonly string[];
  readonly #stop = new AbortController();
  #running: Promise<unknown> = Promise.resolve();
  #failed: FailedRequest[] = [];
  #writes = 0;
  #searches = 0;
  #taskReads = 0;
  #slowestWriteMs = 0;
  #slowestSearchMs = 0;

  constructor(urls: readonly string[]) {
    this.#urls = urls;
  }

  /** Makes the index, and starts a writer, a searcher and a reader of tasks at each proxy. */
  async start(): Promise<void> {
    const [url] = this.#urls;
    if (url === undefined) throw new Error("a workload takes a proxy");
    const api = meilisearchHttp(url);
    const { taskUid } = await api.ok<{ taskUid: number }>("POST", "/indexes", {
      uid: INDEX,
      primaryKey: "id",
    });
    await api.waitForTask(taskUid);
    this.#running = Promise.all(
      this.#urls.flatMap((each, at) => [
        this.#write(each, at + 1),
        this.#search(each),
        this.#readTasks(each),
      ]),
    );
  }

  /** What happened since the last look. */
  look(): Observation {
    const seen = {
      writes: this.#writes,
      searches: this.#searches,
      taskReads: this.#taskReads,
      failed: this.#failed,
      slowestWriteMs: Math.round(this.#slowestWriteMs),
      slowestSearchMs: Math.round(this.#slowestSearchMs),
    };
    this.#failed = [];
    this.#writes = this.#searches = this.#taskReads = 0;
    this.#slowestWriteMs = this.#slowestSearchMs = 0;
    return seen;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** Acknowledged documents that are not there, and acknowledged tasks that have not succeeded; empty where nothing was lost. */
  async lost(): Promise<readonly string[]> {
    const api = meilisearchHttp(this.#urls[0] ?? "");
    for (const task of this.acknowledged.values()) await api.waitForTask(task);
    const ids = [...this.acknowledged.keys()];
    const { results } = await api.ok<{ results: { id: number }[] }>(
      "POST",
      `/indexes/${INDEX}/documents/fetch`,
      {
        ids,
        limit: ids.length,
      },
    );
    const found = new Set(results.map(({ id }) => id));
    return ids
      .filter((id) => !found.has(id))
      .map((id) => `document ${id}, task ${this.acknowledged.get(id)}`);
  }

  async #write(url: string, writer: number): Promise<void> {
    const api = meilisearchHttp(url);
    for (let id = writer * 1_000_000; !this.#stop.signal.aborted; id++) {
      const began = performance.now();
      const answer = await attempt(() =>
        api.send("POST", `/indexes/${INDEX}/documents`, [{ id, title: `film ${id}` }]),
      );
      this.#slowestWriteMs = Math.max(this.#slowestWriteMs, performance.now() - began);
      this.#writes += 1;
      if (answer.status === 202)
        this.acknowledged.set(id, (JSON.parse(answer.text) as { taskUid: number }).taskUid);
      else this.#note(`writing document ${id}`, answer);
      await pause();
    }
  }

  async #search(url: string): Promise<void> {
    const api = meilisearchHttp(url);
    while (!this.#stop.signal.aborted) {
      const began = performance.now();
      const answer = await attempt(() => api.send("POST", `/indexes/${INDEX}/search`, { q: "film" }));
      this.#slowestSearchMs = Math.max(this.#slowestSearchMs, performance.now() - began);
      this.#searches += 1;
      if (answer.status !== 200) this.#note("searching", answer);
      await pause();
    }
  }

  async #readTasks(url: string): Promise<void> {
    const api = meilisearchHttp(url);
    while (!this.#stop.signal.aborted) {
      const newest = [...this.acknowledged.values()].at(-1);
      if (newest !== undefined) {
        const answer = await attempt(() => api.send("GET", `/tasks/${newest}`));
        this.#taskReads += 1;
        if (answer.status !== 200) this.#note(`reading task ${newest}`, answer);
      }
      await pause();
    }
  }

  #note(what: string, { status, text }: HttpAnswer): void {
    this.#failed.push({ what, status, text: text.slice(0, 300) });
  }
}

/** A connection that breaks is an answer like any other here: one that a client does not hope for. */
async function attempt(send: () => Promise<HttpAnswer>): Promise<HttpAnswer> {
  try {
    return await send();
  } catch (error) {
    return { status: 0, headers: {}, text: String(error) };
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}
