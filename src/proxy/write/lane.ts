import { writesOverloaded } from "./refusals.js";

/** Runs the writes of one index one after another, in the order in which they came (invariant 6). */
export class Lane {
  private tail: Promise<unknown> = Promise.resolve();
  private count = 0;

  constructor(private readonly maxQueued: number) {}

  /** Waiting and under way. */
  get length(): number {
    return this.count;
  }

  /**
   * Runs `work` when everything before it is done.
   *
   * @param signal takes the work back as long as it has not begun
   * @param isOwn Miroir's own work, of which there is little: it waits in a full lane, too
   * @throws MeilisearchError 503 at once where the lane is full (invariant 12)
   */
  async run<T>(signal: AbortSignal, work: () => Promise<T>, isOwn = false): Promise<T> {
    if (!isOwn && this.count >= this.maxQueued) {
      throw writesOverloaded(`${this.count} writes to the index are waiting, as many as may`);
    }
    this.count++;
    const turn = this.tail.then(async () => {
      signal.throwIfAborted();
      return work();
    });
    this.tail = turn.then(
      () => undefined,
      () => undefined,
    );
    try {
      return await turn;
    } finally {
      this.count--;
    }
  }
}
