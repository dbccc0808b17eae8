/** The faults of a run, drawn from its seed alone. */
import { type SeededRandom, seededRandom } from "../support/random.js";
import type { LinkFault } from "./link-fault.js";

/** Every kind of fault that can be asked for. */
export const FAULT_KINDS = [
  "delay",
  "drop",
  "cut",
  "half-open",
  "slow",
  "reset",
  "kill",
  "pause",
  "clock",
  "topology",
] as const;
/** One of {@link FAULT_KINDS}. */
export type FaultKind = (typeof FAULT_KINDS)[number];

/** One fault and its time, in milliseconds from the beginning. */
export type PlannedFault = { readonly at: number } & (
  | { readonly kind: "link"; readonly link: string; readonly fault: LinkFault; readonly forMs: number }
  /** `kill -9`; it is started again on the same data after `forMs`. */
  | { readonly kind: "kill"; readonly process: string; readonly forMs: number }
  /** SIGSTOP, then SIGCONT. */
  | { readonly kind: "pause"; readonly process: string; readonly forMs: number }
  /** The wall clock of a process jumps to this far from the machine's. */
  | { readonly kind: "clock"; readonly process: string; readonly offsetMs: number }
  /** An operation on the fleet; `draw` in [0, 1) chooses which of those that are possible then. */
  | { readonly kind: "topology"; readonly draw: number }
);

/** What can be hurt. */
export interface ScheduleOptions {
  readonly seed: number;
  readonly durationMs: number;
  readonly kinds: readonly FaultKind[];
  readonly links: readonly string[];
  /** Names of nodes, proxies and control replicas. */
  readonly processes: readonly string[];
  /** Names of those whose clock can be set: no Meilisearch's. */
  readonly clocks: readonly string[];
}

/** Before the first fault and after the last one, so that a run has a beginning and an end to compare with. */
const QUIET_MS = 2_000;

/** Kinds that come at least once in so many milliseconds, so that no run of some length goes without. */
const AT_LEAST_EVERY_MS: ReadonlyMap<FaultKind, number> = new Map([
  ["kill", 25_000],
  ["topology", 10_000],
]);

/** Draws a schedule, in order of time. The same options give the same schedule. */
export function drawSchedule(options: ScheduleOptions): readonly PlannedFault[] {
  const random = seededRandom(options.seed);
  const faults: PlannedFault[] = [];
  if (options.kinds.length === 0) return faults;
  for (
    let at = QUIET_MS + random.below(1_000);
    at < options.durationMs - QUIET_MS;
    at += 700 + random.below(3_500)
  ) {
    faults.push(drawFault(random, at, random.pick(options.kinds), options));
  }
  for (const [kind, everyMs] of AT_LEAST_EVERY_MS) {
    if (!options.kinds.includes(kind)) continue;
    for (let from = QUIET_MS; from + everyMs <= options.durationMs - QUIET_MS; from += everyMs) {
      faults.push(drawFault(random, from + random.below(everyMs), kind, options));
    }
  }
  return faults.toSorted((a, b) => a.at - b.at);
}

function drawFault(
  random: SeededRandom,
  at: number,
  kind: FaultKind,
  options: ScheduleOptions,
): PlannedFault {
  switch (kind) {
    case "kill":
      return { at, kind, process: random.pick(options.processes), forMs: downTime(random) };
    case "pause":
      return { at, kind, process: random.pick(options.processes), forMs: spell(random, 7_000) };
    case "clock":
      return {
        at,
        kind,
        process: random.pick(options.clocks),
        offsetMs: random.pick([-3_600_000, -5_000, -300, 300, 5_000, 3_600_000]),
      };
    case "topology":
      return { at, kind, draw: random.next() };
    default:
      return {
        at,
        kind: "link",
        link: random.pick(options.links),
        fault: drawLinkFault(random, kind),
        forMs: spell(random, 5_000),
      };
  }
}

function drawLinkFault(
  random: SeededRandom,
  kind: Exclude<FaultKind, "kill" | "pause" | "clock" | "topology">,
): LinkFault {
  switch (kind) {
    case "delay":
      return { kind, delayMs: random.pick([5, 50, 300, 1_500]) };
    case "slow":
      return { kind, bytesPerSecond: random.pick([2_000, 20_000, 200_000]) };
    case "cut":
      return { kind, direction: random.pick(["request", "reply"] as const) };
    case "reset":
      return { kind, every: 1 + random.below(4) };
    case "drop":
    case "half-open":
      return { kind };
  }
}

/** Sometimes longer than the fleet waits before it does without a node. */
function downTime(random: SeededRandom): number {
  return random.chance(0.15) ? 15_000 : spell(random, 4_000);
}

/** Mostly short, sometimes as long as it may be. */
function spell(random: SeededRandom, longestMs: number): number {
  return Math.round(200 + random.next() ** 2 * longestMs);
}
