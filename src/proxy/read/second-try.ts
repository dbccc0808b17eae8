import type { Timer, World } from "../../runtime/world.js";

/** Why a call is given up when another replica answered first. */
export const TOO_SLOW = new Error("another replica answered first");
/** Why a second try is given up when the first one answered after all. */
const NOT_NEEDED = new Error("the replica that was asked first answered");

/** How {@link withSecondTry} goes about it. */
export interface SecondTryOptions {
  readonly world: World;
  /** When `second` runs beside `first`; undefined for not before it has ended. */
  readonly delayMs: number | undefined;
  readonly signal: AbortSignal;
  readonly onSecondTry: (reason: "retry" | "hedge") => void;
}

/**
 * Runs `first`; when it has left something missing, or has not ended after a while, runs `second` as well.
 * The first of the two that left nothing missing counts, else the better one. Whoever loses is aborted.
 * An error of either one counts at once: neither throws one that the other could mend.
 */
export async function withSecondTry<T extends object>(
  first: (signal: AbortSignal) => Promise<T>,
  second: ((signal: AbortSignal) => Promise<T>) | undefined,
  missing: (result: T) => number,
  options: SecondTryOptions,
): Promise<T> {
  if (second === undefined) return first(options.signal);
  const { world, signal, delayMs } = options;
  const stops = { first: new AbortController(), second: new AbortController() };
  const onAbort = (): void => {
    stops.first.abort(signal.reason);
    stops.second.abort(signal.reason);
  };
  signal.addEventListener("abort", onAbort, { once: true });
  let timer: Timer | undefined;
  try {
    signal.throwIfAborted();
    const firstResult = first(stops.first.signal);
    const delay = new Promise<"hedge">((resolve) => {
      if (delayMs !== undefined) timer = world.timers.after(delayMs, () => resolve("hedge"));
    });
    const early = await Promise.race([firstResult, delay]);
    if (early !== "hedge" && missing(early) === 0) return early;
    signal.throwIfAborted();
    options.onSecondTry(early === "hedge" ? "hedge" : "retry");
    const secondResult = second(stops.second.signal);
    const complete = (result: T): T => {
      if (missing(result) > 0) throw new Incomplete();
      return result;
    };
    try {
      return await firstSettled([firstResult.then(complete), secondResult.then(complete)]);
    } catch (error) {
      if (!(error instanceof Incomplete)) throw error;
      const [a, b] = [await firstResult, await secondResult];
      return missing(a) < missing(b) ? a : b;
    }
  } finally {
    timer?.cancel();
    signal.removeEventListener("abort", onAbort);
    stops.first.abort(TOO_SLOW);
    stops.second.abort(NOT_NEEDED);
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
