import type { Caller, OpenCaller } from "./caller.js";
import { quantile } from "./quantiles.js";

/** What a load measured. */
export interface LoadResult {
  readonly requests: number;
  /** Answers with another status than 200. */
  readonly failures: number;
  /** Answers with status 200 that were not the ones expected. */
  readonly wrong: number;
  readonly perSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** By how many milliseconds 1 % of the requests, or more, were sent later than they were due: not the server's fault, unless it held all callers. */
  readonly lateP99: number;
}

/** A number of callers, each of which makes its next request when it has the whole answer to the last one. */
export interface ClosedLoop {
  readonly clients: number;
  readonly durationMs: number;
}

/** A constant rate of requests, whatever the answers take. */
export interface OpenLoop {
  readonly perSecond: number;
  readonly durationMs: number;
}

/** Loads whatever the callers call. */
export function runLoad(open: OpenCaller, loop: ClosedLoop | OpenLoop): Promise<LoadResult> {
  return "clients" in loop ? closedLoop(open, loop) : openLoop(open, loop);
}

async function closedLoop(open: OpenCaller, { clients, durationMs }: ClosedLoop): Promise<LoadResult> {
  const tally = new Tally();
  const callers = await openAll(open, clients);
  const started = performance.now();
  const end = started + durationMs;
  let turn = 0;
  const client = async (caller: Caller): Promise<void> => {
    while (performance.now() < end) await tally.call(caller, turn++, performance.now());
  };
  try {
    await Promise.all(callers.map(client));
    return tally.result(performance.now() - started);
  } finally {
    for (const caller of callers) caller.close();
  }
}

/** Requests that may be under way at once in an open loop; what is due beyond it waits, and its time runs. */
const MAX_OPEN = 256;
/** Callers that are opened before their time, for each request a second. */
const OPEN_AHEAD = 0.05;
const LEAST_AHEAD = 16;

/**
 * A request's time runs from when it was due, not from when it was sent: a server that stalls pays for every request that it kept
 * waiting (no coordinated omission).
 */
async function openLoop(open: OpenCaller, { perSecond, durationMs }: OpenLoop): Promise<LoadResult> {
  const tally = new Tally();
  const ahead = Math.min(MAX_OPEN, Math.max(LEAST_AHEAD, Math.ceil(perSecond * OPEN_AHEAD)));
  const callers = await openAll(open, ahead);
  const idle = [...callers];
  const underWay = new Set<Promise<void>>();
  const nextCaller = async (): Promise<Caller> => {
    while (idle.length === 0 && callers.length >= MAX_OPEN) await Promise.race(underWay);
    const free = idle.pop();
    if (free !== undefined) return free;
    const added = await open();
    callers.push(added);
    return added;
  };
  const started = performance.now();
  const total = Math.floor((durationMs / 1_000) * perSecond);
  const dueAt = (turn: number): number => started + (turn * 1_000) / perSecond;
  try {
    for (let turn = 0; turn < total; ) {
      const early = dueAt(turn) - performance.now();
      if (early > 0) {
        await new Promise((resolve) => setTimeout(resolve, Math.max(1, Math.floor(early))));
        continue;
      }
      const caller = await nextCaller();
      const called = tally.call(caller, turn, dueAt(turn)).then(() => {
        idle.push(caller);
        underWay.delete(called);
      });
      underWay.add(called);
      turn++;
    }
    await Promise.all(underWay);
    return tally.result(performance.now() - started);
  } finally {
    for (const caller of callers) caller.close();
  }
}

function openAll(open: OpenCaller, count: number): Promise<Caller[]> {
  return Promise.all(Array.from({ length: count }, open));
}

class Tally {
  readonly #latencies: number[] = [];
  readonly #lateness: number[] = [];
  #failures = 0;
  #wrong = 0;

  async call(caller: Caller, turn: number, since: number): Promise<void> {
    this.#lateness.push(performance.now() - since);
    const outcome = await caller.call(turn);
    this.#latencies.push(performance.now() - since);
    if (outcome === "failed") this.#failures++;
    if (outcome === "wrong") this.#wrong++;
  }

  result(elapsedMs: number): LoadResult {
    const latencies = Float64Array.from(this.#latencies).sort();
    return {
      requests: latencies.length,
      failures: this.#failures,
      wrong: this.#wrong,
      perSecond: (latencies.length * 1_000) / elapsedMs,
      p50: quantile(latencies, 0.5),
      p99: quantile(latencies, 0.99),
      lateP99: quantile(Float64Array.from(this.#lateness).sort(), 0.99),
    };
  }
}
