import { Code, ConnectError } from "@connectrpc/connect";
import type { Logger } from "pino";
import { errorLink } from "../../meilisearch/errors.js";
import type { World } from "../../runtime/world.js";
import {
  type FencingToken,
  isFinalStatus,
  type TaskErrorRow,
  type TaskFilter,
  type TaskRow,
  type TaskStatus,
  type TaskStore,
  type TaskUid,
} from "../../store/task-store.js";
import { enqueuedTask } from "./enqueued-task.js";

/** What {@link TaskRemoval} works with. */
export interface TaskRemovalOptions {
  readonly store: TaskStore;
  readonly fence: () => FencingToken;
  readonly world: World;
  readonly logger: Logger;
  /** Resolves when the store says what all nodes that answer have done by now. */
  readonly refresh: () => Promise<void>;
  /** How long tasks that are being processed are waited for. Milliseconds; 60,000 unless given. */
  readonly processingPatienceMs?: number;
  /** Ends those of the tasks that can be ended: what no node has. Resolves with how many; none unless given. */
  readonly cancel?: (uids: readonly TaskUid[], canceledBy: TaskUid) => Promise<number>;
  /** How long the audits may take to pass the node tasks of a task before it is deleted all the same. Milliseconds; 2,000 unless given. */
  readonly patienceMs?: number;
}

/** A client's request to delete or to cancel tasks. */
export interface TaskRemovalRequest {
  readonly uid: TaskUid;
  /** Undefined for no task at all. */
  readonly matching: TaskFilter | undefined;
  /** As the client sent it. */
  readonly originalFilter: string;
}

const PAGE = 1_000;
const PROCESSING_PATIENCE_MS = 60_000;
const PATIENCE_MS = 2_000;
const POLL_MS = 50;
/** Deletions under way at once. */
const MAX_RUNNING = 100;
/** Tasks kept back for the audits; more are deleted at once. */
const MAX_LATE = 10_000;

const OPEN: readonly TaskStatus[] = ["enqueued", "processing"];

const INTERRUPTED: TaskErrorRow = {
  message: "The control plane stopped while it deleted tasks, so some may be left. Delete them again.",
  code: "internal",
  type: "internal",
  link: errorLink("internal"),
};

/**
 * Deletes tasks from the store, and answers requests to cancel some. As on a node, which ends its batch before it deletes anything, tasks
 * that are being processed when the request comes are final by then, and go too. A task that an audit has still to read of in a node's log
 * would come back as one that was never registered (design §5), so deletion waits a little for the stored frontiers to pass its node tasks.
 */
export class TaskRemoval {
  readonly #options: TaskRemovalOptions;
  readonly #running = new Set<Promise<void>>();
  readonly #stopping = new AbortController();

  constructor(options: TaskRemovalOptions) {
    this.#options = options;
  }

  /** Records the task of a deletion, and deletes what matches now; resolves when the task is recorded. */
  async delete(request: TaskRemovalRequest): Promise<void> {
    const { store, world, fence } = this.#options;
    if ((await store.tasks.get(request.uid)) !== undefined) return;
    if (this.#running.size >= MAX_RUNNING) {
      throw new ConnectError(`${MAX_RUNNING} deletions of tasks are under way`, Code.ResourceExhausted);
    }
    const matched = await this.#matched(request.matching);
    const row = rowOf(request, "taskDeletion", matched.total, world.clock.now());
    await store.tasks.upsert([row], fence());
    const running = this.#run(row, request, matched).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Records the task of a cancelation. What was sent to nodes goes forward, so only the control plane's own work can be canceled (design §5). */
  async cancel(request: TaskRemovalRequest): Promise<void> {
    const { store, world, fence } = this.#options;
    if ((await store.tasks.get(request.uid)) !== undefined) return;
    const { total, open } = await this.#matched(request.matching);
    const now = world.clock.now();
    const row = rowOf(request, "taskCancelation", total, now);
    const canceledTasks = (await this.#options.cancel?.(open, request.uid)) ?? 0;
    await store.tasks.upsert([finished(row, { canceledTasks }, now, world.clock.now())], fence());
  }

  /** Ends deletions that were under way when a control plane stopped: what they were to delete is not known any more. */
  async resume(): Promise<void> {
    const { store, fence, world } = this.#options;
    const { tasks } = await store.tasks.list(
      { types: ["taskDeletion"], statuses: ["enqueued", "processing"] },
      { limit: PAGE },
    );
    const now = world.clock.now();
    const ended = tasks.map((row) => finished(row, { deletedTasks: 0 }, now, now, INTERRUPTED));
    if (ended.length > 0) await store.tasks.upsert(ended, fence());
  }

  /** Breaks off what is under way. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error("the control plane stops"));
    await Promise.all(this.#running);
  }

  async #matched(matching: TaskFilter | undefined): Promise<Matched> {
    if (matching === undefined) return { total: 0, newest: -1, open: [] };
    const { tasks } = this.#options.store;
    const statuses = OPEN.filter((status) => matching.statuses?.includes(status) !== false);
    const page = await tasks.list(matching, { limit: 1 });
    const open =
      statuses.length === 0
        ? []
        : (await tasks.list({ ...matching, statuses }, { limit: PAGE, reverse: true })).tasks;
    return { total: page.total, newest: page.tasks[0]?.uid ?? -1, open: open.map(({ uid }) => uid) };
  }

  async #run(row: TaskRow, { matching }: TaskRemovalRequest, matched: Matched): Promise<void> {
    const { store, fence, world, logger } = this.#options;
    const startedAt = world.clock.now();
    try {
      await this.#processed(matched.open);
      const deletedTasks = matching === undefined ? 0 : await this.#deleteMatching(matching, matched);
      await store.tasks.upsert([finished(row, { deletedTasks }, startedAt, world.clock.now())], fence());
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      logger.error({ err: error, task: row.uid }, "tasks could not be deleted");
      const failed = finished(row, { deletedTasks: 0 }, startedAt, world.clock.now(), INTERRUPTED);
      await store.tasks.upsert([failed], fence()).catch((cause: unknown) => {
        logger.warn({ err: cause, task: row.uid }, "a failed deletion of tasks could not be recorded");
      });
    }
  }

  /** Resolves when none of these tasks is being processed any more, or after a while. */
  async #processed(uids: readonly TaskUid[]): Promise<void> {
    const { world, store, refresh, processingPatienceMs = PROCESSING_PATIENCE_MS } = this.#options;
    if (uids.length === 0) return;
    await refresh();
    const until = world.clock.monotonic() + processingPatienceMs;
    let left = uids;
    while (world.clock.monotonic() < until) {
      const rows = await store.tasks.getMany(left);
      left = rows.filter(({ status }) => status === "processing").map(({ uid }) => uid);
      if (left.length === 0) break;
      await world.timers.sleep(POLL_MS, this.#stopping.signal);
    }
    await refresh();
  }

  /** Oldest first, up to the newest task that matched when the request came. */
  async #deleteMatching(matching: TaskFilter, { newest, open }: Matched): Promise<number> {
    const { store } = this.#options;
    const late: TaskRow[] = [];
    let deleted = 0;
    let from: TaskUid | undefined;
    do {
      this.#stopping.signal.throwIfAborted();
      const page = await store.tasks.list(matching, {
        limit: PAGE,
        reverse: true,
        ...(from === undefined ? {} : { from }),
      });
      const rows = page.tasks.filter((task) => task.uid <= newest && isFinalStatus(task.status));
      const passed = late.length < MAX_LATE ? await this.#passedBy() : () => true;
      late.push(...rows.filter((task) => !passed(task)));
      deleted += await this.#deleteSome(rows.filter(passed));
      from = page.next;
    } while (from !== undefined && from <= newest);
    // What was open and is final now may not match any more.
    const known = new Set(late.map(({ uid }) => uid));
    late.push(
      ...(await store.tasks.getMany(open)).filter(
        (task) => isFinalStatus(task.status) && !known.has(task.uid),
      ),
    );
    return deleted + (await this.#deleteLate(late));
  }

  async #deleteLate(late: readonly TaskRow[]): Promise<number> {
    const { world, patienceMs = PATIENCE_MS } = this.#options;
    const until = world.clock.monotonic() + patienceMs;
    let deleted = 0;
    let left = late;
    while (left.length > 0 && world.clock.monotonic() < until) {
      const passed = await this.#passedBy();
      deleted += await this.#deleteSome(left.filter(passed));
      left = left.filter((task) => !passed(task));
      if (left.length > 0) await world.timers.sleep(POLL_MS, this.#stopping.signal);
    }
    return deleted + (await this.#deleteSome(left));
  }

  /** Whether every audit has passed a task's node tasks, also where it would begin anew. */
  async #passedBy(): Promise<(task: TaskRow) => boolean> {
    const cursors = await this.#options.store.nodeCursors.list();
    const frontiers = new Map(cursors.map(({ nodeId, frontierUid }) => [nodeId, frontierUid ?? -1]));
    return (task) =>
      task.nodeTasks.every(({ nodeId, nodeTaskUid }) => nodeTaskUid <= (frontiers.get(nodeId) ?? -1));
  }

  async #deleteSome(tasks: readonly TaskRow[]): Promise<number> {
    const { store, fence } = this.#options;
    let deleted = 0;
    for (let at = 0; at < tasks.length; at += PAGE) {
      const uids = tasks.slice(at, at + PAGE).map(({ uid }) => uid);
      deleted += (await store.tasks.delete(uids, fence())).length;
    }
    return deleted;
  }
}

interface Matched {
  readonly total: number;
  readonly newest: number;
  /** The oldest of those that were not final. */
  readonly open: readonly TaskUid[];
}

function rowOf(
  { uid, originalFilter }: TaskRemovalRequest,
  type: "taskDeletion" | "taskCancelation",
  matchedTasks: number,
  now: number,
): TaskRow {
  const count = type === "taskDeletion" ? "deletedTasks" : "canceledTasks";
  return enqueuedTask({
    uid,
    indexUid: null,
    instance: null,
    type,
    detailsJson: JSON.stringify({ matchedTasks, [count]: null, originalFilter }),
    enqueuedAt: now,
  });
}

function finished(
  row: TaskRow,
  counts: Readonly<Record<string, number>>,
  startedAt: number,
  finishedAt: number,
  error: TaskErrorRow | null = null,
): TaskRow {
  const details = JSON.parse(row.detailsJson ?? "{}") as Record<string, unknown>;
  return {
    ...row,
    status: error === null ? "succeeded" : "failed",
    error,
    detailsJson: JSON.stringify({ ...details, ...counts }),
    startedAt,
    finishedAt,
  };
}
