import type { Timer, World } from "../../../src/runtime/world.js";
import type { VirtualWorld } from "../virtual-world.js";

/** The world of one simulated process: it can be stopped and let go on as with SIGSTOP and SIGCONT, and killed. */
export interface ProcessWorld extends World {
  pause(): void;
  resume(): void;
  /** Nothing of the process runs from now on. */
  kill(): void;
  alive(): boolean;
  /** Moves the process's wall clock; its monotonic clock goes on. */
  jump(byMs: number): void;
}

/** A process in `world`, whose clocks begin somewhere else than those of its neighbours. */
export function createProcessWorld(world: VirtualWorld): ProcessWorld {
  const origin = world.seeded.below(1_000_000);
  let skewMs = 0;
  let state: "running" | "paused" | "killed" = "running";
  let held: (() => void)[] = [];

  const run = (callback: () => void): void => {
    if (state === "running") callback();
    else if (state === "paused") held.push(callback);
  };
  const after = (delayMs: number, callback: () => void): Timer => {
    let isCancelled = false;
    const timer = world.timers.after(delayMs, () =>
      run(() => {
        if (!isCancelled) callback();
      }),
    );
    return {
      cancel: () => {
        isCancelled = true;
        timer.cancel();
      },
    };
  };
  return {
    clock: {
      now: () => world.clock.now() + skewMs,
      monotonic: () => world.clock.monotonic() + origin,
    },
    timers: {
      after,
      sleep: (delayMs, signal) =>
        new Promise((resolve, reject) => {
          if (signal?.aborted) {
            reject(signal.reason as Error);
            return;
          }
          const onAbort = (): void => {
            timer.cancel();
            reject(signal?.reason as Error);
          };
          const timer = after(delayMs, () => {
            signal?.removeEventListener("abort", onAbort);
            resolve();
          });
          signal?.addEventListener("abort", onAbort, { once: true });
        }),
    },
    random: world.random,
    pause() {
      if (state === "running") state = "paused";
    },
    resume() {
      if (state !== "paused") return;
      state = "running";
      const waiting = held;
      held = [];
      for (const callback of waiting) run(callback);
    },
    kill() {
      state = "killed";
      held = [];
    },
    alive: () => state !== "killed",
    jump(byMs) {
      skewMs += byMs;
    },
  };
}
