const deadlines = new WeakMap<AbortSignal, number>();

/** Says by when, on the monotonic clock, what a request asks for has to be done; it is told by the request's signal, wherever that goes. */
export function setDeadline(signal: AbortSignal, at: number): void {
  deadlines.set(signal, at);
}

/** When, on the monotonic clock, a request's time is over; infinity where nobody said. */
export function deadlineOf(signal: AbortSignal): number {
  return deadlines.get(signal) ?? Number.POSITIVE_INFINITY;
}
