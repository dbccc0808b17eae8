import { type RunOptions, type RunReport, simulate } from "./run.js";

/** What many runs come to. */
export type Totals = { readonly [K in keyof Omit<RunReport, "seed" | "findings">]: number };

/** Adds runs up. */
export class SeedResults {
  readonly failed: RunReport[] = [];
  runs = 0;
  private readonly totals: Record<string, number> = {};

  add(report: RunReport): void {
    const { seed, findings, ...counts } = report;
    for (const [name, count] of Object.entries(counts)) this.totals[name] = (this.totals[name] ?? 0) + count;
    if (findings.length > 0) this.failed.push(report);
    this.runs++;
  }

  get reports(): Totals {
    return this.totals as Totals;
  }
}

/** Runs that follow each other. */
export async function runSeeds(from: number, seeds: number, options: RunOptions): Promise<SeedResults> {
  const results = new SeedResults();
  for (let at = 0; at < seeds; at++) results.add(await simulate(from + at, options));
  return results;
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
