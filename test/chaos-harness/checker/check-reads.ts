/** Looks for reads of one document that no order of its writes explains. */
import { afterWrite, type DocumentState, stateText, writesIn } from "../documents.js";
import type { WriteRecord } from "../history.js";
import { described, describedState, type KeyHistory, type KeyRead, type KeyWrite } from "./key-history.js";
import type { Violation, ViolationKind } from "./violation.js";
import { findWriteOrder } from "./write-order.js";

/** At most so many breaches are told of one document. */
const MAX_TOLD = 3;

/**
 * Every read of one document must be explained by one order of its writes. What is plainly wrong is called by its name:
 * a value of no write, an acknowledged write that is missing, a deleted document that is back, an older value where a
 * newer one had to be seen. Whatever is left is searched for an order.
 *
 * @param allWrites every write of the history by its number, for values that writes of other documents explain
 */
export function checkReads(
  history: KeyHistory,
  allWrites: ReadonlyMap<number, WriteRecord>,
): readonly Violation[] {
  const violations: Violation[] = [];
  for (const read of history.reads) {
    const fault =
      read.state === undefined ? missing(read, history) : wrong(read, read.state, history, allWrites);
    if (fault === undefined) continue;
    violations.push({
      kind: fault.kind,
      detail: `${history.key}: ${describedState(read.state)} by ${described(read.record)}: ${fault.why}`,
    });
    if (violations.length === MAX_TOLD) break;
  }
  return violations.length > 0 ? violations : searchOrder(history);
}

interface Fault {
  readonly kind: ViolationKind;
  readonly why: string;
}

/** No document, although a write that made one had to be visible and nothing can have deleted it since. */
function missing({ record }: KeyRead, { writes }: KeyHistory): Fault | undefined {
  const deletes = writes.filter(({ record: { write, start } }) => isDelete(write) && start <= record.end);
  const lost = writes.find(
    (made) =>
      !isDelete(made.record.write) &&
      made.visibleBy < record.start &&
      !deletes.some((deletion) => deletion.orderedBy >= made.record.start),
  );
  return lost && { kind: "lost", why: `${told(lost.record)} had succeeded, and nothing deleted it` };
}

function wrong(
  { record }: KeyRead,
  state: DocumentState,
  { key, writes }: KeyHistory,
  allWrites: ReadonlyMap<number, WriteRecord>,
): Fault | undefined {
  for (const id of writesIn(state)) {
    const write = allWrites.get(id);
    const unexplained = whyImpossible(write, key, record.end);
    if (unexplained !== undefined) return { kind: "phantom", why: `write ${id} ${unexplained}` };
    const held = writes.find((candidate) => candidate.record.id === id);
    const overwritten = held && writes.find((later) => mustHaveReplaced(later, held, record.start));
    if (overwritten !== undefined) {
      return isDelete(overwritten.record.write)
        ? {
            kind: "resurrected",
            why: `write ${id} was deleted by ${told(overwritten.record)}, which had succeeded`,
          }
        : {
            kind: "stale",
            why: `write ${id} was replaced by ${told(overwritten.record)}, which had succeeded`,
          };
    }
  }
  const lost = writes.find((update) => lacks(state, update, writes, record));
  return lost && { kind: "lost", why: `${told(lost.record)} had succeeded, and nothing replaced it` };
}

function whyImpossible(write: WriteRecord | undefined, key: string, end: number): string | undefined {
  if (write === undefined) return "was never made";
  if (!write.keys.includes(key)) return `is not of ${key}`;
  if (isDelete(write.write)) return "is a deletion";
  if (write.outcome === "refused") return `was refused (${write.answer})`;
  if (write.task !== undefined && write.task.status !== "succeeded")
    return `has a task that ${write.task.status}`;
  if (write.start > end) return "had not begun";
  return undefined;
}

/** Whether `later` certainly came behind `held`, had to be visible, and leaves nothing of it. */
function mustHaveReplaced(later: KeyWrite, held: KeyWrite, readStart: number): boolean {
  if (later.record.start <= held.orderedBy || later.visibleBy >= readStart) return false;
  const { write, slot } = later.record;
  return write !== "update" || (held.record.write === "update" && held.record.slot === slot);
}

/** Whether a partial update had to be visible and is not in the state, although nothing can have replaced it. */
function lacks(
  state: DocumentState,
  update: KeyWrite,
  writes: readonly KeyWrite[],
  read: { readonly start: number; readonly end: number },
): boolean {
  const { write, slot, start, id } = update.record;
  if (write !== "update" || update.visibleBy >= read.start || state.slots[slot] === id) return false;
  return !writes.some(
    (other) =>
      other !== update &&
      (other.record.write !== "update" || other.record.slot === slot) &&
      other.record.start <= read.end &&
      other.orderedBy >= start,
  );
}

function searchOrder({ key, writes, reads }: KeyHistory): readonly Violation[] {
  const verdict = findWriteOrder<DocumentState | undefined>(
    writes.map(({ record, orderedBy, visibleBy, optional }) => ({
      id: record.id,
      start: record.start,
      orderedBy,
      visibleBy,
      optional,
      apply: (state) => afterWrite(state, record),
    })),
    reads.map(({ record, state }) => ({ start: record.start, end: record.end, value: stateText(state) })),
    { initial: undefined, text: stateText, once: (state) => state !== undefined },
  );
  switch (verdict.kind) {
    case "legal":
      return [];
    case "undecided":
      return [{ kind: "undecided", detail: `${key}: too many orders of ${writes.length} writes` }];
    case "illegal":
      return [
        {
          kind: "no-legal-order",
          detail: `${key}: behind ${verdict.order.slice(-6).join(", ")} nothing explains ${verdict.unexplained.join("; ")}`,
        },
      ];
  }
}

function isDelete(write: WriteRecord["write"]): boolean {
  return write === "delete" || write === "delete-by-filter";
}

function told({ id, write, start, end, task }: WriteRecord): string {
  const seen = task === undefined ? "" : `, ${task.status} at ${task.at.toFixed(1)}`;
  return `write ${id} (${write}, [${start.toFixed(1)}, ${end.toFixed(1)}]${seen})`;
}
