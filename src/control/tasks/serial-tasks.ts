import { Code, ConnectError } from "@connectrpc/connect";
import type { Logger } from "pino";
import { linkAbort } from "../../runtime/abort.js";
import type { World } from "../../runtime/world.js";
import type { TaskErrorRow, TaskRow, TaskStore, TaskUid } from "../../store/task-store.js";
import type { TaskVerdict } from "./aggregate.js";
import type { TaskRegistry } from "./task-registry.js";

/** One attempt at a task's work. */
export interface TaskAttempt {
  readonly task: TaskRow;
  /** Milliseconds since the Unix epoch. */
  readonly startedAt: number;
  /** Aborts when the task is canceled or the control plane stops. */
  readonly signal: AbortSignal;
  /** Rejects where this process does not lead any more. */
  readonly confirm: () => Promise<void>;
}

/** What {@link SerialTasks} works with. */
export interface SerialTasksOptions<Work> {
  readonly store: TaskStore;
  readonly registry: TaskRegistry;
  readonly world: World;
  readonly logger: Logger;
  /** What one of these tasks is, in messages: `export`. */
  readonly what: string;
  /** Does a task's work; resolves with its details. */
  readonly run: (work: Work, attempt: TaskAttempt) => Promise<string | null>;
  /** How a failed task tells what {@link run} rejected with. */
  readonly failure: (error: unknown) => TaskErrorRow;
  /** A task has succeeded or failed. */
  readonly ended?: (task: TaskRow, status: "succeeded" | "failed") => void;
}

/** A task that waits or runs. */
interface OpenTask<Work> {
  readonly row: TaskRow;
  readonly work: Work;
  readonly canceled: AbortController;
}

/** Tasks that wait, with the one under way. */
const MAX_WAITING = 100;
const RETRY_MS = 1_000;
/** What is said of a task that has no error; no replica is ever left behind by one. */
const OPEN = { error: null, divergent: [] } as const;

/**
 * Runs tasks of the whole fleet one after the other. A task is recorded before it runs. When the control plane stops, the one under way is
 * broken off and stays open in the store; its owner decides at the next start what becomes of it.
 */
export class SerialTasks<Work> {
  readonly #options: SerialTasksOptions<Work>;
  readonly #open = new Map<TaskUid, OpenTask<Work>>();
  readonly #stopping = new AbortController();
  #last: Promise<void> = Promise.resolve();

  constructor(options: SerialTasksOptions<Work>) {
    this.#options = options;
  }

  /**
   * Records a task and runs it when its turn comes; resolves when it is recorded. One that is known is left alone.
   *
   * @throws ConnectError `resource_exhausted` where too many wait
   */
  async create(row: TaskRow, work: Work): Promise<void> {
    const { store, registry, what } = this.#options;
    if (this.#open.has(row.uid) || (await store.tasks.get(row.uid)) !== undefined) return;
    if (this.#open.size >= MAX_WAITING) {
      throw new ConnectError(`${MAX_WAITING} ${what}s wait already`, Code.ResourceExhausted);
    }
    const open = this.#opened(row, work);
    try {
      await registry.register([row]);
    } catch (error) {
      this.#open.delete(row.uid);
      throw error;
    }
    this.#enqueue(open);
  }

  /** Runs a task again that is recorded already. */
  takeUp(row: TaskRow, work: Work): void {
    this.#enqueue(this.#opened(row, work));
  }

  /** Ends those of these tasks that wait or run. Resolves with how many. */
  async cancel(uids: readonly TaskUid[], canceledBy: TaskUid): Promise<number> {
    const { registry, world, what } = this.#options;
    const open = uids.flatMap((uid) => this.#open.get(uid) ?? []);
    const finishedAt = world.clock.now();
    for (const { canceled } of open) canceled.abort(new Error(`the ${what} was canceled`));
    await registry.conclude(
      open.map(({ row }) => ({
        row: { ...row, canceledBy },
        verdict: { ...OPEN, status: "canceled", detailsJson: row.detailsJson, startedAt: null, finishedAt },
      })),
    );
    return open.length;
  }

  /** Breaks off what is under way. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error("the control plane stops"));
    await this.#last;
  }

  #opened(row: TaskRow, work: Work): OpenTask<Work> {
    const open = { row, work, canceled: new AbortController() };
    this.#open.set(row.uid, open);
    return open;
  }

  #enqueue(open: OpenTask<Work>): void {
    const { uid, type } = open.row;
    this.#last = this.#last
      .then(() => this.#attempt(open))
      .catch((error: unknown) => {
        if (this.#stopping.signal.aborted) return;
        this.#options.logger.error({ err: error, task: uid, type }, "a task could not be run");
      })
      .finally(() => this.#open.delete(uid));
  }

  async #attempt({ row, work, canceled }: OpenTask<Work>): Promise<void> {
    const link = linkAbort(this.#stopping.signal, canceled.signal);
    try {
      if (!link.signal.aborted) await this.#run(row, work, link.signal);
    } finally {
      link.unlink();
    }
  }

  async #run(row: TaskRow, work: Work, signal: AbortSignal): Promise<void> {
    const { world, logger, registry, run, failure, ended } = this.#options;
    const startedAt = world.clock.now();
    const { detailsJson } = row;
    const processing: TaskVerdict = {
      ...OPEN,
      status: "processing",
      detailsJson,
      startedAt,
      finishedAt: null,
    };
    const confirm = () => registry.conclude([{ row, verdict: processing }]);
    await this.#record(row, processing);
    const outcome = await run(work, { task: row, startedAt, signal, confirm }).then(
      (details) => ({ status: "succeeded", detailsJson: details, error: null }) as const,
      (error: unknown) => {
        if (signal.aborted) return undefined;
        logger.error({ err: error, task: row.uid, type: row.type }, "a task has failed");
        return { status: "failed", detailsJson, error: failure(error) } as const;
      },
    );
    if (outcome === undefined) return;
    const finishedAt = world.clock.now();
    await this.#record(row, { ...processing, ...outcome, finishedAt });
    ended?.(row, outcome.status);
    const { status } = outcome;
    logger.info({ task: row.uid, type: row.type, status, ms: finishedAt - startedAt }, "a task has ended");
  }

  /** A task must not stay open because the store was away for a moment. */
  async #record(row: TaskRow, verdict: TaskVerdict): Promise<void> {
    const { registry, world, logger } = this.#options;
    const { signal } = this.#stopping;
    for (;;) {
      signal.throwIfAborted();
      try {
        await registry.conclude([{ row, verdict }]);
        return;
      } catch (error) {
        if (signal.aborted) throw error;
        logger.warn({ err: error, task: row.uid }, "the state of a task could not be recorded yet");
      }
      await world.timers.sleep(RETRY_MS, signal);
    }
  }
}
