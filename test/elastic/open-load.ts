import { Pool } from "undici";

/** One request as a client saw it. Times are milliseconds of the monotonic clock. */
export interface SeenRequest {
  readonly kind: "write" | "search";
  readonly sentAt: number;
  readonly answeredAt: number;
  /** Empty where it was answered as it should be. */
  readonly fault: string;
}

/** How much a load asks for. */
export interface OpenLoadOptions {
  readonly url: string;
  readonly index: string;
  /** Write requests a second, sent whether or not earlier ones were answered. */
  readonly writesPerSecond: number;
  /** Documents of a write. */
  readonly documentsPerWrite: number;
  /** Searches a second, sent likewise. */
  readonly searchesPerSecond: number;
  /** The first id that the load makes itself; those below are the corpus, whose documents it updates. */
  readonly firstId: number;
}

/** A load under way. */
export interface OpenLoad {
  /** Every request that was answered so far. */
  readonly seen: readonly SeenRequest[];
  /** Ids of documents that the load added and did not delete, by what their `round` must be in the end. */
  readonly expected: ReadonlyMap<number, number>;
  /** Uids of the tasks that writes became. */
  readonly tasks: readonly number[];
  /** Sends no more and resolves when everything sent was answered. */
  stop(): Promise<void>;
}

const WORDS = ["love", "war", "night", "city", "dark", "story", "life", "man", "world", "secret"];

/**
 * Writes and searches at fixed rates, as clients do that know nothing of each other: a fleet that stops for a moment gets all the
 * requests of that moment at once. Of ten writes six add documents, two change some of those partly, one deletes some, and one changes
 * documents of the corpus partly. Nothing is sent twice.
 */
export function startOpenLoad(options: OpenLoadOptions): OpenLoad {
  const pool = new Pool(options.url, { connections: 64, headersTimeout: 60_000, bodyTimeout: 60_000 });
  const seen: SeenRequest[] = [];
  const expected = new Map<number, number>();
  const tasks: number[] = [];
  const open = new Set<Promise<void>>();
  /** Ids that a write under way touches: another one could overtake it. */
  const busy = new Set<number>();
  const recent: number[] = [];
  const path = `/indexes/${options.index}`;
  let next = options.firstId;
  let round = 0;

  const send = (
    kind: SeenRequest["kind"],
    method: "POST" | "PUT",
    target: string,
    body: unknown,
    ids: readonly number[] = [],
  ): void => {
    for (const id of ids) busy.add(id);
    const sentAt = performance.now();
    const request = pool
      .request({
        method,
        path: target,
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      })
      .then(async (answer) => {
        const text = await answer.body.text();
        const isRight = answer.statusCode === (kind === "write" ? 202 : 200);
        if (isRight && kind === "write") tasks.push((JSON.parse(text) as { taskUid: number }).taskUid);
        const degraded = answer.headers["x-miroir-degraded"];
        if (isRight && degraded !== undefined) return `degraded: ${String(degraded)}`;
        return isRight ? "" : `${answer.statusCode} ${text.slice(0, 300)}`;
      })
      .catch((error: unknown) => (error instanceof Error ? error.message : String(error)))
      .then((fault) => {
        for (const id of ids) busy.delete(id);
        seen.push({ kind, sentAt, answeredAt: performance.now(), fault });
      });
    open.add(request);
    void request.finally(() => open.delete(request));
  };

  const write = (): void => {
    const turn = round++ % 10;
    const count = options.documentsPerWrite;
    recent.splice(0, Math.max(0, recent.length - 20 * count));
    const settled = recent.filter((id) => !busy.has(id) && expected.has(id)).slice(0, count);
    if (turn < 6 || settled.length < count) {
      const documents = Array.from({ length: count }, () => ({ id: next++, title: title(next), round }));
      const ids = documents.map(({ id }) => id);
      for (const id of ids) expected.set(id, round);
      recent.push(...ids);
      send("write", "POST", `${path}/documents`, documents, ids);
    } else if (turn < 8) {
      for (const id of settled) expected.set(id, round);
      const changes = settled.map((id) => ({ id, round }));
      send("write", "PUT", `${path}/documents`, changes, settled);
    } else if (turn === 8) {
      for (const id of settled) expected.delete(id);
      send("write", "POST", `${path}/documents/delete-batch`, settled, settled);
    } else {
      const ids = Array.from({ length: count }, (_, i) => (round * 31 + i * 7) % options.firstId);
      const changes = [...new Set(ids)].map((id) => ({ id, round }));
      send("write", "PUT", `${path}/documents`, changes);
    }
  };
  const search = (): void =>
    send("search", "POST", `${path}/search`, {
      q: WORDS[round % WORDS.length],
      limit: 20,
      attributesToRetrieve: ["id"],
    });

  const timers = [
    setInterval(write, 1_000 / options.writesPerSecond),
    setInterval(search, 1_000 / options.searchesPerSecond),
  ];
  return {
    seen,
    expected,
    tasks,
    async stop() {
      for (const timer of timers) clearInterval(timer);
      await Promise.all(open);
      await pool.close();
    },
  };
}

function title(number: number): string {
  return `${WORDS[number % WORDS.length]} ${WORDS[Math.floor(number / 10) % WORDS.length]} ${number}`;
}
