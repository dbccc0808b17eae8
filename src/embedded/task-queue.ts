import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import type { Catalog } from "./catalog.js";
import { ApiError, type ErrorBody } from "./errors.js";
import type { NodeStore } from "./store.js";
import { matchesTask, type TaskFilter } from "./task-filter.js";
import { type Outcome, runBatch } from "./task-runner.js";
import {
  type Batch,
  failedDetails,
  type IndexSwap,
  initialDetails,
  type Task,
  type TaskContent,
  taskType,
} from "./tasks.js";
import { timestamp } from "./time.js";

/** How a queue behaves. */
export interface QueueOptions {
  /** The most tasks that one batch takes; 1 turns batching off. Default: no limit. */
  readonly maxBatchedTasks?: number;
  /** How long a batch stays `processing` before its work is done, in milliseconds. Default 0. */
  readonly batchDelayMs?: number;
  /** Asked for each task about to be processed: an error makes the task fail with it. */
  readonly failTask?: (task: Task) => ErrorBody | undefined;
}

/** The task log and the one worker that processes it in the order of uids. */
export class TaskQueue {
  readonly #store: NodeStore;
  readonly #catalog: Catalog;
  readonly #options: QueueOptions;
  readonly #tasks = new Map<number, Task>();
  /** The enqueued tasks, in the order of their uids. */
  readonly #waiting = new Set<Task>();
  readonly #batches = new Map<number, Batch>();
  #nextUid: number;
  #nextBatch: number;
  #running: Promise<void> | undefined;
  #closed = false;

  constructor(store: NodeStore, catalog: Catalog, options: QueueOptions) {
    this.#store = store;
    this.#catalog = catalog;
    this.#options = options;
    for (const { uid, json, payload } of store.tasks()) {
      const task = JSON.parse(json) as Task;
      if (task.status === "processing")
        Object.assign(task, { status: "enqueued", startedAt: null, batchUid: null });
      task.content = payload === null ? null : (JSON.parse(payload) as TaskContent);
      this.#tasks.set(uid, task);
      if (task.status === "enqueued") this.#waiting.add(task);
    }
    for (const { uid, json } of store.batches()) this.#batches.set(uid, JSON.parse(json) as Batch);
    this.#nextUid = Number(store.meta("nextTask") ?? 0);
    this.#nextBatch = Number(store.meta("nextBatch") ?? 0);
  }

  /** Starts processing what is enqueued. */
  start(): void {
    if (this.#running !== undefined || this.#closed) return;
    this.#running = this.#work().finally(() => {
      this.#running = undefined;
      if (this.#next() !== undefined) this.start();
    });
  }

  /** Stops after the present batch. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
  }

  /** All tasks in the order of their uids. */
  get tasks(): Task[] {
    return [...this.#tasks.values()];
  }

  get batches(): Batch[] {
    return [...this.#batches.values()];
  }

  get(uid: number): Task | undefined {
    return this.#tasks.get(uid);
  }

  batch(uid: number): Batch | undefined {
    return this.#batches.get(uid);
  }

  select(filter: TaskFilter): Task[] {
    return this.tasks.filter((task) => matchesTask(task, filter));
  }

  isProcessing(indexUid: string): boolean {
    return this.tasks.some((task) => task.status === "processing" && task.indexUid === indexUid);
  }

  /** Stores a new task durably and returns it. */
  enqueue(indexUid: string | null, content: TaskContent, customMetadata: string | null = null): Task {
    const task: Task = {
      uid: this.#nextUid,
      batchUid: null,
      indexUid,
      status: "enqueued",
      type: taskType(content),
      canceledBy: null,
      details: initialDetails(content),
      error: null,
      enqueuedAt: timestamp(),
      startedAt: null,
      finishedAt: null,
      customMetadata,
      content,
      alsoNames: content.kind === "swapIndexes" ? content.swaps.flatMap((swap) => [...swap.indexes]) : [],
    };
    this.#store.transaction(() => {
      this.#store.setMeta("nextTask", String(task.uid + 1));
      this.#save(task);
    });
    this.#nextUid++;
    this.#tasks.set(task.uid, task);
    this.#waiting.add(task);
    this.start();
    return task;
  }

  async #work(): Promise<void> {
    // The request that enqueued the task is answered first.
    await nextTurn();
    for (let tasks = this.#next(); tasks !== undefined; tasks = this.#next()) {
      const startedAt = timestamp();
      const uid = this.#nextBatch++;
      for (const task of tasks) {
        Object.assign(task, { status: "processing", startedAt, batchUid: uid });
        this.#waiting.delete(task);
      }
      const batch = this.#describe(uid, tasks, startedAt);
      this.#batches.set(uid, batch);
      if (this.#options.batchDelayMs) await sleep(this.#options.batchDelayMs);
      if (this.#closed) return;
      this.#process(tasks, batch);
      await nextTurn();
    }
  }

  #process(tasks: readonly Task[], batch: Batch): void {
    this.#store.transaction(() => {
      const outcomes = this.#run(tasks);
      const finishedAt = timestamp();
      for (const [i, task] of tasks.entries()) {
        const outcome = outcomes[i];
        if (outcome === undefined) continue;
        task.error = outcome.error;
        task.status = outcome.error === null ? "succeeded" : "failed";
        task.details = outcome.error === null ? outcome.details : failedDetails(outcome.details);
        task.finishedAt = finishedAt;
        task.content = null;
        this.#save(task);
      }
      Object.assign(batch, this.#describe(batch.uid, tasks, batch.startedAt), { finishedAt });
      this.#store.setMeta("nextBatch", String(this.#nextBatch));
      this.#store.putBatch(batch.uid, JSON.stringify(batch));
    });
  }

  #run(tasks: readonly Task[]): Outcome[] {
    const [first] = tasks;
    const content = first?.content;
    if (first === undefined || content === null || content === undefined) return [];
    const forced = tasks.map((task) => this.#options.failTask?.(task));
    if (forced.some((error) => error !== undefined)) {
      const healthy = tasks.filter((_, i) => forced[i] === undefined);
      const outcomes = healthy.length === 0 ? [] : this.#run(healthy);
      return tasks.map((task, i) => {
        const error = forced[i];
        return error !== undefined
          ? { details: task.details, error }
          : (outcomes.shift() ?? { details: task.details, error: null });
      });
    }
    if (content.kind === "cancelTasks") return [this.#cancel(first, content.uids)];
    if (content.kind === "deleteTasks") return [this.#delete(first, content.uids)];
    const outcomes = runBatch(this.#catalog, tasks);
    const [outcome] = outcomes;
    if (outcome?.error === null) this.#followNames(first, content);
    if (content.kind === "updateIndex" && content.newUid !== null && outcome !== undefined) {
      const details = { ...outcome.details, oldIndexUid: first.indexUid, newIndexUid: content.newUid };
      return [{ ...outcome, details }];
    }
    return outcomes;
  }

  /** After a rename or swap, finished and waiting tasks before it go by the index's new name. */
  #followNames(cause: Task, content: TaskContent): void {
    for (const { indexes, rename } of renames(cause, content)) {
      const [one, two] = indexes;
      for (const task of this.#tasks.values()) {
        if (task.uid >= cause.uid || (task.indexUid !== one && task.indexUid !== two)) continue;
        if (task.indexUid === one) task.indexUid = two;
        else if (!rename) task.indexUid = one;
        this.#save(task);
      }
    }
  }

  #cancel(cause: Task, uids: readonly number[]): Outcome {
    let canceled = 0;
    const finishedAt = timestamp();
    for (const uid of uids) {
      const task = this.#tasks.get(uid);
      if (task?.status !== "enqueued") continue;
      Object.assign(task, { status: "canceled", canceledBy: cause.uid, finishedAt, content: null });
      task.details = failedDetails(task.details);
      task.batchUid = cause.batchUid;
      task.startedAt = cause.startedAt;
      this.#waiting.delete(task);
      this.#save(task);
      canceled++;
    }
    return { details: { ...cause.details, canceledTasks: canceled }, error: null };
  }

  #delete(cause: Task, uids: readonly number[]): Outcome {
    let deleted = 0;
    for (const uid of uids) {
      const task = this.#tasks.get(uid);
      if (task === undefined || task.status === "enqueued" || task.status === "processing") continue;
      this.#tasks.delete(uid);
      this.#store.deleteTask(uid);
      deleted++;
      const batch = task.batchUid;
      if (batch !== null && !this.tasks.some((other) => other.batchUid === batch)) {
        this.#batches.delete(batch);
        this.#store.deleteBatch(batch);
      }
    }
    return { details: { ...cause.details, deletedTasks: deleted }, error: null };
  }

  /** The tasks of the next batch: cancelations and deletions jump the queue. */
  #next(): Task[] | undefined {
    if (this.#closed) return undefined;
    const waiting = [...this.#waiting];
    const urgent =
      waiting.find((task) => task.content?.kind === "cancelTasks") ??
      waiting.find((task) => task.content?.kind === "deleteTasks");
    if (urgent !== undefined) return [urgent];
    const [first] = waiting;
    if (first === undefined) return undefined;
    const max = this.#options.maxBatchedTasks ?? Number.POSITIVE_INFINITY;
    const batch = [first];
    for (const task of waiting.slice(1)) {
      if (batch.length >= max) break;
      if (task.content?.kind === "swapIndexes" && task.alsoNames.includes(first.indexUid ?? "")) break;
      if (task.indexUid !== first.indexUid) continue;
      if (!this.#canJoin(batch, task)) break;
      batch.push(task);
      if (task.content?.kind === "clearDocuments") break;
    }
    return batch;
  }

  #canJoin(batch: readonly Task[], task: Task): boolean {
    const first = batch[0]?.content;
    const next = task.content;
    if (first === null || first === undefined || next === null) return false;
    const kinds = new Set(batch.map((member) => member.content?.kind));
    const documents =
      first.kind === "addDocuments" || first.kind === "deleteDocuments" || first.kind === "deleteByFilter";
    if (!documents) return false;
    switch (next.kind) {
      case "clearDocuments":
        return true;
      case "deleteDocuments":
        return true;
      case "deleteByFilter":
        return !kinds.has("addDocuments");
      case "addDocuments": {
        if (kinds.has("deleteByFilter")) return false;
        const other = batch
          .map((member) => member.content)
          .find((content) => content?.kind === "addDocuments");
        if (other?.kind !== "addDocuments") return this.#catalog.find(task.indexUid ?? "") !== undefined;
        const creates = this.#catalog.find(task.indexUid ?? "") === undefined;
        return (
          other.primaryKey === next.primaryKey && (!creates || other.allowCreation === next.allowCreation)
        );
      }
      default:
        return false;
    }
  }

  #describe(uid: number, tasks: readonly Task[], startedAt: string): Batch {
    const count = (names: readonly (string | null)[]) => {
      const counts: Record<string, number> = {};
      for (const name of names) if (name !== null) counts[name] = (counts[name] ?? 0) + 1;
      return counts;
    };
    const details = { ...tasks[0]?.details };
    for (const task of tasks.slice(1)) {
      for (const [name, value] of Object.entries(task.details)) {
        const sum = details[name];
        details[name] = typeof value === "number" && typeof sum === "number" ? sum + value : value;
      }
    }
    const uids = tasks.map((task) => task.uid);
    return {
      uid,
      details,
      taskUids: uids,
      stats: {
        totalNbTasks: tasks.length,
        status: count(tasks.map((task) => task.status)),
        types: count(tasks.map((task) => task.type)),
        indexUids: count(tasks.map((task) => task.indexUid)),
      },
      startedAt,
      finishedAt: null,
      batchStrategy: `the embedded node batched tasks ${uids.join(", ")}`,
    };
  }

  #save(task: Task): void {
    const { content, ...rest } = task;
    this.#store.putTask(task.uid, JSON.stringify(rest), content === null ? null : JSON.stringify(content));
  }
}

function renames(cause: Task, content: TaskContent): readonly IndexSwap[] {
  if (content.kind === "swapIndexes") return content.swaps;
  if (content.kind !== "updateIndex" || content.newUid === null || cause.indexUid === null) return [];
  return [{ indexes: [cause.indexUid, content.newUid], rename: true }];
}

/** The error for a task that does not exist. */
export function taskNotFound(uid: number): ApiError {
  return new ApiError("task_not_found", `Task \`${uid}\` not found.`);
}
