import type { CopyStep, TopologyView } from "../../topology/topology-view.js";
import type { OpenSettings } from "../open-settings.js";
import type { WriteCore } from "../write-core.js";
import { CopyProgressReport } from "./copy-progress.js";
import { CopyMovedOnError, CopyRun } from "./copy-run.js";
import { takeSplitStep } from "./copy-split.js";
import { begin, clean, fill, stopWrites, verifyAndDrop } from "./copy-steps.js";
import type { TrackerFault } from "./copy-tracker.js";

/** Pause before a step is tried again, growing to the longest. Milliseconds. */
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5_000;
/** How soon it is seen that a copy has become this proxy's to carry out. Milliseconds. */
const LOOK_AGAIN_MS = 1_000;

/** What copies may be told besides. */
export interface CopyRunnerOptions {
  /** Faults of the rule that tests plant. */
  readonly faults?: ReadonlySet<TrackerFault>;
}

/**
 * Carries out the copies of the indexes that this proxy writes (design §7): each step as the topology tells, until the copy is gone or
 * another proxy writes the index. The step is all that is stored, so that it goes on from there whoever does it.
 */
export class CopyRunner {
  readonly #running = new Set<string>();
  #willLook = false;

  constructor(
    private readonly core: WriteCore,
    private readonly openSettings: OpenSettings,
    private readonly options: CopyRunnerOptions = {},
  ) {}

  /** Takes up what a new topology asks for; looks again by itself as long as a copy is under way that is not this proxy's to carry out. */
  look(view: TopologyView): void {
    const { lease, writers, logger } = this.core.context;
    const isWriter = lease.state().kind === "held";
    for (const index of view.indexes.values()) {
      if (index.copy === undefined || this.#running.has(index.instance)) continue;
      if (!isWriter || !writers.isOwn(index)) {
        this.#lookLater();
        continue;
      }
      const { instance } = index;
      this.#running.add(instance);
      this.#carryOut(instance, index.copy.id)
        .catch((error: unknown) => logger.debug({ err: error, copy: index.copy?.id }, "a copy was left"))
        .finally(() => {
          this.#running.delete(instance);
          this.#lookLater();
        });
    }
  }

  /** Leases and writers change without a new topology. */
  #lookLater(): void {
    const { world, topology, closed } = this.core.context;
    if (this.#willLook) return;
    this.#willLook = true;
    world.timers.after(LOOK_AGAIN_MS, () => {
      this.#willLook = false;
      const view = topology.current();
      if (view !== undefined && !closed.aborted) this.look(view);
    });
  }

  async #carryOut(instance: string, copyId: string): Promise<void> {
    const { context } = this.core;
    const { topology, lease, writers, world, closed, logger } = context;
    const hasher = await this.core.hasher;
    const progress = new CopyProgressReport(context, instance, copyId);
    let pause = FIRST_PAUSE_MS;
    for (;;) {
      closed.throwIfAborted();
      const index = topology.current()?.byInstance.get(instance);
      if (index?.copy === undefined || index.copy.id !== copyId) return;
      if (lease.state().kind !== "held" || !writers.isOwn(index)) return;
      const { step } = index.copy;
      const run = new CopyRun(this.core, hasher, instance, copyId, step, progress, this.options.faults);
      try {
        logger.info({ index: index.uid, copy: copyId, step }, "working on a copy");
        // Only the index's writer takes steps: a successor becomes it here.
        await run.inLane(async () => undefined);
        await this.#take(step, run);
        await run.caughtUp();
        progress.lastError = "";
        pause = FIRST_PAUSE_MS;
      } catch (error) {
        closed.throwIfAborted();
        if (!(error instanceof CopyMovedOnError)) {
          progress.lastError = error instanceof Error ? error.message : String(error);
          logger.warn(
            { err: error, index: index.uid, copy: copyId, step },
            "a copy's step takes another attempt",
          );
        }
        await progress.report(true);
        await world.timers.sleep(pause, closed);
        pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
      }
    }
  }

  #take(step: CopyStep, run: CopyRun): Promise<void> {
    if (run.look().copy.splitShards > 0) return takeSplitStep(step, run);
    switch (step) {
      case "planned":
        return begin(run, this.openSettings);
      case "copying":
        return fill(run);
      case "switched":
        return verifyAndDrop(run);
      case "dropping":
        return stopWrites(run);
      case "cleaning":
        return clean(run);
    }
  }
}
