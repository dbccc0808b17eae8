/** Looks for topologies that went back, and for two leaders that both had effect. */
import { grouped } from "../grouped.js";
import type { EpochRecord } from "../history.js";
import type { Violation } from "./violation.js";

/**
 * No answer of a process shows an older epoch than one that it gave before the question; one epoch has one content; and
 * all are of one cluster (invariant 1). A process that was started again remembers nothing, and is judged anew.
 */
export function checkEpochs(records: readonly EpochRecord[]): readonly Violation[] {
  const violations: Violation[] = [];
  const clusters = new Set(records.map(({ cluster }) => cluster).filter((cluster) => cluster !== ""));
  if (clusters.size > 1) {
    violations.push({
      kind: "two-leaders",
      detail: `topologies of several clusters: ${[...clusters].join(", ")}`,
    });
  }
  for (const [epoch, same] of grouped(records, shown)) {
    const contents = new Set(same.map(({ contentHash }) => contentHash).filter((hash) => hash !== ""));
    if (contents.size > 1) {
      violations.push({ kind: "two-leaders", detail: `epoch ${epoch} has ${contents.size} contents` });
    }
  }
  for (const [process, own] of grouped(records, ({ process, run }) => `${process}, run ${run}`)) {
    const fault = wentBack(own);
    if (fault !== undefined) violations.push({ kind: "epoch-went-back", detail: `${process}: ${fault}` });
  }
  return violations;
}

function wentBack(records: readonly EpochRecord[]): string | undefined {
  const byEnd = records.toSorted((a, b) => a.end - b.end);
  let next = 0;
  let highest: EpochRecord | undefined;
  for (const record of records.toSorted((a, b) => a.start - b.start)) {
    for (let before = byEnd[next]; before !== undefined && before.end < record.start; before = byEnd[next]) {
      if (highest === undefined || isBelow(highest, before)) highest = before;
      next++;
    }
    if (highest !== undefined && isBelow(record, highest)) {
      return `epoch ${shown(record)} at ${record.start.toFixed(1)}, after ${shown(highest)} at ${highest.end.toFixed(1)}`;
    }
  }
  return undefined;
}

function isBelow(a: EpochRecord, b: EpochRecord): boolean {
  return a.term < b.term || (a.term === b.term && a.counter < b.counter);
}

function shown({ term, counter }: EpochRecord): string {
  return `${term}.${counter}`;
}
