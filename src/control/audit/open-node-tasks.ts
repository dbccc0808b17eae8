import type { NodeId, NodeTaskUid, TaskStore } from "../../store/task-store.js";

/** Tasks read from the store at once. */
const PAGE = 10_000;

/** Uids of one node's registered tasks that are not final, and who waits until they are. */
export class OpenNodeTasks {
  readonly #uids = new Set<number>();
  #waiting: { readonly uids: ReadonlySet<number>; readonly resolve: () => void }[] = [];

  /** How many there are. */
  get size(): number {
    return this.#uids.size;
  }

  has(uid: number): boolean {
    return this.#uids.has(uid);
  }

  /** All of them, in the order in which they came. */
  uids(): number[] {
    return [...this.#uids];
  }

  /** The highest of them; -1 where there is none. */
  highest(): number {
    let highest = -1;
    for (const uid of this.#uids) highest = Math.max(highest, uid);
    return highest;
  }

  add(uid: number): void {
    this.#uids.add(uid);
  }

  delete(uid: number): void {
    this.#uids.delete(uid);
  }

  clear(): void {
    this.#uids.clear();
  }

  /** Adds those that are recorded. Rejects with the store's error. */
  async load(store: TaskStore, nodeId: NodeId): Promise<void> {
    let after: NodeTaskUid | undefined;
    for (;;) {
      const page = await store.tasks.openNodeTasks(nodeId, {
        limit: PAGE,
        ...(after === undefined ? {} : { after }),
      });
      for (const task of page) this.#uids.add(task.nodeTaskUid);
      after = page.at(-1)?.nodeTaskUid;
      if (page.length < PAGE) break;
    }
  }

  /** Resolves when every task that is open now is final, or with {@link releaseAll}. */
  settled(): Promise<void> {
    if (this.#uids.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ uids: new Set(this.#uids), resolve }));
  }

  /** Resolves what waits for tasks that are all final by now. */
  releaseSettled(): void {
    this.#waiting = this.#waiting.filter(({ uids, resolve }) => {
      if ([...uids].some((uid) => this.#uids.has(uid))) return true;
      resolve();
      return false;
    });
  }

  /** Resolves everything that waits, because nobody looks at the tasks any more. */
  releaseAll(): void {
    for (const { resolve } of this.#waiting) resolve();
    this.#waiting = [];
  }
}
