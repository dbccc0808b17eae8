import { Code, ConnectError } from "@connectrpc/connect";
import type { Logger } from "pino";
import { errorLink } from "../../meilisearch/errors.js";
import type { World } from "../../runtime/world.js";
import { type TaskRow, type TaskStore, type TaskUid, taskUid } from "../../store/task-store.js";
import type { ControlMetrics } from "../metrics.js";
import type { TaskVerdict } from "../tasks/aggregate.js";
import { enqueuedTask } from "../tasks/enqueued-task.js";
import type { TaskRegistry } from "../tasks/task-registry.js";

/** The types of tasks that back the fleet up. */
export type BackupType = "dumpCreation" | "snapshotCreation";

/** One kind of backup. */
export interface BackupKind {
  /** The task's details before it has run; null for none. */
  readonly enqueuedDetails: string | null;
  /** Removes what unfinished backups have left behind. */
  removeRubbish(): Promise<void>;
  /**
   * Makes the backup of a task, from the start, and resolves with the task's details. A task that has made its backup already
   * resolves with that one. `confirm` rejects where this process does not lead any more: it is called before the backup gets its name.
   */
  run(attempt: BackupAttempt): Promise<string | null>;
}

/** One attempt at a backup. */
export interface BackupAttempt {
  readonly task: TaskRow;
  /** Milliseconds since the Unix epoch. */
  readonly startedAt: number;
  readonly signal: AbortSignal;
  readonly confirm: () => Promise<void>;
}

/** What {@link BackupTasks} works with. */
export interface BackupTasksOptions {
  readonly store: TaskStore;
  readonly registry: TaskRegistry;
  readonly world: World;
  readonly logger: Logger;
  readonly metrics: ControlMetrics;
  readonly kinds: Readonly<Record<BackupType, BackupKind>>;
}

/** A backup that waits or runs. */
interface OpenBackup {
  readonly row: TaskRow;
  readonly canceled: AbortController;
}

/** Backups that wait, and the one under way. */
const MAX_WAITING = 100;
const RETRY_MS = 1_000;
/** What is said of a backup that has no error; no replica is ever left behind by one. */
const OPEN = { error: null, divergent: [] } as const;

/**
 * Runs the tasks that back the fleet up, one after the other. A task is recorded before it runs. When the control plane stops, or another
 * process comes to lead, the task stays open and is run again from the start by whoever leads next; nothing that is left of the broken
 * attempt is ever taken for a backup.
 */
export class BackupTasks {
  readonly #options: BackupTasksOptions;
  readonly #open = new Map<number, OpenBackup>();
  readonly #stopping = new AbortController();
  #last: Promise<void> = Promise.resolve();

  constructor(options: BackupTasksOptions) {
    this.#options = options;
  }

  /** Records a task and runs it; resolves when it is recorded. */
  async create(type: BackupType, uid: number): Promise<void> {
    const { store, registry, world, kinds } = this.#options;
    if (this.#open.has(uid) || (await store.tasks.get(taskUid(uid))) !== undefined) return;
    if (this.#open.size >= MAX_WAITING) {
      throw new ConnectError(`${MAX_WAITING} backups wait already`, Code.ResourceExhausted);
    }
    const row = enqueuedTask({
      uid: taskUid(uid),
      indexUid: null,
      instance: null,
      type,
      detailsJson: kinds[type].enqueuedDetails,
      enqueuedAt: world.clock.now(),
    });
    const open = this.#opened(row);
    try {
      await registry.register([row]);
    } catch (error) {
      this.#open.delete(uid);
      throw error;
    }
    this.#enqueue(open);
  }

  /** Takes up the tasks that were open when the control plane stopped, and removes what they had left. */
  async resume(): Promise<void> {
    const { store, kinds, logger } = this.#options;
    for (const kind of Object.values(kinds)) {
      await kind.removeRubbish().catch((error: unknown) => {
        logger.warn({ err: error }, "what unfinished backups have left could not be removed");
      });
    }
    const { tasks } = await store.tasks.list(
      { types: ["dumpCreation", "snapshotCreation"], statuses: ["enqueued", "processing"] },
      { limit: MAX_WAITING, reverse: true },
    );
    for (const row of tasks) this.#enqueue(this.#opened(row));
  }

  /** Ends those of these backups that wait or run, and removes what they have written. Resolves with how many. */
  async cancel(uids: readonly TaskUid[], canceledBy: TaskUid): Promise<number> {
    const open = uids.flatMap((uid) => this.#open.get(uid) ?? []);
    const finishedAt = this.#options.world.clock.now();
    for (const { canceled } of open) canceled.abort(new Error("the backup was canceled"));
    await this.#options.registry.conclude(
      open.map(({ row }) => ({
        row: { ...row, canceledBy },
        verdict: { ...OPEN, status: "canceled", detailsJson: row.detailsJson, startedAt: null, finishedAt },
      })),
    );
    return open.length;
  }

  /** Breaks off what is under way; it is taken up again by {@link resume}. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error("the control plane stops"));
    await this.#last;
  }

  #opened(row: TaskRow): OpenBackup {
    const open = { row, canceled: new AbortController() };
    this.#open.set(row.uid, open);
    return open;
  }

  #enqueue(open: OpenBackup): void {
    const { row } = open;
    this.#last = this.#last
      .then(() => this.#run(open))
      .catch((error: unknown) => {
        if (!this.#stopping.signal.aborted) {
          this.#options.logger.error({ err: error, task: row.uid }, "a backup could not be run");
        }
      })
      .finally(() => this.#open.delete(row.uid));
  }

  async #run({ row, canceled }: OpenBackup): Promise<void> {
    const { world, logger, metrics, kinds } = this.#options;
    const signal = AbortSignal.any([this.#stopping.signal, canceled.signal]);
    if (signal.aborted || !isBackup(row.type)) return;
    const startedAt = world.clock.now();
    const processing: TaskVerdict = {
      ...OPEN,
      status: "processing",
      detailsJson: row.detailsJson,
      startedAt,
      finishedAt: null,
    };
    await this.#record(row, processing);
    const outcome = await kinds[row.type]
      .run({
        task: row,
        startedAt,
        signal,
        confirm: () => this.#options.registry.conclude([{ row, verdict: processing }]),
      })
      .then(
        (detailsJson) => ({ status: "succeeded", detailsJson, error: null }) as const,
        (error: unknown) => {
          if (signal.aborted) return undefined;
          logger.error({ err: error, task: row.uid, type: row.type }, "a backup has failed");
          return { status: "failed", detailsJson: row.detailsJson, error: failure(error) } as const;
        },
      );
    if (outcome === undefined) return;
    const finishedAt = world.clock.now();
    await this.#record(row, { ...processing, ...outcome, finishedAt });
    metrics.backups.inc({ type: row.type, outcome: outcome.status });
    logger.info(
      { task: row.uid, type: row.type, status: outcome.status, ms: finishedAt - startedAt },
      "a backup has ended",
    );
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
        logger.warn({ err: error, task: row.uid }, "the state of a backup could not be recorded yet");
      }
      await world.timers.sleep(RETRY_MS, signal);
    }
  }
}

function isBackup(type: TaskRow["type"]): type is BackupType {
  return type === "dumpCreation" || type === "snapshotCreation";
}

function failure(error: unknown): NonNullable<TaskVerdict["error"]> {
  const message = error instanceof Error ? error.message : String(error);
  return { message, code: "internal", type: "internal", link: errorLink("internal") };
}
