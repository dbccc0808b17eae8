import type { CopyProgress } from "../../gen/miroir/v1/copies_pb.js";
import { ShardCopyStep, type Topology } from "../../gen/miroir/v1/topology_pb.js";
import { stepName } from "../copy/copy-steps.js";
import { type OpenCopy, openCopies, shardsOf } from "./copy-starts.js";
import type { CopyTotals } from "./stored-workflow.js";

/** A copy that a workflow asked for, as it was last seen. */
export interface FollowedCopy extends OpenCopy {
  /** Undefined before its first report. */
  readonly progress: CopyProgress | undefined;
}

/** What has changed since the last look. */
export interface LedgerNews {
  /** Steps and ends, in words. */
  readonly events: readonly string[];
  readonly ended: readonly FollowedCopy[];
}

/** Milliseconds over which the rate is taken. */
const RATE_WINDOW_MS = 10_000;

/** Follows the copies of one workflow: what they did, and how fast. In memory; a new leader begins with those that it finds. */
export class CopyLedger {
  readonly #workflowId: string;
  readonly #copies = new Map<string, FollowedCopy>();
  #samples: { readonly at: number; readonly documents: number }[] = [];

  constructor(workflowId: string) {
    this.#workflowId = workflowId;
  }

  /** The copies under way when the ledger looked last. */
  open(): readonly FollowedCopy[] {
    return [...this.#copies.values()];
  }

  /**
   * Looks at the workflow's copies.
   *
   * @param done documents copied by those that ended before
   * @param now monotonic, in milliseconds
   */
  look(
    topology: Topology,
    progressOf: (copyId: string) => CopyProgress | undefined,
    done: number,
    now: number,
  ): LedgerNews {
    const events: string[] = [];
    const ended: FollowedCopy[] = [];
    const open = openCopies(topology).filter(({ copy }) => copy.workflowId === this.#workflowId);
    const ids = new Set(open.map(({ copy }) => copy.id));
    for (const [id, before] of this.#copies) {
      if (ids.has(id)) continue;
      const last = { ...before, progress: progressOf(id) ?? before.progress };
      this.#copies.delete(id);
      ended.push(last);
      events.push(`${nameOf(last)} ended${told(last.progress)}`);
    }
    for (const { index, copy } of open) {
      const before = this.#copies.get(copy.id);
      const after = { index, copy, progress: progressOf(copy.id) ?? before?.progress };
      this.#copies.set(copy.id, after);
      if (before !== undefined && before.copy.step !== copy.step)
        events.push(`${nameOf(after)} is ${stepName(copy.step)}`);
    }
    const copied = this.open().reduce(
      (sum, { progress }) => sum + Number(progress?.documentsCopied ?? 0n),
      0,
    );
    this.#sample(now, done + ended.reduce((sum, copy) => sum + copiedBy(copy), 0) + copied);
    return { events, ended };
  }

  /** Documents copied in a second, of late. */
  rate(): number {
    const [first] = this.#samples;
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined || last.at === first.at) return 0;
    return Math.max(0, ((last.documents - first.documents) * 1_000) / (last.at - first.at));
  }

  #sample(at: number, documents: number): void {
    this.#samples = [...this.#samples.filter((sample) => sample.at > at - RATE_WINDOW_MS), { at, documents }];
  }
}

/** A copy, as events name it. */
export function nameOf({ index, copy }: OpenCopy): string {
  const shards = [...new Set(copy.moves.map(({ shard }) => shard))];
  const moved = shards.length === 0 ? [] : [`${shards.length === 1 ? "shard" : "shards"} ${list(shards)}`];
  const repaired = copy.repairNodeIds.length === 0 ? [] : [`repair of ${copy.repairNodeIds.join(", ")}`];
  const split = copy.splitShards === 0 ? [] : [`split into ${copy.splitShards} shards`];
  return `copy of index ${index.uid} (${[...moved, ...repaired, ...split].join("; ")})`;
}

/** What ended copies did, on top of what others did before them. */
export function addTotals(totals: CopyTotals, ended: readonly FollowedCopy[]): CopyTotals {
  return ended.reduce(
    (sum, followed) => ({
      // One that ended before its switch was taken back.
      shards: sum.shards + (hasSwitched(followed) ? shardsOf(followed) : 0),
      documentsCopied: sum.documentsCopied + copiedBy(followed),
      documentsDeleted: sum.documentsDeleted + Number(followed.progress?.documentsDeleted ?? 0n),
      documentsDiffering: sum.documentsDiffering + Number(followed.progress?.documentsDiffering ?? 0n),
      bytesCopied: sum.bytesCopied + Number(followed.progress?.bytesCopied ?? 0n),
      maxPauseMs: Math.max(sum.maxPauseMs, followed.progress?.pauseMs ?? 0),
    }),
    totals,
  );
}

/** Whether the copy's new replicas serve. */
export function hasSwitched({ copy }: OpenCopy): boolean {
  return copy.step !== ShardCopyStep.PLANNED && copy.step !== ShardCopyStep.COPYING;
}

function copiedBy({ progress }: FollowedCopy): number {
  return Number(progress?.documentsCopied ?? 0n);
}

function told(progress: CopyProgress | undefined): string {
  if (progress === undefined) return "";
  const { bytesCopied, documentsCopied, documentsDeleted } = progress;
  return `: ${documentsCopied} documents copied (${bytesCopied} bytes), ${documentsDeleted} deleted`;
}

function list(numbers: readonly number[]): string {
  const named = numbers.slice(0, 8).join(", ");
  return numbers.length > 8 ? `${named} and ${numbers.length - 8} more` : named;
}
