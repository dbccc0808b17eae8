import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import type { Timers } from "../../runtime/world.js";

/** Limits of the time that a call may take, in milliseconds. */
export interface Deadlines {
  /** For calls that name no deadline; 30,000 unless given. */
  readonly defaultMs?: number;
  /** For calls that name a later one; 300,000 unless given. */
  readonly maxMs?: number;
}

/**
 * Answers DEADLINE_EXCEEDED to a call with one answer that takes longer than its client, or this server, allows, and aborts its
 * signal. Streams last as long as their clients want.
 */
export function limitDuration(timers: Timers, deadlines: Deadlines = {}): Interceptor {
  const { defaultMs = 30_000, maxMs = 300_000 } = deadlines;
  return (next) => async (request) => {
    if (request.stream) return await next(request);
    const named = request.header.has("grpc-timeout") || request.header.has("connect-timeout-ms");
    const limitMs = named ? maxMs : Math.min(defaultMs, maxMs);
    const limit = new AbortController();
    const signal = AbortSignal.any([request.signal, limit.signal]);
    const timer = timers.after(limitMs, () =>
      limit.abort(new ConnectError(`the call took longer than ${limitMs} ms`, Code.DeadlineExceeded)),
    );
    try {
      return await untilAborted(next({ ...request, signal }), signal);
    } finally {
      timer.cancel();
    }
  };
}

/** `work`'s outcome, or the signal's reason as soon as it aborts. */
function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      const { reason } = signal;
      reject(
        reason instanceof ConnectError ? reason : new ConnectError("the call was cancelled", Code.Canceled),
      );
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
