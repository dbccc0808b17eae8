/** Tells a run that proved something from one that met nothing. */
import { grouped } from "../grouped.js";
import { type HistoryRecord, recordsOf, type WriteRecord } from "../history.js";
import type { Violation } from "./violation.js";

/** What a run met. */
export interface RunFigures {
  readonly writes: number;
  readonly acknowledged: number;
  readonly refused: number;
  readonly unknown: number;
  readonly reads: number;
  readonly failedReads: number;
  /** Pairs of writes to one document that were under way at once. */
  readonly overlaps: number;
  readonly kills: number;
  readonly switches: number;
}

/** What a run must have met at least. */
export type RunMinimum = Readonly<Partial<Record<keyof RunFigures, number>>>;

/** Counts what a history holds; kills and switches are told by whoever saw them. */
export function countRun(
  history: readonly HistoryRecord[],
  seen: Pick<RunFigures, "kills" | "switches">,
): RunFigures {
  const writes = recordsOf(history, "write");
  const count = (outcome: WriteRecord["outcome"]): number =>
    writes.filter((write) => write.outcome === outcome).length;
  return {
    writes: writes.length,
    acknowledged: count("acknowledged"),
    refused: count("refused"),
    unknown: count("unknown"),
    reads: recordsOf(history, "read").length,
    failedReads: recordsOf(history, "failed-read").length,
    overlaps: countOverlaps(writes),
    ...seen,
  };
}

/** What clients were told instead of what they asked for, and how often, the most frequent first. */
export function refusalsIn(history: readonly HistoryRecord[]): ReadonlyMap<string, number> {
  const answers = [
    ...recordsOf(history, "failed-read").map(({ answer }) => `read: ${answer}`),
    ...recordsOf(history, "write")
      .filter(({ outcome }) => outcome !== "acknowledged")
      .map(({ answer }) => `write: ${answer}`),
  ];
  const counts = [...grouped(answers, (answer) => answer)].map(
    ([answer, same]) => [answer, same.length] as const,
  );
  return new Map(counts.sort(([, a], [, b]) => b - a));
}

/** A run that stays below a minimum is a violation of its own: nothing follows from it. */
export function checkVacuity(figures: RunFigures, minimum: RunMinimum): readonly Violation[] {
  return (Object.keys(minimum) as (keyof RunFigures)[])
    .filter((name) => figures[name] < (minimum[name] ?? 0))
    .map((name) => ({
      kind: "vacuous",
      detail: `${figures[name]} ${name}, at least ${minimum[name]} are needed`,
    }));
}

function countOverlaps(writes: readonly WriteRecord[]): number {
  const touched = writes.flatMap((write) => write.keys.map((key) => ({ key, write })));
  let overlaps = 0;
  for (const same of grouped(touched, ({ key }) => key).values()) {
    let latest = Number.NEGATIVE_INFINITY;
    for (const { write } of same.toSorted((a, b) => a.write.start - b.write.start)) {
      const end = write.task?.at ?? write.end;
      if (write.start < latest) overlaps++;
      latest = Math.max(latest, end);
    }
  }
  return overlaps;
}
