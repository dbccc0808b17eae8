import type { Logger } from "pino";
import { type Index, ReplicaState } from "../../gen/miroir/v1/topology_pb.js";
import { MeilisearchError } from "../../meilisearch/errors.js";
import { NodeUnavailableError } from "../../meilisearch/transport.js";
import type { ControlMetrics } from "../metrics.js";
import { awayNodes } from "../nodes/away-nodes.js";
import { findInstance, markSuspect } from "../tasks/index-replicas.js";
import type { TopologyManager } from "../topology/topology-manager.js";
import type { VerifyContext } from "../verify/verify-context.js";
import { CheckRecord, type ShardCheck } from "./check-record.js";
import { compareShard } from "./shard-check.js";

/** How eagerly replicas are compared in the background. */
export interface AntiEntropyTuning {
  /** Milliseconds between the beginnings of two passes over all shards; an hour unless given, 0 for never. */
  readonly intervalMs?: number;
  /** Documents that a pass reads from nodes in a second, at most; 2,000 unless given. */
  readonly documentsPerSecond?: number;
  /** Open tasks of a node from which on a pass leaves it in peace; 20 unless given. */
  readonly busyTasks?: number;
  /** Milliseconds between two looks at nodes that are busy; 1,000 unless given. */
  readonly busyPauseMs?: number;
}

/** What {@link AntiEntropy} works with. */
export interface AntiEntropyOptions extends Omit<VerifyContext, "topology"> {
  readonly topology: TopologyManager;
  readonly logger: Logger;
  readonly metrics: ControlMetrics;
  /** Tasks that wait on each node. */
  readonly openTasks: () => ReadonlyMap<string, number>;
  /** Nodes that were restarted or suspected lately. */
  readonly doubted: () => ReadonlySet<string>;
  readonly tuning?: AntiEntropyTuning | undefined;
}

/** Shards to compare on demand. */
export interface CheckRequest {
  readonly instance: string;
  /** All of them unless given. */
  readonly shards?: readonly number[];
  /** Whether the replica that is wrong is given up, so that it is repaired. */
  readonly repair: boolean;
  /** Nodes that were restarted or suspected lately, beside those that are known as such. */
  readonly doubted?: ReadonlySet<string>;
}

/** Attempts at a shard whose index changes its generation meanwhile. */
const MAX_ATTEMPTS = 5;
const RETRY_MS = 500;

/**
 * Compares the replicas of every shard, in the background and one shard after the other, at a pace that leaves the nodes to their
 * clients. Where they differ, the one that is wrong is marked suspect: nobody reads it while another copy exists, and the index's writer
 * gives it up by a new generation where it can be spared (invariants 5 and 8). A repair follows as for every stale replica.
 */
export class AntiEntropy {
  readonly #options: AntiEntropyOptions;
  readonly #tuning: Required<AntiEntropyTuning>;
  readonly #record = new CheckRecord();
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;

  constructor(options: AntiEntropyOptions) {
    this.#options = options;
    this.#tuning = {
      intervalMs: 3_600_000,
      documentsPerSecond: 2_000,
      busyTasks: 20,
      busyPauseMs: 1_000,
      ...options.tuning,
    };
  }

  start(): void {
    if (this.#tuning.intervalMs > 0) this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort(new Error("the control plane stops"));
    await this.#running;
  }

  /** The last result of every shard that was compared, by index and shard. */
  results(): readonly ShardCheck[] {
    return this.#record.list();
  }

  /** Compares shards now, as fast as the nodes answer. An index that is gone by then has none. */
  async *check(request: CheckRequest, signal: AbortSignal): AsyncGenerator<ShardCheck> {
    const asked = request.shards ?? this.#find(request.instance)?.placement.map(({ shard }) => shard) ?? [];
    for (const shard of asked) {
      const found = await this.#checkShard(request, shard, signal, async () => undefined);
      if (found === undefined) return;
      yield found;
    }
  }

  #find(instance: string): Index | undefined {
    return findInstance(this.#options.topology.current(), instance);
  }

  async #run(): Promise<void> {
    const { world, logger, metrics } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await world.timers.sleep(this.#tuning.intervalMs, signal);
        await this.#pass(signal);
        metrics.antiEntropyPassed.set(world.clock.now() / 1_000);
      } catch (error) {
        if (signal.aborted) return;
        logger.warn({ err: error }, "replicas could not be compared; they will be in the next pass");
      }
    }
  }

  async #pass(signal: AbortSignal): Promise<void> {
    const { topology } = this.#options;
    const pace = this.#pace(signal);
    this.#record.retain(new Set(topology.current().indexes.map(({ instance }) => instance)));
    for (const { instance } of topology.current().indexes) {
      const shards = this.#find(instance)?.shards ?? 0;
      for (let shard = 0; shard < shards; shard += 1) {
        const index = this.#find(instance);
        // A copy compares by itself what it makes, and moves the replicas meanwhile.
        if (index === undefined || index.copy !== undefined) break;
        await this.#waitForQuiet(index.placement[shard]?.nodeIds ?? [], signal);
        await this.#checkShard({ instance, repair: true }, shard, signal, pace);
      }
    }
  }

  /** Waits until none of the nodes has much to do. */
  async #waitForQuiet(nodeIds: readonly string[], signal: AbortSignal): Promise<void> {
    const { openTasks, world } = this.#options;
    while (nodeIds.some((id) => (openTasks().get(id) ?? 0) >= this.#tuning.busyTasks)) {
      await world.timers.sleep(this.#tuning.busyPauseMs, signal);
    }
  }

  #pace(signal: AbortSignal): (documents: number) => Promise<void> {
    const { timers } = this.#options.world;
    return async (documents) => {
      await timers.sleep((documents / this.#tuning.documentsPerSecond) * 1_000, signal);
    };
  }

  /** Compares a shard, and gives the wrong replica up where that is asked for; undefined where the index is gone. */
  async #checkShard(
    { instance, repair, doubted }: CheckRequest,
    shard: number,
    signal: AbortSignal,
    pace: (documents: number) => Promise<void>,
  ): Promise<ShardCheck | undefined> {
    const { metrics, topology, world, ...context } = this.#options;
    const run = { ...context, topology, world, signal, pace };
    const suspected = new Set([...context.doubted(), ...(doubted ?? [])]);
    for (let attempt = 1; ; attempt += 1) {
      const index = this.#find(instance);
      if (index === undefined || index.placement[shard] === undefined) return undefined;
      const common = { indexUid: index.uid, instance, shard, checkedAt: world.clock.now() };
      try {
        const found = await compareShard(run, reachable(index, topology), shard, suspected);
        const isMarked = repair && found.odd !== undefined && (await this.#giveUp(index, found.odd.nodeId));
        const outcome = found.differing > 0 ? "differing" : found.unsettled > 0 ? "unsettled" : "equal";
        metrics.antiEntropyShards.inc({ outcome });
        metrics.antiEntropyDocuments.inc(found.documents);
        return this.#note({ ...common, ...found, error: "", isMarked });
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof MeilisearchError) && !(error instanceof NodeUnavailableError)) throw error;
        const moved = this.#find(instance)?.generation !== index.generation;
        if (attempt < MAX_ATTEMPTS && (moved || repair)) {
          await world.timers.sleep(RETRY_MS, signal);
          continue;
        }
        metrics.antiEntropyShards.inc({ outcome: "failed" });
        const nothing = { nodeIds: [], documents: 0, differing: 0, unsettled: 0, odd: undefined };
        return this.#note({ ...common, ...nothing, error: error.message, isMarked: false });
      }
    }
  }

  #note(check: ShardCheck): ShardCheck {
    this.#record.put(check);
    if (check.odd === undefined) return check;
    const { indexUid, shard, nodeIds, differing, odd, isMarked } = check;
    this.#options.logger.warn(
      { index: indexUid, shard, nodes: nodeIds, differing, odd: odd.nodeId, reason: odd.reason, isMarked },
      "replicas of a shard differ",
    );
    return check;
  }

  /** Marks a replica suspect, where its index has not another one that is given up already; true where it was. */
  async #giveUp({ instance, uid }: Index, nodeId: string): Promise<boolean> {
    const { topology, metrics } = this.#options;
    const isFree = (index: Index | undefined): boolean =>
      index?.replicas.every(({ state }) => state !== ReplicaState.SUSPECT) === true;
    if (!isFree(this.#find(instance))) return false;
    let isMarked = false;
    await topology.change(`replica of ${uid} on ${nodeId} differs from the others`, (draft) => {
      isMarked = isFree(findInstance(draft, instance)) && markSuspect(draft, instance, [nodeId]);
    });
    if (isMarked) metrics.antiEntropyMarked.inc({ node: nodeId });
    return isMarked;
  }
}

/** An index with the replicas alone that can be read now. */
function reachable(index: Index, topology: TopologyManager): Index {
  const away = awayNodes(topology.current());
  return { ...index, replicas: index.replicas.filter(({ nodeId }) => !away.has(nodeId)) };
}
