import type { RunMinimum } from "./checker/check-vacuity.js";
import { FAULT_KINDS, type FaultKind } from "./schedule.js";

/** Reads a list of kinds such as `delay,kill`; `all` and `none` too. @throws Error for a kind that there is not */
export function parseFaults(text: string): readonly FaultKind[] {
  if (text === "all") return FAULT_KINDS;
  if (text === "none") return [];
  return text.split(",").map((name) => {
    const kind = FAULT_KINDS.find((known) => known === name.trim());
    if (kind === undefined)
      throw new Error(`${name} is no kind of fault; there are ${FAULT_KINDS.join(", ")}`);
    return kind;
  });
}

/** What a run of this length must have met, so that its verdict means something. */
export function minimumOf(
  durationMs: number,
  faults: readonly FaultKind[],
  hasOperations: boolean,
): RunMinimum {
  const seconds = durationMs / 1_000;
  return {
    acknowledged: Math.floor(seconds / 2),
    reads: Math.floor(seconds * 2),
    overlaps: Math.floor(seconds / 2),
    ...(faults.includes("kill") ? { kills: Math.floor(seconds / 60) } : {}),
    ...(hasOperations && faults.includes("topology") ? { switches: Math.floor(seconds / 60) } : {}),
  };
}
