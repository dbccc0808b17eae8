import { randomBytes } from "node:crypto";
import { abortReason } from "./abort.js";

/** A point in time. Wall-clock time is for people and stored rows; monotonic time is for deadlines. */
export interface Clock {
  /** Milliseconds since the Unix epoch; may jump when the machine's clock is set. */
  now(): number;
  /** Milliseconds from an arbitrary origin; never goes back. */
  monotonic(): number;
}

/** A scheduled callback that can be taken back. */
export interface Timer {
  /** Takes the callback back; does nothing once it has run. */
  cancel(): void;
}

/** Schedules callbacks. Timers never keep the process alive by themselves. */
export interface Timers {
  /** Runs `callback` once, `delayMs` milliseconds from now. */
  after(delayMs: number, callback: () => void): Timer;
  /** Resolves `delayMs` milliseconds from now, or rejects with the signal's reason as soon as it aborts. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

/** A source of randomness, so that a run can be replayed from its seed. */
export interface Random {
  /** A float in [0, 1). */
  next(): number;
  /** `length` random bytes. */
  bytes(length: number): Uint8Array;
}

/**
 * Everything that is not a function of its arguments: time, timers and randomness. Control plane and
 * proxy take it as a parameter, so that the same code runs against the machine and inside a
 * deterministic simulation.
 */
export interface World {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
}

/** The machine's own clock, timers and randomness. */
export function createSystemWorld(): World {
  return { clock: systemClock, timers: systemTimers, random: systemRandom };
}

const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
};

const systemTimers: Timers = {
  after(delayMs, callback) {
    const handle = setTimeout(callback, delayMs);
    handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
  sleep(delayMs, signal) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(abortReason(signal));
        return;
      }
      const onAbort = () => {
        clearTimeout(handle);
        reject(signal === undefined ? new Error("aborted") : abortReason(signal));
      };
      const handle = setTimeout(() => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      }, delayMs);
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  },
};

const systemRandom: Random = {
  next: () => randomBytes(6).readUIntBE(0, 6) / 2 ** 48,
  bytes: (length) => randomBytes(length),
};
