import type { Logger } from "pino";
import type { World } from "../../runtime/world.js";
import type { FencingToken, TaskStore } from "../../store/task-store.js";

/** How much history is kept. */
export interface RetentionTuning {
  /** Finished tasks that stay; 1,000,000 unless given, as many as Meilisearch keeps. */
  readonly keepTasks?: number;
  /** Milliseconds for which finished workflows stay; 7 days unless given. */
  readonly keepWorkflowsMs?: number;
  /** Milliseconds between two rounds; 60,000 unless given. */
  readonly intervalMs?: number;
}

const LIMIT = 1_000;
const WEEK_MS = 7 * 24 * 3_600_000;

/** Keeps the store bounded (invariant 12): every round deletes what is beyond the limits, in small steps. */
export class TaskRetention {
  readonly #store: TaskStore;
  readonly #fence: () => FencingToken;
  readonly #world: World;
  readonly #logger: Logger;
  readonly #tuning: RetentionTuning;
  readonly #stop = new AbortController();
  #loop: Promise<void> | undefined;

  constructor(
    store: TaskStore,
    fence: () => FencingToken,
    world: World,
    logger: Logger,
    tuning: RetentionTuning = {},
  ) {
    this.#store = store;
    this.#fence = fence;
    this.#world = world;
    this.#logger = logger;
    this.#tuning = tuning;
  }

  start(): void {
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort(new Error("the control plane stops"));
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#world.timers.sleep(this.#tuning.intervalMs ?? 60_000, signal).catch(() => undefined);
      if (signal.aborted) return;
      try {
        await this.#round(signal);
      } catch (error) {
        this.#logger.warn({ err: error }, "could not delete old tasks from the store");
      }
    }
  }

  async #round(signal: AbortSignal): Promise<void> {
    const { retention } = this.#store;
    const keepFinished = this.#tuning.keepTasks ?? 1_000_000;
    while (
      !signal.aborted &&
      (await retention.pruneTasks({ keepFinished, limit: LIMIT }, this.#fence())) === LIMIT
    );
    const finishedBefore = this.#world.clock.now() - (this.#tuning.keepWorkflowsMs ?? WEEK_MS);
    while (
      !signal.aborted &&
      (await retention.pruneWorkflows({ finishedBefore, limit: LIMIT }, this.#fence())) === LIMIT
    );
  }
}
