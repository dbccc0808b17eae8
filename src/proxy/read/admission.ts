import type { MeilisearchError } from "../../meilisearch/errors.js";

/** Limits how much runs at once: some run, some wait their turn, the rest is turned away. */
export interface Admission {
  /**
   * Runs `work` when its turn has come.
   *
   * @throws MeilisearchError of `full` where too many wait already; the signal's reason where it aborts first
   */
  run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T>;
  readonly running: number;
  readonly waiting: number;
}

interface Waiter {
  readonly start: () => void;
  gone: boolean;
}

/** First come, first served. */
export function createAdmission(
  maxRunning: number,
  maxWaiting: number,
  full: () => MeilisearchError,
): Admission {
  const queue: Waiter[] = [];
  let running = 0;
  let waiting = 0;

  const next = (): void => {
    running--;
    for (let waiter = queue.shift(); waiter !== undefined; waiter = queue.shift()) {
      if (waiter.gone) continue;
      waiting--;
      running++;
      waiter.start();
      return;
    }
  };

  const turn = (signal: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      const waiter: Waiter = {
        gone: false,
        start: () => {
          signal.removeEventListener("abort", onAbort);
          resolve();
        },
      };
      const onAbort = (): void => {
        waiter.gone = true;
        waiting--;
        reject(signal.reason);
      };
      signal.addEventListener("abort", onAbort, { once: true });
      waiting++;
      queue.push(waiter);
    });

  return {
    get running() {
      return running;
    },
    get waiting() {
      return waiting;
    },
    async run(signal, work) {
      signal.throwIfAborted();
      if (running < maxRunning) running++;
      else if (waiting >= maxWaiting) throw full();
      else await turn(signal);
      try {
        return await work();
      } finally {
        next();
      }
    },
  };
}
