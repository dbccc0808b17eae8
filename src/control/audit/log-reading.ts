import type { NodeTaskRecord } from "../../meilisearch/node-client.js";
import { laterNodeTime, safeWatermark } from "../../meilisearch/node-time.js";
import type { AuditCursor } from "./audit-cursor.js";
import type { NodeAuditOptions } from "./audit-options.js";
import type { TaskAccounts } from "./task-accounts.js";

/** What {@link LogReading} works with. */
export interface LogReadingOptions extends Pick<NodeAuditOptions, "log" | "tuning"> {
  readonly cursor: AuditCursor;
  /** Takes what is read. */
  readonly accounts: TaskAccounts;
  /** Whether reading is to end before the next page. */
  readonly isStopped: () => boolean;
}

/**
 * Reads what began and what finished in one node's log since the last look, in pages, never task by task. By the node's own times, which may
 * jump; so everything above the frontier is read again from time to time.
 */
export class LogReading {
  readonly #options: LogReadingOptions;
  #finishedAt: string | undefined;
  #startedAt: string | undefined;
  /** The batch that the node worked on at the last look, all of which was read. */
  #batch: string | undefined;
  #lastRescan = Number.NEGATIVE_INFINITY;

  constructor(options: LogReadingOptions) {
    this.#options = options;
  }

  /**
   * Reads what is new. True where any task changed. Rejects where the node cannot be read.
   *
   * @param oldest the node's oldest unfinished task
   * @param now on the monotonic clock
   */
  async read(oldest: NodeTaskRecord | undefined, now: number): Promise<boolean> {
    const { accounts, tuning } = this.#options;
    const batch = batchOf(oldest);
    const isRescan = now - this.#lastRescan >= (tuning.rescanIntervalMs ?? 10_000);
    // A node works on one batch at a time, so that nothing has finished or begun while it works on the one that was read already.
    const isRead = batch !== undefined && batch === this.#batch && !isRescan;
    const changed = !isRead && (await this.#readChanges(oldest !== undefined, isRescan));
    this.#batch = accounts.isFull ? undefined : batch;
    if (isRescan && !accounts.isFull) this.#lastRescan = now;
    return changed;
  }

  /** Reads another log from its beginning. */
  forget(): void {
    this.#finishedAt = undefined;
    this.#startedAt = undefined;
    this.#batch = undefined;
  }

  async #readChanges(isBusy: boolean, isRescan: boolean): Promise<boolean> {
    const begun = isBusy && (await this.#readStarted());
    if (this.#options.accounts.isFull) return begun;
    return (await this.#readFinished(isRescan ? undefined : this.#finishedAt)) || begun;
  }

  async #readStarted(): Promise<boolean> {
    const { accounts, log } = this.#options;
    const records = await log.processing(this.#startedAt);
    const changed = await accounts.started(records);
    for (const record of records) this.#startedAt = laterNodeTime(this.#startedAt, record.startedAt);
    if (this.#startedAt !== undefined) this.#startedAt = safeWatermark(this.#startedAt);
    return changed;
  }

  async #readFinished(finishedAfter: string | undefined): Promise<boolean> {
    const { accounts, cursor, isStopped, log } = this.#options;
    let changed = false;
    let first = true;
    for await (const page of log.finished(cursor.frontier, finishedAfter)) {
      if (isStopped()) break;
      const fresh = page.filter(({ uid }) => !accounts.isFinal(uid));
      if (fresh.length > 0) {
        changed = true;
        await accounts.finished(fresh);
      }
      // What a later page shows may have finished after the first one was read, and with it older tasks.
      if (first) {
        for (const { finishedAt } of page) this.#finishedAt = laterNodeTime(this.#finishedAt, finishedAt);
        if (this.#finishedAt !== undefined) this.#finishedAt = safeWatermark(this.#finishedAt);
        first = false;
      }
      if (accounts.isFull) break;
    }
    return changed;
  }
}

/** Names the batch that a node works on, by its oldest unfinished task; undefined where that does not tell. */
function batchOf(oldest: NodeTaskRecord | undefined): string | undefined {
  if (oldest?.status !== "processing") return undefined;
  return `${oldest.uid} ${oldest.batchUid} ${oldest.startedAt}`;
}
