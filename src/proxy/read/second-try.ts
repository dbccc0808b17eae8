import { LightAbort } from "../../runtime/light-abort.js";
import type { Timer, World } from "../../runtime/world.js";

/** Why a call is given up when another replica answered first. */
export const TOO_SLOW = new Error("another replica answered first");
/** Why a second try is given up when the first one answered after all. */
export const NOT_NEEDED = new Error("the replica that was asked first answered");

/** Why another replica is asked: the first one failed, took longer than usual, or took longer than a node that works may. */
export type SecondTryReason = "retry" | "hedge" | "overdue";

/** For how long the first replica is waited for alone. Milliseconds. */
export interface Patience {
  /** After which another one is asked if the budget for that allows; undefined for not at all. */
  readonly hedgeAfterMs: number | undefined;
  /** After which another one is asked in any case; undefined for not before the first one has ended. */
  readonly overdueAfterMs: number | undefined;
}

/** How {@link withSecondTry} goes about it. */
export interface SecondTryOptions {
  readonly world: World;
  readonly patience: Patience;
  readonly signal: AbortSignal;
  /** Whether a hedge may be sent now. Asked at most once. */
  mayHedge(): boolean;
  onSecondTry(reason: SecondTryReason): void;
  /** A hedge was sent and is over: whether its answer was the one that counted. */
  onHedgeEnd(hasWon: boolean): void;
}

/**
 * Runs `first`; when it has left something missing, or has not ended after a while, runs `second` as well.
 * The first of the two that left nothing missing counts, else the better one. Whoever loses is aborted.
 * An error of either one counts at once: neither throws one that the other could mend.
 */
export function withSecondTry<T extends object>(
  first: (signal: AbortSignal) => Promise<T>,
  second: ((signal: AbortSignal) => Promise<T>) | undefined,
  missing: (result: T) => number,
  options: SecondTryOptions,
): Promise<T> {
  return second === undefined ? first(options.signal) : withSecond(first, second, missing, options);
}

async function withSecond<T extends object>(
  first: (signal: AbortSignal) => Promise<T>,
  second: (signal: AbortSignal) => Promise<T>,
  missing: (result: T) => number,
  options: SecondTryOptions,
): Promise<T> {
  const { signal } = options;
  const stops = { first: new LightAbort(), second: new LightAbort() };
  const onAbort = (): void => {
    stops.first.abort(signal.reason);
    stops.second.abort(signal.reason);
  };
  signal.addEventListener("abort", onAbort, { once: true });
  const impatience = new Impatience(options);
  let reason: SecondTryReason = "retry";
  let winner: "first" | "second" | undefined;
  try {
    signal.throwIfAborted();
    const firstResult = first(stops.first);
    const early = await Promise.race([firstResult, impatience.arises]);
    if (typeof early !== "string" && missing(early) === 0) return early;
    signal.throwIfAborted();
    if (typeof early === "string") reason = early;
    options.onSecondTry(reason);
    const secondResult = second(stops.second);
    const complete = (result: T, by: "first" | "second"): T => {
      if (missing(result) > 0) throw new Incomplete();
      winner ??= by;
      return result;
    };
    try {
      return await firstSettled([
        firstResult.then((result) => complete(result, "first")),
        secondResult.then((result) => complete(result, "second")),
      ]);
    } catch (error) {
      if (!(error instanceof Incomplete)) throw error;
      const [a, b] = [await firstResult, await secondResult];
      return missing(a) < missing(b) ? a : b;
    }
  } finally {
    impatience.cancel();
    signal.removeEventListener("abort", onAbort);
    if (reason === "hedge") options.onHedgeEnd(winner === "second");
    stops.first.abort(TOO_SLOW);
    stops.second.abort(NOT_NEEDED);
  }
}

/** Waits until the first replica is not to be waited for alone any more, with one timer at a time. */
class Impatience {
  readonly arises: Promise<"hedge" | "overdue">;
  private timer: Timer | undefined;

  constructor({ world, patience, mayHedge }: Pick<SecondTryOptions, "world" | "patience" | "mayHedge">) {
    const { hedgeAfterMs, overdueAfterMs = Number.POSITIVE_INFINITY } = patience;
    this.arises = new Promise((resolve) => {
      const waitUntilOverdue = (ms: number): void => {
        if (ms < Number.POSITIVE_INFINITY) this.timer = world.timers.after(ms, () => resolve("overdue"));
      };
      if (hedgeAfterMs === undefined || hedgeAfterMs >= overdueAfterMs) waitUntilOverdue(overdueAfterMs);
      else {
        this.timer = world.timers.after(hedgeAfterMs, () => {
          if (mayHedge()) resolve("hedge");
          else waitUntilOverdue(overdueAfterMs - hedgeAfterMs);
        });
      }
    });
  }

  cancel(): void {
    this.timer?.cancel();
  }
}

/** A result that left something missing. */
class Incomplete extends Error {
  override readonly name = "Incomplete";
}

/** The first that is fulfilled, or the first error that is not {@link Incomplete}; {@link Incomplete} where all are. */
function firstSettled<T>(attempts: readonly Promise<T>[]): Promise<T> {
  return new Promise((resolve, reject) => {
    let open = attempts.length;
    for (const attempt of attempts) {
      attempt.then(resolve, (error) => {
        open--;
        if (!(error instanceof Incomplete) || open === 0) reject(error);
      });
    }
  });
}
