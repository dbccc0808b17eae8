import type { Logger } from "pino";
import { NodeState, type Topology } from "../../gen/miroir/v1/topology_pb.js";
import type { NodeTransport } from "../../meilisearch/transport.js";
import { createSharedAbort } from "../../runtime/abort.js";
import type { World } from "../../runtime/world.js";
import type { TopologyManager } from "../topology/topology-manager.js";
import { visitNode } from "./bootstrap-nodes.js";
import type { NodeDirectory } from "./node-directory.js";

/** What the control plane knows of one node's health. */
export interface NodeHealth {
  /** Empty when the last probe succeeded. */
  readonly lastError: string;
  /** Milliseconds since the Unix epoch; undefined until the node answered this process once. */
  readonly lastSeenAt: number | undefined;
  /** Why the node is suspect; empty where it is not. */
  readonly suspicions: readonly string[];
}

/** How often and how patiently nodes are probed. */
export interface NodeMonitorTuning {
  /** Milliseconds between two probes of a node; 500 unless given. */
  readonly probeIntervalMs?: number;
  /** Milliseconds that a probe may take; 1,000 unless given. */
  readonly probeTimeoutMs?: number;
  /** Failed probes in a row that make a node unreachable; 3 unless given. */
  readonly failuresToUnreachable?: number;
  /** Good probes in a row that bring it back; 2 unless given. */
  readonly successesToReturn?: number;
}

/** What {@link NodeMonitor} works with. */
export interface NodeMonitorOptions extends NodeMonitorTuning {
  readonly world: World;
  readonly transport: NodeTransport;
  readonly directory: NodeDirectory;
  readonly topology: TopologyManager;
  readonly logger: Logger;
  /**
   * Looks at the task log of a node that came back, before anybody reads from it (invariant 13). Adds and takes
   * back suspicions by itself.
   */
  readonly onReturn: (nodeId: string) => Promise<void>;
}

interface Watched {
  failures: number;
  successes: number;
  lastError: string;
  lastSeenAt: number | undefined;
  readonly suspicions: Set<string>;
}

/**
 * Probes every node and keeps its state in the topology: `unreachable` after several failures in a
 * row, and back only through {@link NodeMonitorOptions.onReturn}. The state is a hint for routing; it says nothing about
 * a node's data. Nodes that join or drain keep their state.
 */
export class NodeMonitor {
  readonly #options: NodeMonitorOptions;
  readonly #nodes = new Map<string, Watched>();
  readonly #stop = createSharedAbort();
  readonly #loops: Promise<void>[] = [];

  constructor(options: NodeMonitorOptions) {
    this.#options = options;
  }

  /** Probes these nodes from now on. */
  start(nodeIds: readonly string[]): void {
    for (const id of nodeIds) {
      this.#watched(id);
      this.#loops.push(this.#loop(id));
    }
  }

  async stop(): Promise<void> {
    this.#stop.abort(new Error("the node monitor stops"));
    await Promise.allSettled(this.#loops);
  }

  health(): ReadonlyMap<string, NodeHealth> {
    return new Map(
      [...this.#nodes].map(([id, { lastError, lastSeenAt, suspicions }]) => [
        id,
        { lastError, lastSeenAt, suspicions: [...suspicions] },
      ]),
    );
  }

  /** Makes a node suspect, for a reason that {@link clear} can take back. Suspect nodes are read only where nobody else has a copy. */
  async suspect(nodeId: string, reason: string): Promise<void> {
    const { suspicions } = this.#watched(nodeId);
    if (suspicions.has(reason)) return;
    suspicions.add(reason);
    this.#options.logger.warn({ node: nodeId, reason }, "node is suspect");
    await this.#publish(nodeId);
  }

  /** Takes a reason for suspicion back; without any left the node is active again. */
  async clear(nodeId: string, reason: string): Promise<void> {
    if (this.#watched(nodeId).suspicions.delete(reason)) await this.#publish(nodeId);
  }

  /** Takes every reason back for which `isOver` holds. */
  async clearWhere(nodeId: string, isOver: (reason: string) => boolean): Promise<void> {
    const { suspicions } = this.#watched(nodeId);
    const over = [...suspicions].filter(isOver);
    for (const reason of over) suspicions.delete(reason);
    if (over.length > 0) await this.#publish(nodeId);
  }

  /** Whether the last probes say that the node does not answer. */
  isDown(nodeId: string): boolean {
    return this.#watched(nodeId).failures >= (this.#options.failuresToUnreachable ?? 3);
  }

  /** Notes a node as not answering before its first probe. */
  noteDown(nodeId: string, error: string): void {
    const watched = this.#watched(nodeId);
    watched.failures = this.#options.failuresToUnreachable ?? 3;
    watched.lastError = error;
  }

  #watched(nodeId: string): Watched {
    const existing = this.#nodes.get(nodeId);
    if (existing !== undefined) return existing;
    const created: Watched = {
      failures: 0,
      successes: 0,
      lastError: "",
      lastSeenAt: undefined,
      suspicions: new Set(),
    };
    this.#nodes.set(nodeId, created);
    return created;
  }

  async #loop(nodeId: string): Promise<void> {
    const { world, logger } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await this.#probe(nodeId);
      } catch (error) {
        if (!signal.aborted) logger.error({ err: error, node: nodeId }, "could not record a node's state");
      }
      if (signal.aborted) return;
      await world.timers.sleep(this.#options.probeIntervalMs ?? 500, signal).catch(() => undefined);
    }
  }

  async #probe(nodeId: string): Promise<void> {
    const watched = this.#watched(nodeId);
    const wasDown = this.isDown(nodeId);
    try {
      await this.#options.directory.keyManager(nodeId).health(this.#options.probeTimeoutMs ?? 1_000);
    } catch (error) {
      watched.successes = 0;
      watched.failures += 1;
      watched.lastError = error instanceof Error ? error.message : String(error);
      if (this.isDown(nodeId)) await this.#publish(nodeId);
      return;
    }
    watched.lastSeenAt = this.#options.world.clock.now();
    watched.successes += 1;
    if (!wasDown) {
      watched.failures = 0;
      watched.lastError = "";
      return;
    }
    if (watched.successes < (this.#options.successesToReturn ?? 2)) return;
    await this.#takeBack(nodeId, watched);
  }

  /** A node that answers again may have been replaced or lost its keys, and may be behind. */
  async #takeBack(nodeId: string, watched: Watched): Promise<void> {
    const { directory, topology, transport, logger } = this.#options;
    const access = directory.get(nodeId);
    if (access === undefined) return;
    try {
      const clusterId = topology.current().epoch?.clusterId ?? "";
      const seen = await visitNode(transport, clusterId, { ...access, key: access.configuredKey });
      directory.put({ ...access, keys: seen.keys });
      await this.#options.onReturn(nodeId);
      watched.failures = 0;
      watched.lastError = "";
      logger.info({ node: nodeId }, "node answers again");
      await this.#publish(nodeId, seen.version);
    } catch (error) {
      watched.lastError = error instanceof Error ? error.message : String(error);
      throw error;
    }
  }

  async #publish(nodeId: string, version?: string): Promise<void> {
    const state = this.isDown(nodeId)
      ? NodeState.UNREACHABLE
      : this.#watched(nodeId).suspicions.size > 0
        ? NodeState.SUSPECT
        : NodeState.ACTIVE;
    const held = findNode(this.#options.topology.current(), nodeId);
    if (held === undefined) return;
    if (held.state === state && (version === undefined || held.meilisearchVersion === version)) return;
    await this.#options.topology.change(`node ${nodeId} is ${NodeState[state].toLowerCase()}`, (draft) => {
      const node = findNode(draft, nodeId);
      if (node === undefined) return;
      if (node.state !== NodeState.JOINING && node.state !== NodeState.DRAINING) node.state = state;
      if (version !== undefined) node.meilisearchVersion = version;
    });
  }
}

function findNode(topology: Topology, nodeId: string): Topology["nodes"][number] | undefined {
  return topology.nodes.find((node) => node.id === nodeId);
}
