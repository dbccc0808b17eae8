import type { LogLine } from "./fleet-processes.js";
import type { SeenRequest } from "./open-load.js";

/** A moment at which a copy holds an index's writes back, as the proxy logged it. Milliseconds since the Unix epoch. */
export interface PauseMoment {
  readonly kind: "join" | "switch" | "drop";
  readonly at: number;
}

/** The moments of copies in a log: new names for targets that join, switches, new names before replicas are dropped. */
export function pauseMoments(lines: readonly LogLine[]): PauseMoment[] {
  const moments: PauseMoment[] = [];
  let joined = false;
  for (const { msg, time, step, why } of lines) {
    const at = Date.parse(time);
    if (msg === "index has a new generation" && why === "copy") {
      moments.push({ kind: joined ? "drop" : "join", at });
      joined = !joined;
    } else if (msg === "a copy has taken a step" && step === "switched" && joined) {
      // The same is logged once more when the copy has been verified.
      if (moments.at(-1)?.kind !== "switch") moments.push({ kind: "switch", at });
    }
  }
  return moments;
}

/** Milliseconds around a moment in which a write counts as touched by it. */
const AROUND_MS = 250;

/** By moment: the longest that a write took which was under way around it. 0 where none was. */
export function writePauses(
  moments: readonly PauseMoment[],
  seen: readonly SeenRequest[],
  epochOf: (monotonic: number) => number,
): readonly { readonly kind: PauseMoment["kind"]; readonly milliseconds: number }[] {
  const writes = seen.filter(({ kind }) => kind === "write");
  return moments.map(({ at, kind }) => ({
    kind,
    milliseconds: Math.max(
      0,
      ...writes
        .filter(
          ({ answeredAt, sentAt }) =>
            epochOf(sentAt) < at + AROUND_MS && epochOf(answeredAt) > at - AROUND_MS,
        )
        .map(({ answeredAt, sentAt }) => answeredAt - sentAt),
    ),
  }));
}

/** The value that a share of sorted numbers does not exceed; 0 for none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? 0;
}
