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
    clock: { now: () => 1_700_000_000_000 + Math.floor(now), monotonic: () => now },
    random: {
      next: random.next,
      bytes: (length) => Uint8Array.from({ length }, () => random.below(256)),
    },
    timers: {
      after,
      sleep: (delayMs, signal) =>
        new Promise((resolve, reject) => {
          const onAbort = () => {
            timer.cancel();
            reject(new Error("aborted", { cause: signal?.reason }));
          };
          const timer = after(delayMs, () => {
            signal?.removeEventListener("abort", onAbort);
            resolve();
          });
          if (signal?.aborted) onAbort();
          else signal?.addEventListener("abort", onAbort, { once: true });
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

/** A process's view of `world` that can be made to stop: after `kill` none of its timers runs. */
export function mortal(world: World): { readonly world: World; kill(): void } {
  let dead = false;
  const guarded = (callback: () => void) => () => {
    if (!dead) callback();
  };
  return {
    world: {
      ...world,
      timers: {
        after: (delayMs, callback) => world.timers.after(delayMs, guarded(callback)),
        sleep: (delayMs, signal) =>
          new Promise((resolve, reject) => {
            world.timers
              .sleep(delayMs, signal)
              .then(guarded(resolve), (error) => guarded(() => reject(error))());
          }),
      },
    },
    kill() {
      dead = true;
    },
  };
}
