import type { World } from "../../src/runtime/world.js";
import { type SeededRandom, seededRandom } from "../support/random.js";

interface Scheduled {
  readonly at: number;
  readonly order: number;
  callback: (() => void) | undefined;
}

/** A world in which time passes only when everything that can happen now has happened. */
export interface VirtualWorld extends World {
  readonly seeded: SeededRandom;
  /**
   * Lets time pass until `done` holds. Rejects when it reaches `limitMs`, or nothing is left that could happen.
   */
  runUntil(done: () => boolean, limitMs: number): Promise<void>;
}

/** A virtual world that does the same for the same seed. */
export function createVirtualWorld(seed: number): VirtualWorld {
  const seeded = seededRandom(seed);
  const random = seededRandom(seed ^ 0x5eed);
  let now = 0;
  let order = 0;
  let queue: Scheduled[] = [];

  const after = (delayMs: number, callback: () => void) => {
    const entry: Scheduled = { at: now + Math.max(0, delayMs), order: order++, callback };
    queue.push(entry);
    return {
      cancel: () => {
        entry.callback = undefined;
      },
    };
  };
  const sleep = (delayMs: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(reason(signal));
        return;
      }
      const abort = () => {
        timer.cancel();
        if (signal !== undefined) reject(reason(signal));
      };
      const timer = after(delayMs, () => {
        signal?.removeEventListener("abort", abort);
        resolve();
      });
      signal?.addEventListener("abort", abort, { once: true });
    });
  const next = (): Scheduled | undefined => {
    queue = queue.filter((entry) => entry.callback !== undefined);
    let first: Scheduled | undefined;
    for (const entry of queue) {
      if (
        first === undefined ||
        entry.at < first.at ||
        (entry.at === first.at && entry.order < first.order)
      ) {
        first = entry;
      }
    }
    return first;
  };

  return {
    clock: { now: () => 1_800_000_000_000 + now, monotonic: () => now },
    timers: { after, sleep },
    random: {
      next: () => random.next(),
      bytes: (length) => Uint8Array.from({ length }, () => random.below(256)),
    },
    seeded,
    async runUntil(done, limitMs) {
      for (;;) {
        // Everything that follows from what has happened, before time moves on.
        await new Promise((resolve) => setImmediate(resolve));
        if (done()) return;
        const entry = next();
        if (entry === undefined) throw new Error(`stuck at ${now} ms: nothing is left that could happen`);
        if (entry.at > limitMs) throw new Error(`not done after ${limitMs} ms of virtual time`);
        now = Math.max(now, entry.at);
        const { callback } = entry;
        entry.callback = undefined;
        callback?.();
      }
    },
  };
}

function reason(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error("aborted", { cause: signal.reason });
}
