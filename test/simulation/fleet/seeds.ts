import { type RunOptions, type RunReport, simulate } from "./run.js";

/** What many runs come to. */
export type Totals = { readonly [K in keyof Omit<RunReport, "seed" | "findings">]: number };

/** Runs that follow each other; `onRun` is told of each. */
export async function runSeeds(
  from: number,
  seeds: number,
  options: RunOptions,
  onRun: (report: RunReport, done: number) => void = () => undefined,
): Promise<{ readonly reports: Totals; readonly failed: readonly RunReport[] }> {
  const failed: RunReport[] = [];
  const totals: Record<string, number> = {};
  for (let at = 0; at < seeds; at++) {
    const report = await simulate(from + at, options);
    const { seed, findings, ...counts } = report;
    for (const [name, count] of Object.entries(counts)) totals[name] = (totals[name] ?? 0) + count;
    if (findings.length > 0) failed.push(report);
    onRun(report, at + 1);
  }
  return { reports: totals as Totals, failed };
}

/** The least that has to happen in a hundred runs, on the whole; runs in which nothing happens prove nothing. */
const LEAST_IN_100: Partial<Totals> = {
  acknowledged: 1_500,
  overlapping: 150,
  unknown: 10,
  reads: 800,
  kills: 150,
  handOvers: 80,
  terms: 105,
  generations: 100,
  switches: 20,
};

/** What happened too rarely; undefined where there was enough of everything. */
export function vacuity(totals: Totals, runs: number): string | undefined {
  const rare = Object.entries(LEAST_IN_100).filter(
    ([name, least]) => totals[name as keyof Totals] < (least * runs) / 100,
  );
  return rare.length === 0
    ? undefined
    : rare
        .map(([name, least]) => `${name} ${totals[name as keyof Totals]} of ${(least * runs) / 100}`)
        .join(", ");
}
