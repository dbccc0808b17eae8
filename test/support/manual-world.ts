import type { Timer, World } from "../../src/runtime/world.js";
import { seededRandom } from "./random.js";

/** A world whose time stands still until a test moves it. */
export interface ManualWorld extends World {
  /** Moves time on, running what falls due in order, with the promises in between settled. */
  advance(ms: number): Promise<void>;
}

/** Starts at an arbitrary point of time. */
export function createManualWorld(seed = 1): ManualWorld {
  let now = 1_000_000;
  let order = 0;
  const due = new Map<number, { readonly at: number; readonly order: number; readonly run: () => void }>();
  const random = seededRandom(seed);

  function after(delayMs: number, callback: () => void): Timer {
    order += 1;
    const id = order;
    due.set(id, {
      at: now + Math.max(0, delayMs),
      order: id,
      run: () => {
        due.delete(id);
        callback();
      },
    });
    return { cancel: () => due.delete(id) };
  }

  return {
    clock: { now: () => 1_700_000_000_000 + now, monotonic: () => now },
    random: {
      next: random.next,
      bytes: (length) => Uint8Array.from({ length }, () => random.below(256)),
    },
    timers: {
      after,
      sleep: (delayMs, signal) =>
        new Promise((resolve, reject) => {
          const timer = after(delayMs, resolve);
          signal?.addEventListener("abort", () => {
            timer.cancel();
            reject(new Error("aborted", { cause: signal.reason }));
          });
        }),
    },
    async advance(ms) {
      const end = now + ms;
      for (;;) {
        await settle();
        const next = [...due.values()].sort((a, b) => a.at - b.at || a.order - b.order)[0];
        if (next === undefined || next.at > end) break;
        now = next.at;
        next.run();
      }
      now = end;
      await settle();
    },
  };
}

/** Lets promises that need no time settle. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}
