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
  const queue = new TimerQueue();

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
  return {
    clock: { now: () => 1_800_000_000_000 + Math.floor(now), monotonic: () => now },
    timers: { after, sleep },
    random: {
      next: () => random.next(),
      bytes: (length) => Uint8Array.from({ length }, () => random.below(256)),
    },
    seeded,
    async runUntil(done, limitMs) {
      for (;;) {
        // Everything that follows from what has happened, before time moves on; work on real files is part of it.
        do await new Promise((resolve) => setImmediate(resolve));
        while (process.getActiveResourcesInfo().includes("FSReqPromise"));
        if (done()) return;
        const entry = queue.take();
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

/** A binary heap of timers, earliest first and in the order in which they were set. */
class TimerQueue {
  private readonly heap: Scheduled[] = [];

  push(entry: Scheduled): void {
    const { heap } = this;
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !isBefore(entry, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = entry;
  }

  /** Takes out the next timer that has not been cancelled. */
  take(): Scheduled | undefined {
    for (;;) {
      const first = this.heap[0];
      const last = this.heap.pop();
      if (first === undefined || last === undefined) return undefined;
      if (this.heap.length > 0) this.sink(last);
      if (first.callback !== undefined) return first;
    }
  }

  private sink(entry: Scheduled): void {
    const { heap } = this;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      const left = heap[child];
      const right = heap[child + 1];
      if (left === undefined) break;
      if (right !== undefined && isBefore(right, left)) child++;
      const least = heap[child];
      if (least === undefined || !isBefore(least, entry)) break;
      heap[at] = least;
      at = child;
    }
    heap[at] = entry;
  }
}

function isBefore(a: Scheduled, b: Scheduled): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

function reason(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error("aborted", { cause: signal.reason });
}
