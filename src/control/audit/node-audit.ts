import { MeilisearchError } from "../../meilisearch/errors.js";
import { parseTaskMetadata } from "../../meilisearch/task-metadata.js";
import { NodeUnavailableError } from "../../meilisearch/transport.js";
import { AuditCursor } from "./audit-cursor.js";
import type { LostTask, NodeAuditOptions } from "./audit-options.js";
import { LogPruning } from "./log-pruning.js";
import { LogReading } from "./log-reading.js";
import { OpenNodeTasks } from "./open-node-tasks.js";
import { TaskAccounts } from "./task-accounts.js";
import { Wakeup } from "./wakeup.js";

const FAILURE_BACKOFF_MS = 1_000;
/** The pause before the next turn, as a part of the time in which nothing has changed. */
const QUIET_SHARE = 0.15;
/** The longest pause while finished tasks wait for their registration. Milliseconds. */
const PENDING_INTERVAL_MS = 250;

/**
 * Follows one node's task log: completion, crash recovery and detection in one loop (design §5, invariants 7 and 13).
 *
 * A turn makes sure that the log is still the same one, reads what is new in it, accounts for that, and moves the cursor behind it; what is
 * read twice has the same effect as once.
 */
export class NodeAudit {
  readonly #options: NodeAuditOptions;
  readonly #wakeup: Wakeup;
  readonly #open = new OpenNodeTasks();
  readonly #cursor: AuditCursor;
  readonly #accounts: TaskAccounts;
  readonly #reading: LogReading;
  readonly #pruning: LogPruning;
  /** Uids of tasks that were open when the connection broke. */
  readonly #interrupted = new Set<number>();
  #mustVerify = true;
  #lastVerified = Number.NEGATIVE_INFINITY;
  /** Whether it is settled where this log begins to be Miroir's. */
  #begun = false;
  #last: Promise<unknown> = Promise.resolve();
  #stopped = false;
  #loop: Promise<void> | undefined;

  constructor(options: NodeAuditOptions) {
    this.#options = options;
    this.#wakeup = new Wakeup(options.world.timers);
    this.#cursor = new AuditCursor(options);
    this.#accounts = new TaskAccounts(options, this.#cursor, this.#open);
    this.#reading = new LogReading({
      log: options.log,
      tuning: options.tuning,
      cursor: this.#cursor,
      accounts: this.#accounts,
      isStopped: () => this.#stopped,
    });
    this.#pruning = new LogPruning(options);
  }

  /** Takes up where the stored frontier is, and follows the log until {@link stop}. */
  async start(): Promise<void> {
    const { store, nodeId } = this.#options;
    this.#begun = await this.#cursor.load();
    await this.#open.load(store, nodeId);
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#wakeup.wake();
    await this.#loop;
  }

  /** Node tasks of this node that Miroir waits for. */
  get openTasks(): number {
    return this.#open.size;
  }

  /** Client tasks with these unfinished node tasks have been recorded just now. */
  registered(uids: readonly number[]): void {
    // A node that has work is looked at soon anyway; a task that it has begun or finished already is not to wait for that.
    const isBusy = this.#open.size > 0 && !uids.some((uid) => this.#accounts.isSeen(uid));
    this.#accounts.registered(uids);
    if (!isBusy) this.#wakeup.wake();
  }

  /** Compares the log with the one that was followed before, at the next turn and before anything is read from it. */
  async verify(): Promise<void> {
    await this.#alone(() => this.#verifyLog());
    this.#wakeup.wake();
  }

  /**
   * Uids of the tasks that were open when the connection broke last, and of those that are now: where the node was killed, it may have run
   * one of their batches twice. Asking forgets them.
   */
  takeInterrupted(): readonly number[] {
    this.#noteInterrupted();
    const uids = [...this.#interrupted];
    this.#interrupted.clear();
    return uids;
  }

  #noteInterrupted(): void {
    for (const uid of this.#accounts.underWay()) this.#interrupted.add(uid);
  }

  /** Reads all that the log holds by now, and stores how far that is. Rejects where the node cannot be read. */
  async refresh(): Promise<void> {
    await this.#alone(async () => {
      await this.#turn();
      await this.#cursor.save();
    });
  }

  /** Resolves when every node task that is open now is final, or when the audit stops. */
  settled(): Promise<void> {
    return this.#open.settled();
  }

  /** Unfinished tasks in the node's log that carry Miroir's metadata. */
  async unfinished(): Promise<readonly LostTask[]> {
    const records = await this.#options.log.listUnfinished(10);
    return records.flatMap((record) => {
      const metadata = parseTaskMetadata(record.customMetadata);
      return metadata === undefined ? [] : [{ record, metadata }];
    });
  }

  async #run(): Promise<void> {
    const { tuning, logger, nodeId, sink, world } = this.#options;
    const busy = tuning.busyIntervalMs ?? 25;
    let interval: number;
    let changedAt = world.clock.monotonic();
    while (!this.#stopped) {
      try {
        if (await this.#alone(() => this.#turn())) changedAt = world.clock.monotonic();
        const slowest =
          this.#open.size > 0 ? (tuning.waitingIntervalMs ?? 150) : (tuning.idleIntervalMs ?? 1_000);
        // What took long already may be seen a little late: a client notices the part, not the milliseconds.
        const quietMs = world.clock.monotonic() - changedAt;
        interval = Math.min(Math.max(quietMs * QUIET_SHARE, busy), slowest);
        if (this.#accounts.isWaiting) interval = Math.min(interval, PENDING_INTERVAL_MS);
      } catch (error) {
        const isAway = error instanceof NodeUnavailableError;
        this.#mustVerify ||= isAway;
        if (isAway && error.isBroken) this.#noteInterrupted();
        const isRefused = error instanceof MeilisearchError && (error.status === 401 || error.status === 403);
        if (isRefused || (isAway && error.isBroken)) sink.lostTouch(nodeId);
        // The node's absence is told elsewhere; anything else would keep every task open in silence.
        const level = isAway || this.#stopped ? "debug" : "error";
        logger[level]({ err: error, node: nodeId }, "could not follow a node's task log");
        interval = FAILURE_BACKOFF_MS;
      }
      if (this.#stopped) break;
      if (await this.#wakeup.wait(interval)) changedAt = world.clock.monotonic();
    }
    this.#open.releaseAll();
    await this.#cursor.save().catch((error: unknown) => {
      logger.warn({ err: error, node: nodeId }, "could not store how far a node's task log was read");
    });
  }

  /** Turns and verifications take turns: both read the log and move the frontier. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#last.then(work);
    this.#last = run.catch(() => undefined);
    return run;
  }

  /** Reads what is new. True where any task changed. */
  async #turn(): Promise<boolean> {
    const { log, world, tuning, metrics, nodeId } = this.#options;
    const now = world.clock.monotonic();
    // A node can be restarted on other data between two requests, without either of them failing.
    const isDue = now - this.#lastVerified >= (tuning.verifyIntervalMs ?? 1_000);
    if (this.#mustVerify || isDue) await this.#verifyLog();
    if (!this.#begun) await this.#begin();
    await this.#accounts.takeRegistered();
    const seenBefore = this.#cursor.highest;
    const oldest = await log.oldestUnfinished();
    const changed = await this.#reading.read(oldest, now);
    await this.#accounts.settlePending();
    await this.#accounts.advance(oldest?.uid ?? seenBefore + 1);
    if (this.#cursor.isSaveDue(now) || (this.#open.size === 0 && changed)) await this.#cursor.save();
    if (this.#open.size === 0 && oldest === undefined) await this.#pruning.prune(this.#cursor.frontier);
    metrics.openNodeTasks.set({ node: nodeId }, this.#open.size);
    this.#open.releaseSettled();
    return changed;
  }

  /** A node that is met for the first time: what its log holds, but for what was registered, was not asked of it. */
  async #begin(): Promise<void> {
    const newest = await this.#options.log.newest();
    const end = newest === undefined ? 0 : newest.uid + 1;
    this.#beginAt(Math.min(end, ...this.#open.uids().slice(0, 10_000)));
    this.#begun = true;
    await this.#cursor.save();
  }

  /** A log that lacks the newest task known or accepted, or has another one in its place, belongs to another database. */
  async #verifyLog(): Promise<void> {
    const reason = await this.#cursor.identity.difference(this.#options.log, this.#open.highest());
    if (reason !== undefined) await this.#startOver(reason);
    this.#mustVerify = false;
    this.#lastVerified = this.#options.world.clock.monotonic();
  }

  /** Follows the new log from its end: what it holds so far is nothing that was asked of it. */
  async #startOver(reason: string): Promise<void> {
    const { log, sink, nodeId } = this.#options;
    const newest = await log.newest();
    await sink.logReplaced(nodeId, reason);
    this.#accounts.forget();
    this.#reading.forget();
    this.#beginAt(newest === undefined ? 0 : newest.uid + 1);
    this.#cursor.identity.forget();
    if (newest !== undefined) this.#cursor.identity.note(newest);
    await this.#cursor.save();
  }

  #beginAt(uid: number): void {
    this.#cursor.beginAt(uid);
    this.#pruning.beginAt(uid);
  }
}
