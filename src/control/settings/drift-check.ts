import type { Logger } from "pino";
import { DriftOutcome } from "../../gen/miroir/v1/settings_pb.js";
import { type Index, ReplicaState } from "../../gen/miroir/v1/topology_pb.js";
import { MeilisearchError } from "../../meilisearch/errors.js";
import type { NodeClient } from "../../meilisearch/node-client.js";
import { NodeUnavailableError } from "../../meilisearch/transport.js";
import { physicalName } from "../../placement/physical-name.js";
import type { World } from "../../runtime/world.js";
import type { ControlMetrics } from "../metrics.js";
import { isAway } from "../nodes/away-nodes.js";
import { findInstance, markSuspect } from "../tasks/index-replicas.js";
import type { TopologyManager } from "../topology/topology-manager.js";
import { DriftRecord, type EndedOutcome } from "./drift-record.js";
import { differenceOnNode, isUnchanged, PRIMARY_KEY } from "./replica-settings.js";

/** How often settings are compared. */
export interface DriftTuning {
  /** Milliseconds between two checks of all replicas; 60,000 unless given, 0 for never. */
  readonly intervalMs?: number;
  /** Milliseconds between two replicas; 50 unless given. Each takes two requests. */
  readonly pauseMs?: number;
  /** Milliseconds for which a difference has to last before it counts, and between two looks at one that is being repaired; 2,000 unless given. */
  readonly confirmMs?: number;
  /** Milliseconds that a repair may take; 120,000 unless given. */
  readonly giveUpMs?: number;
}

/** What {@link DriftCheck} works with. */
export interface DriftCheckOptions {
  readonly topology: TopologyManager;
  readonly world: World;
  readonly logger: Logger;
  readonly metrics: ControlMetrics;
  /** A client with the node's admin key. */
  readonly admin: (nodeId: string) => NodeClient;
  /** Whether a settings change of an index is under way that is not in the topology yet. */
  readonly isChanging: (instance: string) => boolean;
  readonly tuning?: DriftTuning | undefined;
}

/**
 * Compares, in the background and one replica after the other, every node's settings and primary key of every index with what was
 * committed. A difference counts when it is seen twice with no change of the index's settings in between or under way. The replica
 * is marked then, which asks the index's writer to send the committed settings again, in its lane (invariant 8); the mark goes when
 * they are read back. What does not mend that way, another primary key above all, makes the replica suspect.
 */
export class DriftCheck {
  readonly #options: DriftCheckOptions;
  readonly #tuning: Required<DriftTuning>;
  readonly #record = new DriftRecord();
  readonly #stop = new AbortController();
  readonly #asked = new Set<string>();
  #checkedAt: number | undefined;
  #running: Promise<void> | undefined;
  #wake: (() => void) | undefined;

  constructor(options: DriftCheckOptions) {
    this.#options = options;
    this.#tuning = {
      intervalMs: 60_000,
      pauseMs: 50,
      confirmMs: 2_000,
      giveUpMs: 120_000,
      ...options.tuning,
    };
  }

  /** Begins; takes up marks of an earlier run. */
  start(): void {
    const { topology, world } = this.#options;
    for (const index of topology.current().indexes) {
      for (const { nodeId, settingsDrifted } of index.replicas) {
        if (settingsDrifted) this.#note(index, nodeId, [], world.clock.now());
      }
    }
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort(new Error("the control plane stops"));
    this.#wake?.();
    await this.#running;
  }

  /** Looks at an index's replicas soon: somebody seems to have changed their settings. */
  askFor(instance: string): void {
    this.#asked.add(instance);
    this.#wake?.();
  }

  /** What was found, newest first, and when everything was last looked at. */
  status(): { readonly drifts: ReturnType<DriftRecord["list"]>; readonly checkedAt: number | undefined } {
    return { drifts: this.#record.list(), checkedAt: this.#checkedAt };
  }

  async #run(): Promise<void> {
    const { world, logger } = this.#options;
    const { intervalMs, confirmMs } = this.#tuning;
    let lastRound = world.clock.monotonic();
    while (!this.#stop.signal.aborted) {
      const sinceRound = world.clock.monotonic() - lastRound;
      const untilRound = intervalMs === 0 ? Number.POSITIVE_INFINITY : Math.max(0, intervalMs - sinceRound);
      if (this.#asked.size === 0) {
        await this.#sleep(this.#record.open().length > 0 ? Math.min(confirmMs, untilRound) : untilRound);
      }
      if (this.#stop.signal.aborted) return;
      try {
        await this.#followOpen();
        for (const instance of [...this.#asked]) {
          this.#asked.delete(instance);
          await this.#checkIndex(instance);
        }
        if (intervalMs > 0 && world.clock.monotonic() - lastRound >= intervalMs) {
          lastRound = world.clock.monotonic();
          await this.#checkAll();
        }
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        logger.warn({ err: error }, "settings could not be compared; they will be later");
        await this.#sleep(confirmMs);
      }
    }
  }

  /** Until the time is over, or something is asked for. */
  async #sleep(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = Number.isFinite(ms) ? this.#options.world.timers.after(ms, resolve) : undefined;
      this.#wake = () => {
        timer?.cancel();
        resolve();
      };
    });
    this.#wake = undefined;
  }

  async #checkAll(): Promise<void> {
    for (const { instance } of this.#options.topology.current().indexes) await this.#checkIndex(instance);
    this.#checkedAt = this.#options.world.clock.now();
  }

  async #checkIndex(instance: string): Promise<void> {
    for (const nodeId of this.#nodesOf(instance)) {
      if (this.#stop.signal.aborted) return;
      const index = this.#readable(instance, nodeId);
      if (index === undefined || this.#record.isOpen({ instance, nodeId })) continue;
      const members = await this.#look(index, nodeId);
      if (members !== undefined && members.length > 0) await this.#confirm(index, nodeId, members);
      await this.#options.world.timers.sleep(this.#tuning.pauseMs, this.#stop.signal);
    }
  }

  /** A difference that is still there after a while, with nothing of it on its way, is one. */
  async #confirm(index: Index, nodeId: string, first: readonly string[]): Promise<void> {
    const { world, topology, logger } = this.#options;
    await world.timers.sleep(this.#tuning.confirmMs, this.#stop.signal);
    if (await this.#hasOpenSettings(index, nodeId)) return;
    const members = await this.#look(index, nodeId);
    if (members === undefined || members.join() !== first.join()) return;
    logger.warn({ index: index.uid, node: nodeId, members }, "a node's settings are not the committed ones");
    this.#note(index, nodeId, members, world.clock.now());
    if (members.includes(PRIMARY_KEY)) {
      await this.#giveUp(index.instance, nodeId);
      return;
    }
    await topology.change(`settings of index ${index.uid} on ${nodeId} are to be sent again`, (draft) => {
      const replica = replicaOf(findInstance(draft, index.instance), nodeId);
      if (replica !== undefined) replica.settingsDrifted = true;
    });
  }

  async #followOpen(): Promise<void> {
    const { world } = this.#options;
    for (const { instance, nodeId, foundAt } of this.#record.open()) {
      if (this.#stop.signal.aborted) return;
      const replica = replicaOf(findInstance(this.#options.topology.current(), instance), nodeId);
      if (replica === undefined || replica.state !== ReplicaState.IN_SYNC || !replica.settingsDrifted) {
        await this.#end(instance, nodeId, DriftOutcome.GONE);
        continue;
      }
      const index = this.#readable(instance, nodeId);
      if (index === undefined) continue;
      const members = await this.#look(index, nodeId);
      if (members === undefined) continue;
      if (members.length === 0) await this.#end(instance, nodeId, DriftOutcome.REPAIRED);
      else if (world.clock.now() - foundAt > this.#tuning.giveUpMs) await this.#giveUp(instance, nodeId);
    }
  }

  /** The members that differ; undefined where the node does not say, or the index changed meanwhile. */
  async #look(index: Index, nodeId: string): Promise<readonly string[] | undefined> {
    const { admin, topology, isChanging, logger } = this.#options;
    try {
      const members = await differenceOnNode(admin(nodeId), index);
      const stillSo = isUnchanged(index, topology.current(), nodeId) && !isChanging(index.instance);
      return stillSo ? members : undefined;
    } catch (error) {
      if (!(error instanceof NodeUnavailableError) && !(error instanceof MeilisearchError)) throw error;
      logger.debug({ err: error, node: nodeId, index: index.uid }, "a node does not tell its settings");
      return undefined;
    }
  }

  async #hasOpenSettings(index: Index, nodeId: string): Promise<boolean> {
    try {
      const { total } = await this.#options.admin(nodeId).tasks({
        indexUids: physicalName(index.instance, index.generation),
        types: "settingsUpdate",
        statuses: "enqueued,processing",
        limit: 1,
      });
      return total > 0;
    } catch (error) {
      if (error instanceof NodeUnavailableError || error instanceof MeilisearchError) return true;
      throw error;
    }
  }

  async #giveUp(instance: string, nodeId: string): Promise<void> {
    const index = findInstance(this.#options.topology.current(), instance);
    this.#options.logger.error(
      { index: index?.uid, node: nodeId },
      "a node's settings differ from the committed ones and cannot be repaired; its replica is suspect",
    );
    await this.#end(instance, nodeId, DriftOutcome.SUSPECT);
  }

  async #end(instance: string, nodeId: string, outcome: EndedOutcome): Promise<void> {
    const { topology, world, logger, metrics } = this.#options;
    const index = findInstance(topology.current(), instance);
    const isMarked = replicaOf(index, nodeId)?.settingsDrifted === true;
    if (isMarked || outcome === DriftOutcome.SUSPECT) {
      await topology.change("a difference in settings has ended", (draft) => {
        const replica = replicaOf(findInstance(draft, instance), nodeId);
        if (replica !== undefined) replica.settingsDrifted = false;
        if (outcome === DriftOutcome.SUSPECT) markSuspect(draft, instance, [nodeId]);
      });
    }
    this.#record.end({ instance, nodeId }, outcome, world.clock.now());
    metrics.settingsDrifts.inc({ node: nodeId, outcome: DriftOutcome[outcome].toLowerCase() });
    if (outcome === DriftOutcome.REPAIRED) {
      logger.info({ index: index?.uid, node: nodeId }, "a node has the committed settings again");
    }
  }

  #note(index: Index, nodeId: string, members: readonly string[], foundAt: number): void {
    this.#record.found({ instance: index.instance, indexUid: index.uid, nodeId, members, foundAt });
    this.#options.metrics.settingsDrifts.inc({ node: nodeId, outcome: "found" });
  }

  #nodesOf(instance: string): readonly string[] {
    const index = findInstance(this.#options.topology.current(), instance);
    return index?.replicas.map(({ nodeId }) => nodeId) ?? [];
  }

  /** The index, where its settings on that node can be judged at present. */
  #readable(instance: string, nodeId: string): Index | undefined {
    const { topology, isChanging } = this.#options;
    const current = topology.current();
    const index = findInstance(current, instance);
    const node = current.nodes.find(({ id }) => id === nodeId);
    if (index === undefined || node === undefined || isAway(node)) return undefined;
    return isUnchanged(index, current, nodeId) && !isChanging(instance) ? index : undefined;
  }
}

function replicaOf(index: Index | undefined, nodeId: string) {
  return index?.replicas.find((replica) => replica.nodeId === nodeId);
}
