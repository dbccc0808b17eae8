import type { Logger } from "pino";
import type { World } from "../../runtime/world.js";
import type { FencingToken, Retention } from "../../store/task-store.js";
import { NotLeaderError } from "../leader/leadership.js";

/** How much history is kept. */
export interface RetentionTuning {
  /** Finished tasks that stay; 1,000,000 unless given, as many as Meilisearch keeps. */
  readonly keepTasks?: number;
  /** Milliseconds for which finished tasks stay; for as long as there is room unless given. */
  readonly keepTasksMs?: number;
  /** Milliseconds for which finished workflows, finished jobs and runs of canaries stay; 7 days unless given. */
  readonly keepHistoryMs?: number;
  /** Milliseconds between two rounds; 60,000 unless given. */
  readonly intervalMs?: number;
  /** Rows that one call to the store deletes at most; 1,000 unless given. */
  readonly batch?: number;
  /** Milliseconds of rest after each full batch, in which other calls have their turn; 20 unless given. */
  readonly restMs?: number;
}

/** What {@link RetentionLoop} works with. */
export interface RetentionOptions {
  readonly store: { readonly retention: Retention };
  /** The fencing token of the leader's term; throws where this process does not lead. */
  readonly fence: () => FencingToken;
  readonly world: World;
  readonly logger: Logger;
  readonly tuning?: RetentionTuning | undefined;
}

const WEEK_MS = 7 * 24 * 3_600_000;

interface Rule {
  readonly what: string;
  /** Deletes one batch; resolves with the rows that went. */
  readonly prune: (limit: number) => Promise<number>;
}

/**
 * Keeps the store bounded (invariant 12): every round deletes what is beyond the limits or has ended, in small batches
 * with rests between them, so that no other call waits for long. What fails in one round is tried in the next.
 */
export class RetentionLoop {
  readonly #options: RetentionOptions;
  readonly #tuning: RetentionTuning;
  readonly #stop = new AbortController();
  #loop: Promise<void> | undefined;

  constructor(options: RetentionOptions) {
    this.#options = options;
    this.#tuning = options.tuning ?? {};
  }

  /** Begins with a pause; the first round comes after it. */
  start(): void {
    this.#loop = this.#run();
  }

  /** Ends the loop; the batch under way is finished first. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error("the control plane stops"));
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#rest(this.#tuning.intervalMs ?? 60_000);
      for (const rule of this.#rules()) {
        if (signal.aborted) return;
        try {
          await this.#apply(rule);
        } catch (error) {
          if (error instanceof NotLeaderError) break;
          this.#options.logger.warn({ err: error }, `could not delete ${rule.what} from the store`);
        }
      }
    }
  }

  async #apply({ prune }: Rule): Promise<void> {
    const limit = this.#tuning.batch ?? 1_000;
    while ((await prune(limit)) >= limit && !this.#stop.signal.aborted) {
      await this.#rest(this.#tuning.restMs ?? 20);
    }
  }

  /** What a round deletes, by the time at which it begins. */
  #rules(): readonly Rule[] {
    const { fence, store, world } = this.#options;
    const { keepTasks = 1_000_000, keepTasksMs, keepHistoryMs = WEEK_MS } = this.#tuning;
    const { retention } = store;
    const now = world.clock.now();
    const tasks = {
      keepFinished: keepTasks,
      ...(keepTasksMs === undefined ? {} : { finishedBefore: now - keepTasksMs }),
    };
    const finishedBefore = now - keepHistoryMs;
    return [
      { what: "ended rows", prune: (limit) => retention.pruneExpired({ limit }, fence()) },
      { what: "old tasks", prune: (limit) => retention.pruneTasks({ ...tasks, limit }, fence()) },
      { what: "old jobs", prune: (limit) => retention.pruneJobs({ finishedBefore, limit }, fence()) },
      {
        what: "old workflows",
        prune: (limit) => retention.pruneWorkflows({ finishedBefore, limit }, fence()),
      },
      {
        what: "old runs of canaries",
        prune: (limit) => retention.pruneCanaryRuns({ ranBefore: finishedBefore, limit }, fence()),
      },
    ];
  }

  async #rest(ms: number): Promise<void> {
    // Only stop() ends a rest early, and the loops see that next.
    await this.#options.world.timers.sleep(ms, this.#stop.signal).catch(() => undefined);
  }
}
