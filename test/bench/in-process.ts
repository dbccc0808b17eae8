import { type Spread, spreadOf } from "./quantiles.js";

/** Runs of one kind of work until `durationMs` are over, and how long one took in the middle. */
export interface WorkTime {
  readonly runs: number;
  /** Milliseconds of one run: the medians of the repeats. */
  readonly ms: Spread;
}

/** Work that is measured in this process. */
export interface Work {
  readonly name: string;
  readonly run: () => unknown;
}

/** Measures kinds of work that take turns, each long enough for the compiler to have done its part before. */
export function timeWork(
  works: readonly Work[],
  options: { readonly durationMs: number; readonly repeats: number },
): Map<string, WorkTime> {
  for (const { run } of works) timesOf(run, options.durationMs);
  const medians = new Map<string, number[]>(works.map(({ name }) => [name, []]));
  const runs = new Map<string, number>();
  for (let repeat = 0; repeat < options.repeats; repeat++) {
    for (const { name, run } of works) {
      const times = timesOf(run, options.durationMs);
      medians.get(name)?.push(spreadOf(times).median);
      runs.set(name, (runs.get(name) ?? 0) + times.length);
    }
  }
  return new Map(
    works.map(({ name }) => [name, { runs: runs.get(name) ?? 0, ms: spreadOf(medians.get(name) ?? []) }]),
  );
}

function timesOf(run: () => unknown, durationMs: number): number[] {
  const times: number[] = [];
  const end = performance.now() + durationMs;
  do {
    const before = performance.now();
    run();
    times.push(performance.now() - before);
  } while (performance.now() < end);
  return times;
}
