import { setMaxListeners } from "node:events";
import { LightAbort } from "./light-abort.js";

/**
 * A controller of a signal that many pieces of work listen to at once, one for each node, index or request that is under way. Node warns
 * of a leak at the eleventh listener of a signal; whoever listens to this one takes its listener away when its work is done.
 */
export function createSharedAbort(): AbortController {
  const controller = new AbortController();
  setMaxListeners(Number.POSITIVE_INFINITY, controller.signal);
  return controller;
}

/** Why a signal was aborted, as an error. */
export function abortReason(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error("aborted", { cause: signal.reason });
}

/** A signal that follows others for as long as some work takes. */
export interface LinkedAbort {
  /** May have any number of listeners, as that of {@link createSharedAbort}. */
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
  /** Leaves nothing behind on the signals that were followed. To be called when the work is over. */
  unlink(): void;
}

/**
 * A signal that aborts with the first of `signals`, with its reason, or when it is told to.
 *
 * For work that lives shorter than `signals`: `AbortSignal.any` leaves an entry on each of them for as long as they live.
 */
export function linkAbort(...signals: readonly AbortSignal[]): LinkedAbort {
  const controller = createSharedAbort();
  const onAbort = (): void => controller.abort(signals.find((signal) => signal.aborted)?.reason);
  const aborted = signals.find((signal) => signal.aborted);
  if (aborted !== undefined) controller.abort(aborted.reason);
  else for (const signal of signals) signal.addEventListener("abort", onAbort, { once: true });
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    unlink: () => {
      for (const signal of signals) signal.removeEventListener("abort", onAbort);
    },
  };
}

/**
 * Results of several pieces of work that run at once, each given a signal to stop by: once one of them fails, the others are not waited
 * for any more. A single one is given `signal` itself.
 */
export async function allOrStopped<T>(
  signal: AbortSignal,
  works: readonly ((signal: AbortSignal) => Promise<T>)[],
): Promise<T[]> {
  const [only, ...others] = works;
  if (only !== undefined && others.length === 0) return [await only(signal)];
  const stop = new LightAbort();
  const onAbort = (): void => stop.abort(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    signal.throwIfAborted();
    return await Promise.all(works.map((work) => work(stop)));
  } catch (error) {
    stop.abort(new Error("work beside it has failed", { cause: error }));
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
