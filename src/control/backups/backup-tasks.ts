import type { Logger } from "pino";
import { errorLink } from "../../meilisearch/errors.js";
import type { World } from "../../runtime/world.js";
import {
  type TaskErrorRow,
  type TaskRow,
  type TaskStore,
  type TaskUid,
  taskUid,
} from "../../store/task-store.js";
import type { ControlMetrics } from "../metrics.js";
import { enqueuedTask } from "../tasks/enqueued-task.js";
import { SerialTasks, type TaskAttempt } from "../tasks/serial-tasks.js";
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
  run(attempt: TaskAttempt): Promise<string | null>;
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

/** Open backups that are taken up again at most. */
const MAX_OPEN = 100;

/**
 * Runs the tasks that back the fleet up, one after the other. When the control plane stops, or another process comes to lead, a task stays
 * open and is run again from the start by whoever leads next; nothing that is left of the broken attempt is ever taken for a backup.
 */
export class BackupTasks {
  readonly #options: BackupTasksOptions;
  readonly #line: SerialTasks<BackupKind>;

  constructor(options: BackupTasksOptions) {
    const { metrics } = options;
    this.#options = options;
    this.#line = new SerialTasks({
      ...options,
      what: "backup",
      run: (kind, attempt) => kind.run(attempt),
      failure,
      ended: ({ type }, outcome) => metrics.backups.inc({ type, outcome }),
    });
  }

  /** Records a task and runs it; resolves when it is recorded. */
  async create(type: BackupType, uid: number): Promise<void> {
    const { world, kinds } = this.#options;
    const row = enqueuedTask({
      uid: taskUid(uid),
      indexUid: null,
      instance: null,
      type,
      detailsJson: kinds[type].enqueuedDetails,
      enqueuedAt: world.clock.now(),
    });
    await this.#line.create(row, kinds[type]);
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
      { limit: MAX_OPEN, reverse: true },
    );
    for (const row of tasks) {
      if (isBackup(row.type)) this.#line.takeUp(row, kinds[row.type]);
    }
  }

  /** Ends those of these backups that wait or run, and removes what they have written. Resolves with how many. */
  cancel(uids: readonly TaskUid[], canceledBy: TaskUid): Promise<number> {
    return this.#line.cancel(uids, canceledBy);
  }

  /** Breaks off what is under way; it is taken up again by {@link resume}. */
  stop(): Promise<void> {
    return this.#line.stop();
  }
}

function isBackup(type: TaskRow["type"]): type is BackupType {
  return type === "dumpCreation" || type === "snapshotCreation";
}

function failure(error: unknown): TaskErrorRow {
  const message = error instanceof Error ? error.message : String(error);
  return { message, code: "internal", type: "internal", link: errorLink("internal") };
}
