import type { MeilisearchErrorBody } from "../../meilisearch/errors.js";
import type { NodeClient, NodeTaskPage, NodeTaskRecord } from "../../meilisearch/node-client.js";
import { type TaskErrorRow, type TaskType, taskTypes } from "../../store/task-store.js";

/** Tasks of one page; a request for more costs the node's only a longer answer. */
export const PAGE = 1_000;

const REQUEST_TIMEOUT_MS = 5_000;
const FINAL = "succeeded,failed,canceled";

/** Reads one node's task log. Every method is one request, or one for each full page. */
export class NodeLog {
  readonly #client: () => NodeClient;
  readonly #onRequest: () => void;

  constructor(client: () => NodeClient, onRequest: () => void) {
    this.#client = client;
    this.#onRequest = onRequest;
  }

  /**
   * Finished tasks with uids from `from` on, oldest first, page by page. With `finishedAfter` only those that finished
   * later; a node finishes batch by batch, so that what is finished at one request never grows older tasks.
   */
  async *finished(
    from: number,
    finishedAfter: string | undefined,
  ): AsyncGenerator<readonly NodeTaskRecord[], void, undefined> {
    const filter = finishedAfter === undefined ? {} : { afterFinishedAt: finishedAfter };
    let next: number | null = from;
    while (next !== null) {
      const page = await this.#tasks({ statuses: FINAL, reverse: true, from: next, limit: PAGE, ...filter });
      if (page.results.length > 0) yield page.results;
      next = page.next;
    }
  }

  /** Tasks under way that started after `startedAfter`; at most one page. */
  async processing(startedAfter: string | undefined): Promise<readonly NodeTaskRecord[]> {
    const filter = startedAfter === undefined ? {} : { afterStartedAt: startedAfter };
    return (await this.#tasks({ statuses: "processing", reverse: true, limit: PAGE, ...filter })).results;
  }

  /** The oldest unfinished task; undefined where there is none. */
  async oldestUnfinished(): Promise<NodeTaskRecord | undefined> {
    return (await this.#tasks({ statuses: "enqueued,processing", reverse: true, limit: 1 })).results[0];
  }

  /** Unfinished tasks, oldest first, at most `pages` pages of them. */
  async listUnfinished(pages: number): Promise<readonly NodeTaskRecord[]> {
    const found: NodeTaskRecord[] = [];
    let from = 0;
    for (let at = 0; at < pages; at += 1) {
      const page = await this.#tasks({ statuses: "enqueued,processing", reverse: true, from, limit: PAGE });
      found.push(...page.results);
      if (page.next === null) break;
      from = page.next;
    }
    return found;
  }

  /** The newest task; undefined in an empty log. */
  async newest(): Promise<NodeTaskRecord | undefined> {
    return (await this.#tasks({ limit: 1 })).results[0];
  }

  /** One task by uid; undefined where the log has none. */
  async find(uid: number): Promise<NodeTaskRecord | undefined> {
    return (await this.#tasks({ uids: uid, limit: 1 })).results[0];
  }

  /** Tasks by uid, at most {@link PAGE} of them; the log may have dropped some. */
  async findMany(uids: readonly number[]): Promise<readonly NodeTaskRecord[]> {
    if (uids.length === 0) return [];
    return (await this.#tasks({ uids: uids.join(","), limit: PAGE })).results;
  }

  /** Whether tasks were deleted from the log by a task with a higher uid. */
  async wasPrunedAfter(uid: number): Promise<boolean> {
    const page = await this.#tasks({ types: "taskDeletion", limit: 1 });
    const newest = page.results[0];
    return newest !== undefined && newest.uid > uid;
  }

  /** Deletes finished tasks that were enqueued before a time. */
  async prune(enqueuedBefore: string): Promise<void> {
    this.#onRequest();
    const query = new URLSearchParams({ statuses: FINAL, beforeEnqueuedAt: enqueuedBefore });
    await this.#client().json({ method: "DELETE", path: `/tasks?${query}` });
  }

  async #tasks(query: Readonly<Record<string, string | number | boolean>>): Promise<NodeTaskPage> {
    this.#onRequest();
    const text = new URLSearchParams(
      Object.entries(query).map(([name, value]): [string, string] => [name, String(value)]),
    );
    const request = { method: "GET", path: `/tasks?${text}`, timeoutMs: REQUEST_TIMEOUT_MS } as const;
    return (await this.#client().json(request)) as NodeTaskPage;
  }
}

/** A node's error object in the store's form. */
export function errorRow(error: MeilisearchErrorBody | null): TaskErrorRow | null {
  if (error === null) return null;
  const { message, code, type, link } = error;
  return { message, code, type, link };
}

/** The store's name of a node task's type; undefined for types that Miroir never causes. */
export function knownType(type: string): TaskType | undefined {
  return taskTypes.find((known) => known === type);
}
