import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import type { Logger } from "pino";
import type { Timer, World } from "../../runtime/world.js";
import type { IndexInstance } from "../../store/task-store.js";
import { findInstance } from "../tasks/index-replicas.js";
import type { TopologyManager } from "../topology/topology-manager.js";

/** How often `updatedAt` reaches the topology. */
export interface UpdatedAtTuning {
  /** Milliseconds between the first write after a pause and its publication; 500 unless given. */
  readonly delayMs?: number;
  /** Milliseconds between two publications at least, over all indexes; 5,000 unless given. */
  readonly spacingMs?: number;
}

/**
 * Carries the time of the last finished write of each index into the topology. An epoch for every task would
 * make each proxy take a new topology for each write, so times are gathered: the first write after a pause shows
 * soon, continuous writing shows every few seconds, all indexes together in one epoch.
 */
export class UpdatedAt {
  readonly #world: World;
  readonly #topology: TopologyManager;
  readonly #logger: Logger;
  readonly #tuning: UpdatedAtTuning;
  readonly #newest = new Map<IndexInstance, number>();
  #timer: Timer | undefined;
  #published = Number.NEGATIVE_INFINITY;

  constructor(world: World, topology: TopologyManager, logger: Logger, tuning: UpdatedAtTuning = {}) {
    this.#world = world;
    this.#topology = topology;
    this.#logger = logger;
    this.#tuning = tuning;
  }

  /** Documents or settings of this index changed at `at`, milliseconds since the Unix epoch. */
  note(instance: IndexInstance, at: number): void {
    if ((this.#newest.get(instance) ?? 0) < at) this.#newest.set(instance, at);
    if (this.#timer !== undefined) return;
    const sincePublished = this.#world.clock.monotonic() - this.#published;
    const delay = Math.max(this.#tuning.delayMs ?? 500, (this.#tuning.spacingMs ?? 5_000) - sincePublished);
    this.#timer = this.#world.timers.after(delay, () => {
      this.#timer = undefined;
      this.flush().catch((error: unknown) => {
        this.#logger.warn({ err: error }, "could not publish when indexes were last updated");
      });
    });
  }

  /** The newest time noted and not yet published. */
  pending(instance: string): number | undefined {
    return this.#newest.get(instance as IndexInstance);
  }

  /** Publishes what has been noted. */
  async flush(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    const times = new Map(this.#newest);
    this.#newest.clear();
    if (times.size === 0) return;
    this.#published = this.#world.clock.monotonic();
    await this.#topology.change("indexes were written", (draft) => {
      for (const [instance, at] of times) {
        const index = findInstance(draft, instance);
        if (index === undefined) continue;
        const held = index.updatedAt === undefined ? 0 : timestampMs(index.updatedAt);
        if (held < at) index.updatedAt = timestampFromMs(at);
      }
    });
  }

  stop(): void {
    this.#timer?.cancel();
  }
}
