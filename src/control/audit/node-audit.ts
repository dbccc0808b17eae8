import { MeilisearchError } from "../../meilisearch/errors.js";
import type { NodeTaskRecord } from "../../meilisearch/node-client.js";
import { laterNodeTime, nodeTimeMs, safeWatermark } from "../../meilisearch/node-time.js";
import { OWN_TASK_UID, parseTaskMetadata, type TaskMetadata } from "../../meilisearch/task-metadata.js";
import { NodeUnavailableError } from "../../meilisearch/transport.js";
import { type NodeTaskUid, nodeTaskUid } from "../../store/task-store.js";
import type { LostTask, NodeAuditOptions } from "./audit-options.js";
import { LogIdentity } from "./log-identity.js";
import { lostUpdate, updateOf } from "./node-task-updates.js";
import { SessionChains } from "./session-chains.js";
import { Wakeup } from "./wakeup.js";

interface Pending {
  readonly record: NodeTaskRecord;
  readonly since: number;
}

/** Unregistered tasks held at once; the log is not read further while there are more. */
const MAX_PENDING = 20_000;
/** Uids named in one request. */
const LOOK_UP = 500;
/** Accounted tasks remembered above the frontier; what is forgotten is applied again, without effect. */
const MAX_ACCOUNTED = 200_000;
const FAILURE_BACKOFF_MS = 1_000;
/** The pause before the next turn, as a part of the time in which nothing has changed. */
const QUIET_SHARE = 0.15;
const SAVE_INTERVAL_MS = 1_000;

/**
 * Follows one node's task log: completion, crash recovery and detection in one loop (design §5, invariants 7 and 13).
 *
 * Everything below the frontier is final and accounted for. A turn reads what finished since the last one, in pages,
 * never task by task; what is read twice has the same effect as once, so that the stored frontier
 * may lag behind.
 */
export class NodeAudit {
  readonly #options: NodeAuditOptions;
  readonly #wakeup: Wakeup;
  readonly #chains = new SessionChains();
  /** Uids of registered node tasks that are not final. */
  readonly #open = new Set<number>();
  /** Final node tasks whose client task is not recorded yet. */
  readonly #pending = new Map<number, Pending>();
  /** Started tasks whose client task is not recorded yet. */
  readonly #early = new Map<number, NodeTaskRecord>();
  /** Accounted for above the frontier, with the metadata that is checked in order of uid. */
  readonly #accounted = new Map<number, { record: NodeTaskRecord; metadata: TaskMetadata | undefined }>();
  #frontier = 0;
  #highest = -1;
  readonly #identity = new LogIdentity();
  #finishedAt: string | undefined;
  #startedAt: string | undefined;
  /** The batch that the node worked on at the last turn, all of which was read. */
  #batch: string | undefined;
  #lastRescan = Number.NEGATIVE_INFINITY;
  #lastSave = Number.NEGATIVE_INFINITY;
  #savedFrontier = -1;
  #savedIdentity = "";
  #prunedBelow = 0;
  readonly #interrupted = new Set<number>();
  #mustVerify = true;
  #lastVerified = Number.NEGATIVE_INFINITY;
  /** Whether it is settled where this log begins to be Miroir's. */
  #begun = false;
  /** Announced by {@link registered} since the last turn. */
  #registered: number[] = [];
  #waiting: { readonly uids: ReadonlySet<number>; readonly resolve: () => void }[] = [];
  #last: Promise<unknown> = Promise.resolve();
  #stopped = false;
  #loop: Promise<void> | undefined;

  constructor(options: NodeAuditOptions) {
    this.#options = options;
    this.#wakeup = new Wakeup(options.world.timers);
  }

  /** Takes up where the stored frontier is, and follows the log until {@link stop}. */
  async start(): Promise<void> {
    const { store, nodeId } = this.#options;
    const cursor = await store.nodeCursors.get(nodeId);
    if (cursor !== undefined) {
      this.#begun = true;
      this.#frontier = cursor.frontierUid === null ? 0 : cursor.frontierUid + 1;
      this.#highest = cursor.lastSeenUid ?? -1;
      this.#identity.restore(cursor.identity);
    }
    let after: NodeTaskUid | undefined;
    for (;;) {
      const page = await store.tasks.openNodeTasks(nodeId, {
        limit: 10_000,
        ...(after === undefined ? {} : { after }),
      });
      for (const task of page) this.#open.add(task.nodeTaskUid);
      after = page.at(-1)?.nodeTaskUid;
      if (page.length < 10_000) break;
    }
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
    const isBusy = this.#open.size > 0 && !uids.some((uid) => this.#isSeen(uid));
    for (const uid of uids) this.#open.add(uid);
    this.#registered.push(...uids);
    if (!isBusy) this.#wakeup.wake();
  }

  #isSeen(uid: number): boolean {
    return uid < this.#frontier || this.#pending.has(uid) || this.#accounted.has(uid) || this.#early.has(uid);
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
    for (const uid of [...this.#open, ...this.#early.keys()]) this.#interrupted.add(uid);
  }

  /** Reads all that the log holds by now, and stores how far that is. Rejects where the node cannot be read. */
  async refresh(): Promise<void> {
    await this.#alone(async () => {
      await this.#turn();
      await this.#save();
    });
  }

  /** Resolves when every node task that is open now is final, or when the audit stops. */
  settled(): Promise<void> {
    if (this.#open.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ uids: new Set(this.#open), resolve }));
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
        if (this.#pending.size > 0) interval = Math.min(interval, 250);
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
    this.#releaseWaiting();
    await this.#save().catch((error: unknown) => {
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
    await this.#takeRegistered();
    const seenBefore = this.#highest;
    const oldest = await log.oldestUnfinished();
    const batch = batchOf(oldest);
    const rescan = now - this.#lastRescan >= (tuning.rescanIntervalMs ?? 10_000);
    // A node works on one batch at a time, so that nothing has finished or begun while it works on the one that was read already.
    const isRead = batch !== undefined && batch === this.#batch && !rescan;
    const changed = !isRead && (await this.#readChanges(oldest !== undefined, rescan));
    const isWhole = this.#pending.size < MAX_PENDING;
    this.#batch = isWhole ? batch : undefined;
    if (rescan && isWhole) this.#lastRescan = now;
    await this.#settlePending();
    await this.#advance(oldest?.uid ?? seenBefore + 1);
    await this.#lookUp([...this.#open].filter((uid) => uid < this.#frontier));
    if (now - this.#lastSave >= SAVE_INTERVAL_MS || (this.#open.size === 0 && changed)) await this.#save();
    if (this.#open.size === 0 && oldest === undefined) await this.#prune();
    metrics.openNodeTasks.set({ node: nodeId }, this.#open.size);
    this.#releaseWaiting();
    return changed;
  }

  #releaseWaiting(): void {
    this.#waiting = this.#waiting.filter(({ uids, resolve }) => {
      if (!this.#stopped && [...uids].some((uid) => this.#open.has(uid))) return true;
      resolve();
      return false;
    });
  }

  /** A node that is met for the first time: what its log holds, but for what was registered, was not asked of it. */
  async #begin(): Promise<void> {
    const newest = await this.#options.log.newest();
    this.#frontier = Math.min(newest === undefined ? 0 : newest.uid + 1, ...[...this.#open].slice(0, 10_000));
    this.#highest = this.#frontier - 1;
    this.#prunedBelow = this.#frontier;
    this.#begun = true;
    await this.#save();
  }

  /** Registrations that came after their node tasks had finished, or even after they had been judged. */
  async #takeRegistered(): Promise<void> {
    const uids = this.#registered;
    this.#registered = [];
    const finished: NodeTaskRecord[] = [];
    const late: number[] = [];
    for (const uid of uids) {
      const known = this.#pending.get(uid)?.record ?? this.#accounted.get(uid)?.record;
      if (known !== undefined) finished.push(known);
      else if (uid < this.#frontier) late.push(uid);
    }
    if (finished.length > 0) await this.#account(finished);
    const started = uids.flatMap((uid) => this.#early.get(uid) ?? []);
    if (started.length > 0)
      await this.#options.sink.apply(started.map((record) => updateOf(this.#options.nodeId, record)));
    for (const { uid } of started) this.#early.delete(uid);
    await this.#lookUp(late);
  }

  /** Open tasks below the frontier: applied as the log has them, and as failed where it has them no longer. */
  async #lookUp(uids: readonly number[]): Promise<void> {
    for (let at = 0; at < uids.length; at += LOOK_UP) {
      const asked = uids.slice(at, at + LOOK_UP);
      const found = await this.#options.log.findMany(asked);
      const final = found.filter((record) => record.finishedAt !== null);
      if (final.length > 0) await this.#account(final);
      const gone = asked.filter((uid) => !found.some((record) => record.uid === uid));
      if (gone.length === 0) continue;
      await this.#options.sink.apply(
        gone.map((uid) =>
          lostUpdate(
            this.#options.nodeId,
            uid,
            `Node ${this.#options.nodeId} no longer knows its task ${uid}.`,
          ),
        ),
      );
      for (const uid of gone) this.#open.delete(uid);
    }
  }

  /** What began and what finished since the last look. True where any task changed. */
  async #readChanges(isBusy: boolean, isRescan: boolean): Promise<boolean> {
    const begun = isBusy && (await this.#readProcessing());
    if (this.#pending.size >= MAX_PENDING) return begun;
    return (await this.#readFinished(isRescan ? undefined : this.#finishedAt)) || begun;
  }

  async #readProcessing(): Promise<boolean> {
    const records = await this.#options.log.processing(this.#startedAt);
    const started = records.filter((record) => this.#open.has(record.uid));
    for (const record of records) {
      if (!this.#open.has(record.uid) && this.#early.size < MAX_PENDING) this.#early.set(record.uid, record);
    }
    if (started.length > 0)
      await this.#options.sink.apply(started.map((record) => updateOf(this.#options.nodeId, record)));
    for (const record of records) this.#startedAt = laterNodeTime(this.#startedAt, record.startedAt);
    if (this.#startedAt !== undefined) this.#startedAt = safeWatermark(this.#startedAt);
    return started.length > 0;
  }

  async #readFinished(finishedAfter: string | undefined): Promise<boolean> {
    let changed = false;
    let first = true;
    for await (const page of this.#options.log.finished(this.#frontier, finishedAfter)) {
      if (this.#stopped) break;
      const fresh = page.filter(
        ({ uid }) => uid >= this.#frontier && !this.#accounted.has(uid) && !this.#pending.has(uid),
      );
      if (fresh.length > 0) {
        changed = true;
        await this.#account(fresh);
      }
      // What a later page shows may have finished after the first one was read, and with it older tasks.
      if (first) {
        for (const { finishedAt } of page) this.#finishedAt = laterNodeTime(this.#finishedAt, finishedAt);
        if (this.#finishedAt !== undefined) this.#finishedAt = safeWatermark(this.#finishedAt);
        first = false;
      }
      if (this.#pending.size >= MAX_PENDING) break;
    }
    return changed;
  }

  /** Applies finished tasks; those without a client task wait for their registration. */
  async #account(records: readonly NodeTaskRecord[]): Promise<void> {
    const { sink, world, metrics, nodeId } = this.#options;
    // Before anybody sees a task as finished: another leader, too, has to know a log by it that comes back without it.
    for (const record of records) this.#identity.note(record);
    await this.#save();
    const unknown = new Set(
      (await sink.apply(records.map((record) => updateOf(this.#options.nodeId, record)))).map(
        (update) => update.nodeTaskUid,
      ),
    );
    const now = world.clock.now();
    for (const record of records) {
      this.#highest = Math.max(this.#highest, record.uid);
      if (unknown.has(record.uid as NodeTaskUid)) {
        if (isOwn(record)) {
          this.#done(record, "own");
          continue;
        }
        if (!this.#pending.has(record.uid)) {
          this.#pending.set(record.uid, { record, since: world.clock.monotonic() });
        }
        continue;
      }
      this.#done(record, "registered");
      const finishedAt = nodeTimeMs(record.finishedAt);
      if (finishedAt !== null) metrics.stateLatency.observe(Math.max(0, now - finishedAt) / 1_000);
    }
    metrics.openNodeTasks.set({ node: nodeId }, this.#open.size);
  }

  #done(record: NodeTaskRecord, kind: string): void {
    this.#open.delete(record.uid);
    this.#pending.delete(record.uid);
    this.#early.delete(record.uid);
    this.#accounted.set(record.uid, { record, metadata: parseTaskMetadata(record.customMetadata) });
    const oldest = this.#accounted.keys().next();
    if (this.#accounted.size > MAX_ACCOUNTED && !oldest.done) this.#accounted.delete(oldest.value);
    this.#options.metrics.auditTasks.inc({ node: this.#options.nodeId, kind });
  }

  /** Decides about tasks that nobody registered within the grace. */
  async #settlePending(): Promise<void> {
    if (this.#pending.size === 0) return;
    const { sink, world, tuning, nodeId } = this.#options;
    const due = world.clock.monotonic() - (tuning.registrationGraceMs ?? 10_000);
    const lost: LostTask[] = [];
    for (const { record, since } of [...this.#pending.values()]) {
      const metadata = parseTaskMetadata(record.customMetadata);
      if (since > due) continue;
      if (metadata !== undefined) lost.push({ record, metadata });
      else this.#done(record, await sink.judgeUnregistered(nodeId, record));
    }
    if (lost.length === 0) return;
    await sink.rebuild(nodeId, lost);
    for (const { record } of lost) this.#done(record, "rebuilt");
  }

  /** Moves the frontier up to `lowestUnfinished`, or to the first task that waits for its registration. */
  async #advance(lowestUnfinished: number): Promise<void> {
    let target = lowestUnfinished;
    for (const uid of this.#pending.keys()) target = Math.min(target, uid);
    if (target <= this.#frontier) return;
    const passed = [...this.#accounted.keys()].filter((uid) => uid < target).sort((a, b) => a - b);
    for (const uid of passed) {
      const entry = this.#accounted.get(uid);
      this.#accounted.delete(uid);
      if (entry?.metadata !== undefined && this.#chains.note(entry.metadata)) {
        await this.#options.sink.missingWrite(this.#options.nodeId, entry.record, entry.metadata);
      }
    }
    this.#frontier = target;
  }

  async #save(): Promise<void> {
    const { store, nodeId, world, fence } = this.#options;
    this.#lastSave = world.clock.monotonic();
    const identity = this.#identity.toString();
    if (this.#savedFrontier === this.#frontier && this.#savedIdentity === identity) return;
    const row = {
      nodeId,
      frontierUid: this.#frontier === 0 ? null : nodeTaskUid(this.#frontier - 1),
      lastSeenUid: this.#highest < 0 ? null : nodeTaskUid(this.#highest),
      identity,
      updatedAt: world.clock.now(),
    };
    await store.nodeCursors.put([row], fence());
    this.#savedFrontier = this.#frontier;
    this.#savedIdentity = identity;
  }

  /** A log that lacks the newest task known or accepted, or has another one in its place, belongs to another database. */
  async #verifyLog(): Promise<void> {
    let accepted = -1;
    for (const uid of this.#open) accepted = Math.max(accepted, uid);
    const reason = await this.#identity.difference(this.#options.log, accepted);
    if (reason !== undefined) await this.#startOver(reason);
    this.#mustVerify = false;
    this.#lastVerified = this.#options.world.clock.monotonic();
  }

  /** Follows the new log from its end: what it holds so far is nothing that was asked of it. */
  async #startOver(reason: string): Promise<void> {
    const { log, sink, nodeId } = this.#options;
    const newest = await log.newest();
    await sink.logReplaced(nodeId, reason);
    this.#open.clear();
    this.#registered = [];
    this.#pending.clear();
    this.#early.clear();
    this.#accounted.clear();
    this.#frontier = newest === undefined ? 0 : newest.uid + 1;
    this.#highest = newest?.uid ?? -1;
    this.#identity.forget();
    if (newest !== undefined) this.#identity.note(newest);
    this.#finishedAt = undefined;
    this.#startedAt = undefined;
    this.#batch = undefined;
    this.#prunedBelow = this.#frontier;
    await this.#save();
  }

  /** Renames and the node's queue limit need a short log. */
  async #prune(): Promise<void> {
    const { log, tuning } = this.#options;
    const keep = tuning.keepFinished ?? 1_000;
    const after = tuning.pruneAfter ?? 5_000;
    if (after === 0 || this.#frontier - this.#prunedBelow < keep + after) return;
    const oldestKept = await log.find(this.#frontier - keep);
    if (oldestKept !== undefined) await log.prune(oldestKept.enqueuedAt);
    this.#prunedBelow = this.#frontier - keep;
  }
}

/** Names the batch that a node works on, by its oldest unfinished task; undefined where that does not tell. */
function batchOf(oldest: NodeTaskRecord | undefined): string | undefined {
  if (oldest?.status !== "processing") return undefined;
  return `${oldest.uid} ${oldest.batchUid} ${oldest.startedAt}`;
}

/** Whether a writer sent the task on Miroir's own account: a copy, or what one left to delete. No client task is made of it. */
function isOwn({ customMetadata }: NodeTaskRecord): boolean {
  const metadata = parseTaskMetadata(customMetadata);
  return metadata !== undefined && BigInt(metadata.taskUid) === OWN_TASK_UID;
}
