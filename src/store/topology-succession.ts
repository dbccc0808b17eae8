import { ConflictError, InvalidArgumentError } from "./errors.js";
import { checkInteger, checkText } from "./limits.js";
import type { FencingToken } from "./tables/lease.js";
import type { TopologyEpoch, TopologyRow } from "./tables/topology.js";

/** Refuses a topology that no store would take under this fence, whatever it holds: `InvalidArgumentError`. */
export function checkTopology(next: TopologyRow, fence: FencingToken): void {
  checkInteger(next.counter, 0, Number.MAX_SAFE_INTEGER, "A topology's counter");
  checkText(next.clusterId, "A topology's cluster id");
  checkText(next.contentHash, "A topology's content hash");
  if (next.term !== fence.term) {
    throw new InvalidArgumentError(
      `A topology of term ${next.term} cannot be saved under term ${fence.term}: a leader publishes under its own term.`,
    );
  }
}

/**
 * Refuses, with `ConflictError`, to put `next` in the place of what is stored: where that is not at `expected`, or
 * `next` does not come after it on the cluster's line of epochs (invariant 1).
 */
export function checkSuccession(
  stored: TopologyEpoch | undefined,
  expected: TopologyEpoch | undefined,
  next: TopologyEpoch,
): void {
  if (!isSame(stored, expected)) {
    throw new ConflictError(
      `The stored topology is at ${describe(stored)}, not at ${describe(expected)}. Load it and decide again.`,
    );
  }
  if (stored !== undefined && !grows(stored, next)) {
    throw new ConflictError(
      `A topology at ${describe(next)} does not follow ${describe(stored)}: epochs of one cluster only grow.`,
    );
  }
}

function isSame(a: TopologyEpoch | undefined, b: TopologyEpoch | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.clusterId === b.clusterId && a.term === b.term && a.counter === b.counter;
}

function grows(stored: TopologyEpoch, next: TopologyEpoch): boolean {
  if (stored.clusterId !== next.clusterId) return false;
  return next.term > stored.term || (next.term === stored.term && next.counter > stored.counter);
}

function describe(epoch: TopologyEpoch | undefined): string {
  return epoch === undefined ? "no epoch" : `${epoch.clusterId} ${epoch.term}.${epoch.counter}`;
}
