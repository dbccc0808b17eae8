import type { Logger } from "pino";
import { NodeState } from "../../gen/miroir/v1/topology_pb.js";
import type { NodeClient } from "../../meilisearch/node-client.js";
import type { World } from "../../runtime/world.js";
import type { ControlMetrics } from "../metrics.js";
import type { TopologyManager } from "../topology/topology-manager.js";
import { indexNames } from "./node-contents.js";
import { type OrphanedIndex, orphansOn } from "./orphaned-indexes.js";

/** How orphaned indexes are looked for and deleted. */
export interface OrphanTuning {
  /** Milliseconds between two looks at all nodes; 600,000 unless given. */
  readonly intervalMs?: number;
  /**
   * Milliseconds for which this process has to have seen an orphan, at every look, before it is deleted; 24 hours unless given, 0 for never.
   * Time for an operator who has put back an older store, to which newer indexes look like orphans.
   */
  readonly graceMs?: number;
  /** Milliseconds between two deletions; 1,000 unless given. */
  readonly pauseMs?: number;
}

/** What {@link OrphanCollection} works with. */
export interface OrphanCollectionOptions {
  readonly topology: TopologyManager;
  readonly world: World;
  readonly logger: Logger;
  readonly metrics: ControlMetrics;
  /** A client with the node's admin key. */
  readonly admin: (nodeId: string) => NodeClient;
  readonly tuning?: OrphanTuning | undefined;
}

/**
 * Deletes physical indexes that no index of the catalogue needs, in the background and one after the other: what deletions, creations and
 * hand-overs left on nodes that were away. Looks again right before each deletion.
 */
export class OrphanCollection {
  readonly #options: OrphanCollectionOptions;
  readonly #tuning: Required<OrphanTuning>;
  readonly #stop = new AbortController();
  /** By node and name: since when, on the monotonic clock. */
  readonly #since = new Map<string, number>();
  #running: Promise<void> | undefined;

  constructor(options: OrphanCollectionOptions) {
    this.#options = options;
    this.#tuning = { intervalMs: 600_000, graceMs: 86_400_000, pauseMs: 1_000, ...options.tuning };
  }

  /** Begins. */
  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort(new Error("the control plane stops"));
    await this.#running;
  }

  async #run(): Promise<void> {
    const { world, logger } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await world.timers.sleep(this.#tuning.intervalMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      try {
        await this.#lookAtAll();
      } catch (error) {
        if (!signal.aborted) logger.warn({ err: error }, "orphaned indexes could not be looked for");
      }
    }
  }

  async #lookAtAll(): Promise<void> {
    const { topology, logger, metrics } = this.#options;
    const seen = new Set<string>();
    for (const { id, state } of topology.current().nodes) {
      if (state !== NodeState.ACTIVE && state !== NodeState.DRAINING) continue;
      try {
        for (const orphan of await this.#orphansOn(id)) {
          const key = `${id} ${orphan.name}`;
          seen.add(key);
          await this.#consider(id, orphan, key);
        }
      } catch (error) {
        if (this.#stop.signal.aborted) throw error;
        logger.debug({ err: error, node: id }, "a node does not tell its indexes");
      }
    }
    // Whoever was not seen this time begins anew.
    for (const key of this.#since.keys()) if (!seen.has(key)) this.#since.delete(key);
    metrics.orphanedIndexes.set(this.#since.size);
  }

  async #consider(node: string, orphan: OrphanedIndex, key: string): Promise<void> {
    const { world, logger, metrics, admin } = this.#options;
    const { graceMs, pauseMs } = this.#tuning;
    const now = world.clock.monotonic();
    const since = this.#since.get(key);
    if (since === undefined) {
      this.#since.set(key, now);
      logger.warn(
        { node, physicalIndex: orphan.name, reason: orphan.reason, graceMs },
        "a node holds an index that nothing needs",
      );
      return;
    }
    if (graceMs === 0 || now - since < graceMs) return;
    const isStill = (await this.#orphansOn(node)).some(({ name }) => name === orphan.name);
    if (!isStill) return;
    await admin(node).deleteIndex(orphan.name);
    this.#since.delete(key);
    metrics.orphanedIndexesDeleted.inc({ node });
    logger.warn({ node, physicalIndex: orphan.name, reason: orphan.reason }, "an orphaned index is deleted");
    await world.timers.sleep(pauseMs, this.#stop.signal);
  }

  /** The node is asked before the topology is looked at: what appeared in between is not taken for an orphan. */
  async #orphansOn(node: string): Promise<readonly OrphanedIndex[]> {
    const names = await indexNames(this.#options.admin(node), this.#stop.signal);
    return orphansOn(this.#options.topology.current(), node, names);
  }
}
