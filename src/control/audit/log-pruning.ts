import type { NodeAuditOptions } from "./audit-options.js";

/** Keeps a node's task log short: renames and the node's queue limit need it so. */
export class LogPruning {
  readonly #options: Pick<NodeAuditOptions, "log" | "tuning">;
  #prunedBelow = 0;

  constructor(options: Pick<NodeAuditOptions, "log" | "tuning">) {
    this.#options = options;
  }

  /** What is below a uid is none of Miroir's, and counts as pruned. */
  beginAt(uid: number): void {
    this.#prunedBelow = uid;
  }

  /** Deletes finished tasks, once there are enough of them below the frontier. Rejects where the node cannot be asked. */
  async prune(frontier: number): Promise<void> {
    const { log, tuning } = this.#options;
    const keep = tuning.keepFinished ?? 1_000;
    const after = tuning.pruneAfter ?? 5_000;
    if (after === 0 || frontier - this.#prunedBelow < keep + after) return;
    const oldestKept = await log.find(frontier - keep);
    if (oldestKept !== undefined) await log.prune(oldestKept.enqueuedAt);
    this.#prunedBelow = frontier - keep;
  }
}
