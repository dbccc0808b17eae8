import { table } from "../../src/cli/output.js";
import type { RunReport } from "./run.js";

/** One run in the table of several. */
export interface RunRow {
  readonly seed: number;
  /** With start, end and verdict. */
  readonly seconds: number;
  readonly report: RunReport;
}

/** What several runs met and found, a row each. */
export function runTable(rows: readonly RunRow[]): string {
  const columns = [
    "SEED",
    "SECONDS",
    "WRITES",
    "ACKNOWLEDGED",
    "REFUSED",
    "UNKNOWN",
    "OVERLAPS",
    "READS",
    "NO ANSWER",
  ];
  const faults = ["LINKS", "KILLS", "PAUSES", "CLOCKS", "OPERATIONS", "SWITCHES", "REST S", "VIOLATIONS"];
  return table(
    [...columns, ...faults],
    rows.map(({ seed, seconds, report: { figures, injected, operations, restedAfterMs, violations } }) =>
      [
        ...[
          seed,
          Math.round(seconds),
          figures.writes,
          figures.acknowledged,
          figures.refused,
          figures.unknown,
        ],
        ...[figures.overlaps, figures.reads, figures.failedReads],
        ...[injected.link, injected.kill, injected.pause, injected.clock],
        ...[
          `${operations}/${injected.topology}`,
          figures.switches,
          Math.round(restedAfterMs / 1_000),
          violations.length,
        ],
      ].map(String),
    ),
  );
}
