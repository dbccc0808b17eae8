import type { Logger } from "pino";
import { NodeState, type Topology } from "../../gen/miroir/v1/topology_pb.js";
import { MeilisearchError } from "../../meilisearch/errors.js";
import type { NodeClient } from "../../meilisearch/node-client.js";
import { NodeUnavailableError } from "../../meilisearch/transport.js";
import type { World } from "../../runtime/world.js";
import type { FleetWorkflowRequest, FleetWorkflows } from "../cluster/fleet-workflows.js";
import type { ControlMetrics } from "../metrics.js";
import { deletePhysicalIndexes } from "../nodes/node-contents.js";
import { markSuspect } from "../tasks/index-replicas.js";
import type { TopologyManager } from "../topology/topology-manager.js";
import { lostNodes, repairableReplicas, returnedNodes } from "./due-repairs.js";
import { RetryTimes } from "./retry-times.js";

/** When the control plane acts by itself on what has failed. */
export interface AutoRepairTuning {
  /** Whether stale replicas are brought back without being asked; so unless given as false. */
  readonly isOn?: boolean;
  /** Milliseconds that a replica stays stale before it is repaired, so that a node may settle; 5,000 unless given. */
  readonly settleMs?: number;
  /** The longest wait between two attempts at the same replica. Milliseconds; 600,000 unless given. */
  readonly maxBackoffMs?: number;
  /** Milliseconds that a node may be away before what it held is made anew on others; 600,000 unless given, 0 for never. */
  readonly graceMs?: number;
  /** Documents that a repair copies in a second, at most; 0, as fast as the nodes' queues allow, unless given. */
  readonly documentsPerSecond?: number;
  /** Milliseconds between two looks at the topology; 1,000 unless given. */
  readonly intervalMs?: number;
}

/** What {@link AutoRepair} works with. */
export interface AutoRepairOptions {
  readonly world: World;
  readonly logger: Logger;
  readonly topology: TopologyManager;
  readonly metrics: ControlMetrics;
  readonly workflows: FleetWorkflows;
  /** A client with the node's admin key. */
  readonly admin: (nodeId: string) => NodeClient;
  readonly tuning?: AutoRepairTuning | undefined;
}

/**
 * Acts by itself on what has failed: brings stale replicas back on nodes that answer, makes what a lost node held anew on others after a
 * grace, and takes such a node back, emptied, when it returns. All of it by the workflows that operators use, one at a time, so that
 * nothing happens here that they could not see, cancel or have done themselves. An attempt that fails is repeated ever more rarely.
 */
export class AutoRepair {
  readonly #options: AutoRepairOptions;
  readonly #tuning: Required<AutoRepairTuning>;
  readonly #times: RetryTimes;
  readonly #told = new Map<string, string>();
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;

  constructor(options: AutoRepairOptions) {
    this.#options = options;
    this.#tuning = {
      isOn: true,
      settleMs: 5_000,
      maxBackoffMs: 600_000,
      graceMs: 600_000,
      documentsPerSecond: 0,
      intervalMs: 1_000,
      ...options.tuning,
    };
    this.#times = new RetryTimes(this.#tuning.settleMs, this.#tuning.maxBackoffMs);
  }

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
    for (;;) {
      await world.timers.sleep(this.#tuning.intervalMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      try {
        await this.#turn();
      } catch (error) {
        if (signal.aborted) return;
        logger.warn({ err: error }, "what has failed could not be seen to; trying again");
      }
    }
  }

  async #turn(): Promise<void> {
    const { topology, workflows } = this.#options;
    await this.#takeReturnedBack(topology.current());
    if (workflows.running() !== undefined) return;
    if (await this.#repair(topology.current())) return;
    if (this.#tuning.graceMs > 0) await this.#replaceLost(topology.current());
  }

  /** Begins with the repair of all replicas whose time has come; true where there is any. */
  async #repair(topology: Topology): Promise<boolean> {
    const { metrics, world } = this.#options;
    const keyOf = ({ instance, nodeId }: { instance: string; nodeId: string }) => `${instance} ${nodeId}`;
    const repairable = this.#tuning.isOn ? repairableReplicas(topology) : [];
    metrics.repairsWaiting.set(repairable.length);
    this.#times.retain(new Set(repairable.map(keyOf)));
    const now = world.clock.monotonic();
    const due = repairable.filter((replica) => this.#times.isDue(keyOf(replica), now));
    if (due.length === 0) return false;
    const nodeIds = [...new Set(due.map(({ nodeId }) => nodeId))].sort();
    const indexUids = [...new Set(due.map(({ indexUid }) => indexUid))].sort();
    for (const replica of due) this.#times.tried(keyOf(replica), now);
    await this.#begin({
      kind: "repair",
      title: `repair ${due.length} stale ${due.length === 1 ? "replica" : "replicas"} on ${nodeIds.join(", ")}`,
      nodeIds,
      indexUids,
      begin: () => undefined,
    });
    return true;
  }

  async #replaceLost(topology: Topology): Promise<void> {
    const { logger, world } = this.#options;
    const lost = lostNodes(topology, this.#tuning.graceMs, world.clock.now());
    for (const { node, obstacle } of lost) {
      if (obstacle === "" || this.#told.get(node.id) === obstacle) continue;
      this.#told.set(node.id, obstacle);
      logger.warn(
        { node: node.id, obstacle },
        "a node is away for long, and what it held cannot be made anew",
      );
    }
    const away = new Set(lost.map(({ node }) => node.id));
    for (const id of this.#told.keys()) if (!away.has(id)) this.#told.delete(id);
    const id = lost.find(({ obstacle }) => obstacle === "")?.node.id;
    if (id === undefined) return;
    await this.#begin({
      kind: "drain-node",
      title: `make anew what ${id} held, which is away`,
      nodeIds: [id],
      indexUids: [],
      begin: (draft) => {
        const node = draft.nodes.find((candidate) => candidate.id === id);
        if (node?.unreachableSince === undefined) throw new Error(`node ${id} is back`);
        node.state = NodeState.DRAINING;
        node.evicted = true;
        // It may have missed writes that nobody has made yet: nothing is to be copied from it when it returns meanwhile.
        for (const { instance } of draft.indexes) markSuspect(draft, instance, [id]);
      },
    });
  }

  async #begin(
    request: Pick<FleetWorkflowRequest, "kind" | "title" | "nodeIds" | "indexUids" | "begin">,
  ): Promise<void> {
    const { logger, metrics, workflows } = this.#options;
    const { kind, title } = request;
    const workflow = await workflows.start({
      ...request,
      removeNodeIds: [],
      rebalance: false,
      shards: 0,
      maxDocumentsPerSecond: this.#tuning.documentsPerSecond,
      makesWay: true,
    });
    metrics.automaticRepairs.inc({ kind });
    logger.warn({ workflow, kind }, title);
  }

  /**
   * Makes evicted nodes that are back ordinary ones again: emptied, where others hold all that they held. Where others do not, and nobody
   * works on that any more, their replicas are repaired.
   */
  async #takeReturnedBack(topology: Topology): Promise<void> {
    const { logger, workflows } = this.#options;
    for (const { id, isUsed } of returnedNodes(topology)) {
      if (isUsed ? workflows.running() !== undefined : !(await this.#empty(id))) continue;
      await this.#options.topology.change(`node ${id} is back`, (draft) => {
        const found = returnedNodes(draft).find((candidate) => candidate.id === id);
        const node = draft.nodes.find((candidate) => candidate.id === id);
        if (node === undefined || found?.isUsed !== isUsed) return;
        node.evicted = false;
        node.state = NodeState.ACTIVE;
      });
      logger.warn(
        { node: id, isUsed },
        isUsed
          ? "a node came back before others held all that it held; its replicas are repaired"
          : "a node came back after others had taken over what it held; a rebalance gives it shards again",
      );
    }
  }

  async #empty(nodeId: string): Promise<boolean> {
    const { admin, logger, world } = this.#options;
    try {
      await deletePhysicalIndexes(world, admin(nodeId));
      return true;
    } catch (error) {
      if (!(error instanceof MeilisearchError) && !(error instanceof NodeUnavailableError)) throw error;
      logger.warn({ err: error, node: nodeId }, "a node that came back too late could not be emptied yet");
      return false;
    }
  }
}
