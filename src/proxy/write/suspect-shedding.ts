import type { IndexView, TopologyView } from "../topology/topology-view.js";
import { holders, losable, standingOf } from "./standing.js";
import type { WriteCore } from "./write-core.js";

/** Pause between two attempts at an index. Milliseconds. */
const PAUSE_MS = 2_000;

/**
 * Gives the indexes of which the control plane holds replicas for divergent a generation without those. An index that nobody writes is
 * taken over for that: a replica that differs would otherwise stay until somebody does, and is only repaired once it is stale.
 */
export class SuspectShedding {
  readonly #running = new Set<string>();

  constructor(private readonly core: WriteCore) {}

  /** Takes up what a new topology asks for. */
  look(view: TopologyView): void {
    for (const { instance } of view.indexes.values()) {
      if (this.#running.has(instance) || this.#due(instance) === undefined) continue;
      this.#running.add(instance);
      this.#shed(instance)
        .catch((error: unknown) =>
          this.core.context.logger.debug({ err: error, instance }, "suspect replicas stay"),
        )
        .finally(() => this.#running.delete(instance));
    }
  }

  /** The index, where this proxy is to do something about its suspect replicas. */
  #due(instance: string): IndexView | undefined {
    const { lease, topology, writers } = this.core.context;
    const view = topology.current();
    const index = view?.byInstance.get(instance);
    if (view === undefined || index === undefined || lease.state().kind !== "held") return undefined;
    if (![...index.replicas.values()].includes("suspect") || !writers.isOwn(index)) return undefined;
    const standing = standingOf(view, index);
    // After an election the suspect ones are all that there is, and have to be brought under the new name.
    const isBare = index.placement.some((_, shard) =>
      holders(standing, shard).every((nodeId) => standing.suspects.has(nodeId)),
    );
    const isElected = isBare && index.writer?.session !== lease.session;
    return isElected || losable(standing, standing.suspects).size > 0 ? index : undefined;
  }

  async #shed(instance: string): Promise<void> {
    const { closed, logger, topology, world } = this.core.context;
    for (;;) {
      const index = this.#due(instance);
      if (index === undefined) return;
      try {
        await this.core.background(index.uid, async () => {
          // Under another name by now, its writes wait in another lane; the next look finds it there.
          if (topology.current()?.byInstance.get(instance)?.uid !== index.uid) return;
          await this.core.writerOf(instance).shedSuspects();
        });
      } catch (error) {
        logger.warn({ err: error, index: index.uid }, "suspect replicas stay for now");
      }
      await world.timers.sleep(PAUSE_MS, closed);
    }
  }
}
