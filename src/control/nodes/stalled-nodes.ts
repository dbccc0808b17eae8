import type { Logger } from "pino";
import type { World } from "../../runtime/world.js";
import {
  isFinalStatus,
  type NodeId,
  type NodeTaskUid,
  nodeId,
  type TaskStore,
} from "../../store/task-store.js";
import { markSuspect } from "../tasks/index-replicas.js";
import type { TopologyManager } from "../topology/topology-manager.js";

/** When a node counts as stalled. */
export interface StallTuning {
  /** Milliseconds in which a node finishes none of its tasks although others have finished theirs; 600,000 unless given, 0 for never. */
  readonly stallMs?: number;
  /** Milliseconds between two looks; 5,000 unless given. */
  readonly intervalMs?: number;
}

/** What {@link StalledNodes} works with. */
export interface StalledNodesOptions {
  readonly world: World;
  readonly logger: Logger;
  readonly store: TaskStore;
  readonly topology: TopologyManager;
  /** Tasks that wait on each node. */
  readonly openTasks: () => ReadonlyMap<string, number>;
  readonly tuning?: StallTuning | undefined;
}

/** Open tasks that are looked at; the oldest ones tell enough. */
const LOOKED_AT = 100;

/**
 * Finds nodes that accept writes and finish none, such as one whose disk is full: Meilisearch answers requests there, and leaves a task that
 * it cannot even record as failed `processing` for ever. A slow node is not a stalled one: it counts only when it has finished nothing for
 * long while another replica has finished the same task. Its replicas of those indexes are made suspect, so that the writer gives up those that
 * can be spared and clients' tasks end.
 */
export class StalledNodes {
  readonly #options: StalledNodesOptions;
  readonly #stallMs: number;
  readonly #oldest = new Map<string, { readonly uid: NodeTaskUid; readonly since: number }>();
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;

  constructor(options: StalledNodesOptions) {
    this.#options = options;
    this.#stallMs = options.tuning?.stallMs ?? 600_000;
  }

  start(): void {
    if (this.#stallMs > 0) this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort(new Error("the control plane stops"));
    await this.#running;
  }

  async #run(): Promise<void> {
    const { logger, openTasks, tuning, world } = this.#options;
    const { signal } = this.#stop;
    for (;;) {
      await world.timers.sleep(tuning?.intervalMs ?? 5_000, signal).catch(() => undefined);
      if (signal.aborted) return;
      try {
        for (const [id, open] of openTasks()) {
          if (open === 0) this.#oldest.delete(id);
          else await this.#look(nodeId(id));
        }
      } catch (error) {
        logger.warn({ err: error }, "could not look for nodes that finish nothing");
      }
    }
  }

  /** A node runs the tasks of an index in their order, so that its oldest open task tells whether it finishes anything. */
  async #look(id: NodeId): Promise<void> {
    const { store, world } = this.#options;
    const [oldest] = await store.tasks.openNodeTasks(id, { limit: 1 });
    const now = world.clock.monotonic();
    const known = this.#oldest.get(id);
    if (oldest === undefined || known?.uid !== oldest.nodeTaskUid) {
      if (oldest !== undefined) this.#oldest.set(id, { uid: oldest.nodeTaskUid, since: now });
      return;
    }
    if (now - known.since < this.#stallMs) return;
    this.#oldest.set(id, { ...known, since: now });
    await this.#giveUp(id);
  }

  async #giveUp(id: NodeId): Promise<void> {
    const { logger, store, topology } = this.#options;
    const open = await store.tasks.openNodeTasks(id, { limit: LOOKED_AT });
    const tasks = await store.tasks.getMany(open.flatMap(({ taskUid }) => taskUid));
    const instances = new Set(
      tasks
        .filter(({ nodeTasks }) =>
          nodeTasks.some((other) => other.nodeId !== id && isFinalStatus(other.status)),
        )
        .flatMap(({ instance }) => instance ?? []),
    );
    if (instances.size === 0) return;
    logger.warn(
      { node: id, openTasks: open.length, instances: [...instances], stalledMs: this.#stallMs },
      "a node finishes none of its tasks, although others have; is its disk full?",
    );
    await topology.change(`node ${id} finishes none of its tasks`, (draft) => {
      for (const instance of instances) markSuspect(draft, instance, [id]);
    });
  }
}
