import { setTimeout as sleep } from "node:timers/promises";
import type { MeilisearchHttp } from "../support/meilisearch-http.js";

/** Writes that go on in the background of a load, and what was wrong with their outcome. */
export interface SteadyWrites {
  /** Additions of documents, and indexes that came and went. */
  readonly counts: { additions: number; indexes: number };
  /** What was not as it has to be, in words. */
  readonly faults: string[];
  /** Resolves once the last write is done and checked. */
  stop(): Promise<void>;
}

/** How much is written. */
export interface SteadyWriteOptions {
  /** Additions of documents a second. */
  readonly perSecond: number;
  /** Documents of one addition. */
  readonly batch: number;
  /** Time between two indexes that are created, filled and deleted. */
  readonly indexEveryMs: number;
}

const INDEX = "written";
/** Documents of the index, which are written again and again. */
const DOCUMENTS = 1_000;
/** Time between two looks at what the writes have come to. */
const CHECK_EVERY_MS = 20_000;
/** How often a write that was refused for the moment is repeated, and after what time each. */
const ATTEMPTS = 10;
const PAUSE_MS = 1_000;
/** Faults that are remembered. */
const MOST_FAULTS = 100;
const TEXT = "a film of which nobody knows more than that it is written again and again ".repeat(3);

/**
 * Begins to write documents of one index again and again, so that its size stays, and to create and delete another index now and then. Tasks
 * have to succeed, and documents to be those that were written last.
 */
export function beginWrites(api: MeilisearchHttp, options: SteadyWriteOptions): SteadyWrites {
  const counts = { additions: 0, indexes: 0 };
  const faults: string[] = [];
  const ending = new AbortController();
  const repeat = async (everyMs: number, work: () => Promise<void>): Promise<void> => {
    for (let due = performance.now(); !ending.signal.aborted; due += everyMs) {
      await sleep(Math.max(0, due - performance.now()), undefined, { signal: ending.signal }).catch(() => {});
      await work().catch((error: unknown) => {
        if (faults.length < MOST_FAULTS) faults.push(String(error));
      });
    }
  };
  const documents = new RewrittenDocuments(api, options.batch);
  const running = [
    repeat(1_000 / options.perSecond, async () => {
      await documents.add();
      counts.additions++;
    }),
    repeat(CHECK_EVERY_MS, () => documents.check()),
    repeat(options.indexEveryMs, async () => {
      await passingIndex(api, `passing-${counts.indexes++}`);
    }),
  ];
  return {
    counts,
    faults,
    stop: async () => {
      ending.abort();
      await Promise.all(running);
      await documents.check().catch((error: unknown) => faults.push(String(error)));
    },
  };
}

class RewrittenDocuments {
  readonly #api: MeilisearchHttp;
  readonly #batch: number;
  /** The round in which each document was written last. */
  readonly #rounds = new Array<number>(DOCUMENTS).fill(-1);
  #round = 0;
  #pending: number[] = [];
  /** Additions and checks take turns, so that a check knows what has to be there. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(api: MeilisearchHttp, batch: number) {
    this.#api = api;
    this.#batch = batch;
  }

  add(): Promise<void> {
    return this.#inTurn(async () => {
      const round = this.#round++;
      const ids = Array.from({ length: this.#batch }, (_, at) => (round * this.#batch + at) % DOCUMENTS);
      const documents = ids.map((id) => ({ id, round, title: `film ${id}`, overview: TEXT }));
      const path = `/indexes/${INDEX}/documents?primaryKey=id`;
      this.#pending.push(await accepted(this.#api, "POST", path, documents));
      for (const id of ids) this.#rounds[id] = round;
    });
  }

  check(): Promise<void> {
    return this.#inTurn(async () => {
      const tasks = this.#pending;
      const last = tasks.at(-1);
      if (last === undefined) return;
      this.#pending = [];
      await this.#api.waitForTask(last);
      const { total } = await this.#api.ok<{ total: number }>(
        "GET",
        `/tasks?uids=${tasks.join(",")}&statuses=succeeded`,
      );
      if (total !== tasks.length) throw new Error(`${total} of ${tasks.length} additions have succeeded`);
      const { results } = await this.#api.ok<{ results: readonly { id: number; round: number }[] }>(
        "GET",
        `/indexes/${INDEX}/documents?limit=${DOCUMENTS}&fields=id,round`,
      );
      const found = new Map(results.map(({ id, round }) => [id, round]));
      const wrong = this.#rounds.filter((round, id) => (found.get(id) ?? -1) !== round).length;
      if (wrong > 0)
        throw new Error(`${wrong} of ${DOCUMENTS} documents are not those that were written last`);
      const search = await this.#api.ok<{ estimatedTotalHits: number }>("POST", `/indexes/${INDEX}/search`, {
        q: "film",
        limit: 5,
      });
      if (search.estimatedTotalHits !== found.size)
        throw new Error(`a search finds ${search.estimatedTotalHits} of ${found.size} documents`);
    });
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => {});
    return turn;
  }
}

/** Makes a write as clients do: again where it was refused for the moment. Resolves with its task. */
async function accepted(api: MeilisearchHttp, method: string, path: string, body?: unknown): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    const { status, text } = await api.send(method, path, body);
    if (status === 202) return (JSON.parse(text) as { readonly taskUid: number }).taskUid;
    if (status !== 503 || attempt === ATTEMPTS)
      throw new Error(`${method} ${path} answered ${status}: ${text}`);
    await sleep(PAUSE_MS);
  }
}

/** Creates an index, fills it, finds its documents and deletes it. */
async function passingIndex(api: MeilisearchHttp, uid: string): Promise<void> {
  const done = async (method: string, path: string, body?: unknown): Promise<void> => {
    await api.waitForTask(await accepted(api, method, path, body));
  };
  const path = `/indexes/${uid}`;
  const documents = Array.from({ length: 20 }, (_, id) => ({ id, title: `film ${id}` }));
  await done("POST", "/indexes", { uid, primaryKey: "id" });
  await done("POST", `${path}/documents`, documents);
  const { hits } = await api.ok<{ hits: readonly object[] }>("POST", `${path}/search`, { q: "film" });
  if (hits.length !== documents.length) throw new Error(`${uid} has ${hits.length} documents`);
  await done("DELETE", path);
  const { status } = await api.send("GET", path);
  if (status !== 404) throw new Error(`${uid} is deleted, and answers ${status}`);
}
