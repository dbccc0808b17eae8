import type { NodeTaskRecord } from "../../meilisearch/node-client.js";
import { nodeTimeMs } from "../../meilisearch/node-time.js";
import { OWN_TASK_UID, parseTaskMetadata, type TaskMetadata } from "../../meilisearch/task-metadata.js";
import type { NodeTaskUid } from "../../store/task-store.js";
import type { AuditCursor } from "./audit-cursor.js";
import type { LostTask, NodeAuditOptions } from "./audit-options.js";
import { lostUpdate, updateOf } from "./node-task-updates.js";
import type { OpenNodeTasks } from "./open-node-tasks.js";
import { SessionChains } from "./session-chains.js";

interface Pending {
  readonly record: NodeTaskRecord;
  readonly since: number;
}

interface Accounted {
  readonly record: NodeTaskRecord;
  readonly metadata: TaskMetadata | undefined;
}

/** Unregistered tasks held at once; the log is not read further while there are more. */
const MAX_PENDING = 20_000;
/** Uids named in one request. */
const LOOK_UP = 500;
/** Accounted tasks remembered above the frontier; what is forgotten is applied again, without effect. */
const MAX_ACCOUNTED = 200_000;

/**
 * Accounts for each task of one node's log: as registered, as Miroir's own, as one to rebuild a client task from, or as a stranger's. What
 * is handed in twice has the same effect as once.
 */
export class TaskAccounts {
  readonly #options: NodeAuditOptions;
  readonly #cursor: AuditCursor;
  readonly #open: OpenNodeTasks;
  readonly #chains = new SessionChains();
  /** Final node tasks whose client task is not recorded yet. */
  readonly #pending = new Map<number, Pending>();
  /** Started tasks whose client task is not recorded yet. */
  readonly #early = new Map<number, NodeTaskRecord>();
  /** Accounted for above the frontier, with the metadata that is checked in order of uid. */
  readonly #accounted = new Map<number, Accounted>();
  /** Announced by {@link registered} since {@link takeRegistered}. */
  #registered: number[] = [];

  constructor(options: NodeAuditOptions, cursor: AuditCursor, open: OpenNodeTasks) {
    this.#options = options;
    this.#cursor = cursor;
    this.#open = open;
  }

  /** Whether final tasks wait for their registration. */
  get isWaiting(): boolean {
    return this.#pending.size > 0;
  }

  /** Whether so many of them wait that no more can be taken. */
  get isFull(): boolean {
    return this.#pending.size >= MAX_PENDING;
  }

  /** Whether a task is known to be final. */
  isFinal(uid: number): boolean {
    return uid < this.#cursor.frontier || this.#accounted.has(uid) || this.#pending.has(uid);
  }

  /** Whether a task is known to have begun, though nobody had registered it by then, or to be final. */
  isSeen(uid: number): boolean {
    return this.isFinal(uid) || this.#early.has(uid);
  }

  /** Uids of the tasks that are open, and of those that have begun without being registered. */
  underWay(): readonly number[] {
    return [...this.#open.uids(), ...this.#early.keys()];
  }

  /** Client tasks with these unfinished node tasks have been recorded just now. */
  registered(uids: readonly number[]): void {
    for (const uid of uids) this.#open.add(uid);
    this.#registered.push(...uids);
  }

  /** Registrations that came after their node tasks had finished, or even after they had been judged. */
  async takeRegistered(): Promise<void> {
    const uids = this.#registered;
    this.#registered = [];
    const finished: NodeTaskRecord[] = [];
    const late: number[] = [];
    for (const uid of uids) {
      const known = this.#pending.get(uid)?.record ?? this.#accounted.get(uid)?.record;
      if (known !== undefined) finished.push(known);
      else if (uid < this.#cursor.frontier) late.push(uid);
    }
    if (finished.length > 0) await this.finished(finished);
    const started = uids.flatMap((uid) => this.#early.get(uid) ?? []);
    await this.#applyStarted(started);
    for (const { uid } of started) this.#early.delete(uid);
    await this.#lookUp(late);
  }

  /** Takes tasks that a node has begun; those that nobody has registered are kept for when somebody does. True where any was open. */
  async started(records: readonly NodeTaskRecord[]): Promise<boolean> {
    const known = records.filter((record) => this.#open.has(record.uid));
    for (const record of records) {
      if (!this.#open.has(record.uid) && this.#early.size < MAX_PENDING) this.#early.set(record.uid, record);
    }
    await this.#applyStarted(known);
    return known.length > 0;
  }

  async #applyStarted(records: readonly NodeTaskRecord[]): Promise<void> {
    const { nodeId, sink } = this.#options;
    if (records.length > 0) await sink.apply(records.map((record) => updateOf(nodeId, record)));
  }

  /** Applies finished tasks; those without a client task wait for their registration. */
  async finished(records: readonly NodeTaskRecord[]): Promise<void> {
    const { sink, world, metrics, nodeId } = this.#options;
    // Before anybody sees a task as finished: another leader, too, has to know a log by it that comes back without it.
    for (const record of records) this.#cursor.identity.note(record);
    await this.#cursor.save();
    const unknown = new Set(
      (await sink.apply(records.map((record) => updateOf(nodeId, record)))).map(
        (update) => update.nodeTaskUid,
      ),
    );
    const now = world.clock.now();
    for (const record of records) {
      this.#cursor.saw(record.uid);
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

  /** Decides about tasks that nobody registered within the grace. */
  async settlePending(): Promise<void> {
    if (this.#pending.size === 0) return;
    const { sink, world, tuning, nodeId } = this.#options;
    const due = world.clock.monotonic() - (tuning.registrationGraceMs ?? 10_000);
    const lost: LostTask[] = [];
    for (const { record, since } of [...this.#pending.values()]) {
      if (since > due) continue;
      const metadata = parseTaskMetadata(record.customMetadata);
      if (metadata !== undefined) lost.push({ record, metadata });
      else this.#done(record, await sink.judgeUnregistered(nodeId, record));
    }
    if (lost.length === 0) return;
    await sink.rebuild(nodeId, lost);
    for (const { record } of lost) this.#done(record, "rebuilt");
  }

  /**
   * Moves the frontier up to `lowestUnfinished`, or to the first task that waits for its registration. Writes that are missing between those it
   * passes are told, and open tasks that it has passed are looked up.
   */
  async advance(lowestUnfinished: number): Promise<void> {
    await this.#moveFrontier(lowestUnfinished);
    await this.#lookUp(this.#open.uids().filter((uid) => uid < this.#cursor.frontier));
  }

  async #moveFrontier(lowestUnfinished: number): Promise<void> {
    const { nodeId, sink } = this.#options;
    let target = lowestUnfinished;
    for (const uid of this.#pending.keys()) target = Math.min(target, uid);
    if (target <= this.#cursor.frontier) return;
    const passed = [...this.#accounted.keys()].filter((uid) => uid < target).sort((a, b) => a - b);
    for (const uid of passed) {
      const entry = this.#accounted.get(uid);
      this.#accounted.delete(uid);
      if (entry?.metadata !== undefined && this.#chains.note(entry.metadata)) {
        await sink.missingWrite(nodeId, entry.record, entry.metadata);
      }
    }
    this.#cursor.advanceTo(target);
  }

  /** Open tasks below the frontier: applied as the log has them, and as failed where it has them no longer. */
  async #lookUp(uids: readonly number[]): Promise<void> {
    const { log, nodeId, sink } = this.#options;
    for (let at = 0; at < uids.length; at += LOOK_UP) {
      const asked = uids.slice(at, at + LOOK_UP);
      const found = await log.findMany(asked);
      const final = found.filter((record) => record.finishedAt !== null);
      if (final.length > 0) await this.finished(final);
      const gone = asked.filter((uid) => !found.some((record) => record.uid === uid));
      if (gone.length === 0) continue;
      await sink.apply(
        gone.map((uid) => lostUpdate(nodeId, uid, `Node ${nodeId} no longer knows its task ${uid}.`)),
      );
      for (const uid of gone) this.#open.delete(uid);
    }
  }

  /** Forgets every task: another log has taken the place of the one that had them. */
  forget(): void {
    this.#open.clear();
    this.#registered = [];
    this.#pending.clear();
    this.#early.clear();
    this.#accounted.clear();
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
}

/** Whether a writer sent the task on Miroir's own account: a copy, or what one left to delete. No client task is made of it. */
function isOwn({ customMetadata }: NodeTaskRecord): boolean {
  const metadata = parseTaskMetadata(customMetadata);
  return metadata !== undefined && BigInt(metadata.taskUid) === OWN_TASK_UID;
}
