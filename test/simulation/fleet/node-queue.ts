import type { SeededRandom } from "../../support/random.js";
import type { VirtualWorld } from "../virtual-world.js";
import { NodeFault, type PhysicalIndex } from "./node-documents.js";

/** What a task does. Tasks of the kind `documents` of one index are run as one batch. */
export interface Work {
  readonly kind: "documents" | "alone";
  /**
   * Does it; the details with which it succeeds.
   *
   * @param index the task's index, created where the sender's key allows that; undefined for a task about none
   * @throws NodeFault
   */
  run(index: PhysicalIndex | undefined): {
    readonly index?: PhysicalIndex | undefined;
    readonly details?: object;
  };
}

/** A task in a node's log. */
export interface QueuedTask {
  readonly uid: number;
  indexUid: string | null;
  status: "enqueued" | "processing" | "succeeded" | "failed";
  readonly type: string;
  readonly customMetadata: string | null;
  readonly mayCreate: boolean;
  readonly enqueuedAt: string;
  startedAt: string | null;
  finishedAt: string | null;
  details: object | null;
  error: {
    readonly code: string;
    readonly message: string;
    readonly type: string;
    readonly link: string;
  } | null;
  readonly work: Work;
}

/** A node's database: what survives the end of its process. */
export interface Database {
  readonly indexes: Map<string, PhysicalIndex>;
  readonly tasks: QueuedTask[];
  readonly keys: Map<string, Readonly<Record<string, unknown>>>;
}

/** An empty database. */
export function emptyDatabase(): Database {
  return { indexes: new Map(), tasks: [], keys: new Map() };
}

/** A database as it is now, apart from what becomes of the original. */
export function copyDatabase({ indexes, tasks, keys }: Database): Database {
  return { indexes: new Map(indexes), tasks: tasks.map((task) => ({ ...task })), keys: new Map(keys) };
}

interface Verdict {
  readonly status: "succeeded" | "failed";
  readonly details: object | null;
  readonly error: QueuedTask["error"];
}

/** How a node works. */
export interface QueueTuning {
  /** The longest time that a batch takes. Milliseconds. */
  readonly maxBatchMs: number;
  /** Tasks of one batch, at most. */
  readonly maxBatch: number;
}

/** Milliseconds between the commit of a batch to the index and to the task log, at most. */
const COMMIT_GAP_MS = 4;

/**
 * Runs a node's tasks in the order of their uids, batch by batch. The effects of a batch are committed before its tasks are final: who is killed
 * between the two runs it again.
 */
export class NodeQueue {
  /** The next batch fails on this node: its disk is full. */
  full = false;
  /** Called once when the next batch of documents is committed to the index and its tasks are not final yet. */
  onCommit: (() => void) | undefined;
  private batch: object | undefined;
  private isUp = true;
  private ticks = 0;
  private readonly random: SeededRandom;

  constructor(
    private database: Database,
    private readonly world: VirtualWorld,
    private readonly tuning: QueueTuning,
  ) {
    this.random = world.seeded;
  }

  get up(): boolean {
    return this.isUp;
  }

  /** Whether every task is final. */
  idle(): boolean {
    return this.database.tasks.every(isFinal);
  }

  /** The process ends; a batch that was not committed is as if it had never begun. */
  kill(): void {
    this.isUp = false;
    this.batch = undefined;
  }

  /** The process begins on a database, its own one as a rule. */
  start(database: Database): void {
    this.database = database;
    this.isUp = true;
    for (const task of database.tasks) {
      if (task.status === "processing") {
        task.status = "enqueued";
        task.startedAt = null;
      }
    }
    this.next();
  }

  add(task: Pick<QueuedTask, "indexUid" | "type" | "customMetadata" | "mayCreate" | "work">): QueuedTask {
    const added: QueuedTask = {
      ...task,
      uid: (this.database.tasks.at(-1)?.uid ?? -1) + 1,
      status: "enqueued",
      enqueuedAt: this.now(),
      startedAt: null,
      finishedAt: null,
      details: null,
      error: null,
    };
    this.database.tasks.push(added);
    this.next();
    return added;
  }

  /** The time as nodes print it, later at every call. */
  now(): string {
    this.ticks = (this.ticks + 1) % 1_000_000;
    const stamp = new Date(this.world.clock.now()).toISOString();
    return stamp.replace("Z", `${String(this.ticks).padStart(6, "0")}Z`);
  }

  private next(): void {
    if (!this.isUp || this.batch !== undefined) return;
    const tasks = this.nextBatch();
    if (tasks.length === 0) return;
    const startedAt = this.now();
    for (const task of tasks) {
      task.status = "processing";
      task.startedAt = startedAt;
    }
    const batch = {};
    this.batch = batch;
    const { timers } = this.world;
    timers.after(this.random.below(this.tuning.maxBatchMs), () => {
      if (this.batch !== batch) return;
      const verdicts = this.commit(tasks);
      const { onCommit } = this;
      if (onCommit !== undefined && tasks[0]?.type.startsWith("document")) {
        this.onCommit = undefined;
        onCommit();
        if (this.batch !== batch) return;
      }
      timers.after(this.random.below(COMMIT_GAP_MS + 1), () => {
        if (this.batch !== batch) return;
        this.batch = undefined;
        this.finish(tasks, verdicts);
        this.next();
      });
    });
  }

  /** The oldest open task and, where it writes documents, those behind it that write documents of the same index. */
  private nextBatch(): readonly QueuedTask[] {
    const { tasks } = this.database;
    const first = tasks.findIndex((task) => !isFinal(task));
    const head = tasks[first];
    if (head === undefined) return [];
    const batch = [head];
    if (head.work.kind === "alone") return batch;
    for (let at = first + 1; at < tasks.length && batch.length < this.tuning.maxBatch; at++) {
      const task = tasks[at];
      if (task === undefined || task.work.kind === "alone") break;
      // A task of another index is passed over: order holds within an index.
      if (task.indexUid === head.indexUid) batch.push(task);
    }
    return batch;
  }

  private commit(tasks: readonly QueuedTask[]): readonly Verdict[] {
    const { indexes } = this.database;
    const before = new Map(indexes);
    const verdicts: Verdict[] = [];
    for (const task of tasks) {
      try {
        if (this.full && task.work.kind === "documents") {
          throw new NodeFault("no_space_left_on_device", "There is no more space left on the device.", true);
        }
        verdicts.push({ status: "succeeded", details: this.run(task), error: null });
      } catch (error) {
        if (!(error instanceof NodeFault)) throw error;
        const failed = failure(error);
        if (!error.failsBatch) {
          verdicts.push(failed);
          continue;
        }
        indexes.clear();
        for (const [name, index] of before) indexes.set(name, index);
        return tasks.map(() => failed);
      }
    }
    return verdicts;
  }

  private run(task: QueuedTask): object | null {
    const { indexes } = this.database;
    const { indexUid, work } = task;
    if (indexUid === null) return work.run(undefined).details ?? null;
    let index = indexes.get(indexUid);
    if (index === undefined) {
      if (!task.mayCreate) throw new NodeFault("index_not_found", `Index \`${indexUid}\` not found.`);
      index = { createdAt: this.now(), primaryKey: null, documents: new Map(), settings: {} };
    }
    const { index: next, details } = work.run(index);
    if (next === undefined) indexes.delete(indexUid);
    else indexes.set(indexUid, next);
    return details ?? null;
  }

  private finish(tasks: readonly QueuedTask[], verdicts: readonly Verdict[]): void {
    const finishedAt = this.now();
    for (const [at, task] of tasks.entries()) {
      const verdict = verdicts[at];
      if (verdict === undefined) throw new Error("a task of the batch has no verdict");
      task.status = verdict.status;
      task.details = verdict.details;
      task.error = verdict.error;
      task.finishedAt = finishedAt;
    }
  }
}

function failure({ code, message }: NodeFault): Verdict {
  const link = `https://docs.meilisearch.com/errors#${code}`;
  return { status: "failed", details: null, error: { code, message, type: "invalid_request", link } };
}

/** Whether a task will not change any more. */
export function isFinal({ status }: QueuedTask): boolean {
  return status === "succeeded" || status === "failed";
}
