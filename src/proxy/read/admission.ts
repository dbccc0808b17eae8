import type { MeilisearchError } from "../../meilisearch/errors.js";
import type { Timer, World } from "../../runtime/world.js";

/** Limits how much runs at once: some run, some wait their turn, the rest is turned away. */
export interface Admission {
  /**
   * Runs `work` when its turn has come.
   *
   * @throws MeilisearchError of `refusal` where too many wait already, or it waited for too long; the signal's reason where it aborts first
   */
  run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T>;
  readonly running: number;
  readonly waiting: number;
  /** Whether what comes now has to wait. */
  readonly isBusy: boolean;
}

/** Limits of {@link createAdmission}. */
export interface AdmissionLimits {
  readonly maxRunning: number;
  readonly maxWaiting: number;
  /** How long anything may wait. Milliseconds. */
  readonly waitMs: number;
  /** How long it may wait where the queue has not been empty for as long as `waitMs`: more comes than can be done. Milliseconds. */
  readonly overloadWaitMs: number;
}

/** Why something is turned away. */
export type RefusalReason = "full" | "waited";

interface Waiter {
  readonly since: number;
  start(): void;
  refuse(): void;
}

/**
 * First come, first served, for as long as the queue empties now and then: a burst is worked off. Where it does not, more comes than can be
 * done, and whoever waited longest would be served when its client has long given up: then the newest is first, and what has
 * waited for a short while is turned away (controlled delay, with one timer for the whole queue).
 */
export function createAdmission(
  { clock, timers }: Pick<World, "clock" | "timers">,
  { maxRunning, maxWaiting, waitMs, overloadWaitMs }: AdmissionLimits,
  refusal: (reason: RefusalReason) => MeilisearchError,
): Admission {
  /** Oldest first. */
  const queue: Waiter[] = [];
  let running = 0;
  let emptyAt = clock.monotonic();
  let timer: Timer | undefined;

  const isOverloaded = (): boolean => clock.monotonic() - emptyAt >= waitMs;

  const refuseLate = (): void => {
    const latest = clock.monotonic() - (isOverloaded() ? overloadWaitMs : waitMs);
    for (let oldest = queue[0]; oldest !== undefined && oldest.since <= latest; oldest = queue[0]) {
      queue.shift();
      oldest.refuse();
    }
  };

  const watch = (): void => {
    timer?.cancel();
    const [oldest] = queue;
    timer =
      oldest === undefined
        ? undefined
        : timers.after(Math.max(1, Math.min(oldest.since, emptyAt) + waitMs - clock.monotonic()), look);
  };

  const look = (): void => {
    refuseLate();
    if (queue.length === 0) watch();
    else timer = timers.after(overloadWaitMs, look);
  };

  const next = (): void => {
    if (queue.length === 0) {
      running--;
      watch();
      return;
    }
    refuseLate();
    const waiter = isOverloaded() ? queue.pop() : queue.shift();
    if (waiter === undefined) running--;
    else waiter.start();
    if (queue.length === 0) {
      if (waiter !== undefined) emptyAt = clock.monotonic();
      watch();
    }
  };

  const turn = (signal: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      const waiter: Waiter = {
        since: clock.monotonic(),
        start: () => {
          signal.removeEventListener("abort", onAbort);
          resolve();
        },
        refuse: () => {
          signal.removeEventListener("abort", onAbort);
          reject(refusal("waited"));
        },
      };
      const onAbort = (): void => {
        queue.splice(queue.indexOf(waiter), 1);
        reject(signal.reason);
      };
      signal.addEventListener("abort", onAbort, { once: true });
      if (queue.length === 0) emptyAt = waiter.since;
      queue.push(waiter);
      if (queue.length === 1) watch();
    });

  return {
    get running() {
      return running;
    },
    get waiting() {
      return queue.length;
    },
    get isBusy() {
      return running >= maxRunning;
    },
    async run(signal, work) {
      signal.throwIfAborted();
      if (running < maxRunning) running++;
      else if (queue.length >= maxWaiting) throw refusal("full");
      else await turn(signal);
      try {
        return await work();
      } finally {
        next();
      }
    },
  };
}
