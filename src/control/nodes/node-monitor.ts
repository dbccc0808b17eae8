import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Logger } from "pino";
import { NodeState, type Topology } from "../../gen/miroir/v1/topology_pb.js";
import { type NodeTransport, NodeUnavailableError } from "../../meilisearch/transport.js";
import { createSharedAbort, type LinkedAbort, linkAbort } from "../../runtime/abort.js";
import type { World } from "../../runtime/world.js";
import type { TopologyManager } from "../topology/topology-manager.js";
import { NodeSetupError } from "./errors.js";
import type { NodeDirectory } from "./node-directory.js";
import { revisitNode } from "./returning-node.js";

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

/** How long a node stays doubtful. Milliseconds. */
const DOUBT_MS = 86_400_000;

interface Watched {
  failures: number;
  successes: number;
  lastError: string;
  lastSeenAt: number | undefined;
  /** Its connection broke, or it refused a key: it may have been restarted, on other data even, between two probes. */
  mustVisit: boolean;
  /** When it was suspected, or came back, last; on the monotonic clock. */
  doubtedAt: number;
  readonly suspicions: Set<string>;
  readonly stop: LinkedAbort;
}

/**
 * Probes every node and keeps its state in the topology: `unreachable` after several failures in a
 * row, and back only through {@link NodeMonitorOptions.onReturn}. The state is a hint for routing; it says nothing about
 * a node's data. Nodes that join or drain keep their state, and show in `unreachable_since` that they are away.
 */
export class NodeMonitor {
  readonly #options: NodeMonitorOptions;
  readonly #nodes = new Map<string, Watched>();
  readonly #stop = createSharedAbort();
  readonly #loops = new Map<string, Promise<void>>();

  constructor(options: NodeMonitorOptions) {
    this.#options = options;
  }

  /** Probes these nodes from now on. */
  start(nodeIds: readonly string[]): void {
    for (const id of nodeIds) {
      const { stop } = this.#watched(id);
      this.#loops.set(id, this.#loop(id, stop.signal));
    }
  }

  /** Probes a node no more, and forgets what was known of it. */
  async remove(nodeId: string): Promise<void> {
    this.#nodes.get(nodeId)?.stop.abort(new Error(`node ${nodeId} leaves the fleet`));
    await this.#loops.get(nodeId);
    this.#loops.delete(nodeId);
    this.#nodes.delete(nodeId);
  }

  /** A request showed that the node may have been restarted: it is visited before its next good probe counts. */
  lostTouch(nodeId: string): void {
    const watched = this.#nodes.get(nodeId);
    if (watched !== undefined) watched.mustVisit = true;
  }

  async stop(): Promise<void> {
    this.#stop.abort(new Error("the node monitor stops"));
    await Promise.allSettled(this.#loops.values());
    for (const { stop } of this.#nodes.values()) stop.unlink();
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
    const watched = this.#watched(nodeId);
    watched.doubtedAt = this.#options.world.clock.monotonic();
    const { suspicions } = watched;
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

  /** Nodes that were restarted or suspected within the last day: of two replicas that differ, theirs is the likelier to be wrong. */
  doubted(): ReadonlySet<string> {
    const since = this.#options.world.clock.monotonic() - DOUBT_MS;
    return new Set([...this.#nodes].flatMap(([id, { doubtedAt }]) => (doubtedAt >= since ? [id] : [])));
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
      mustVisit: false,
      doubtedAt: Number.NEGATIVE_INFINITY,
      suspicions: new Set(),
      stop: linkAbort(this.#stop.signal),
    };
    this.#nodes.set(nodeId, created);
    return created;
  }

  async #loop(nodeId: string, signal: AbortSignal): Promise<void> {
    const { world, logger } = this.#options;
    while (!signal.aborted) {
      try {
        await this.#probe(nodeId, signal);
      } catch (error) {
        if (!signal.aborted) logger.error({ err: error, node: nodeId }, "could not record a node's state");
      }
      if (signal.aborted) return;
      await world.timers.sleep(this.#options.probeIntervalMs ?? 500, signal).catch(() => undefined);
    }
  }

  async #probe(nodeId: string, signal: AbortSignal): Promise<void> {
    const watched = this.#watched(nodeId);
    const wasDown = this.isDown(nodeId);
    try {
      await this.#options.directory.keyManager(nodeId).health(this.#options.probeTimeoutMs ?? 1_000);
    } catch (error) {
      if (signal.aborted) return;
      watched.successes = 0;
      watched.failures += 1;
      watched.mustVisit ||= error instanceof NodeUnavailableError && error.isBroken;
      watched.lastError = error instanceof Error ? error.message : String(error);
      if (this.isDown(nodeId)) await this.#publish(nodeId);
      return;
    }
    watched.lastSeenAt = this.#options.world.clock.now();
    watched.successes += 1;
    if (!wasDown && !watched.mustVisit) {
      watched.failures = 0;
      watched.lastError = "";
      return;
    }
    if (wasDown && watched.successes < (this.#options.successesToReturn ?? 2)) return;
    await this.#takeBack(nodeId, watched);
  }

  /** A node that answers again may have been replaced or lost its keys, and may be behind. */
  async #takeBack(nodeId: string, watched: Watched): Promise<void> {
    const { directory, topology, transport, logger, world } = this.#options;
    const access = directory.get(nodeId);
    if (access === undefined) return;
    try {
      watched.mustVisit = false;
      watched.doubtedAt = world.clock.monotonic();
      const seen = await revisitNode({ transport, world }, topology.current(), access);
      directory.put({ ...access, keys: seen.keys });
      await this.#options.onReturn(nodeId);
      watched.failures = 0;
      watched.lastError = "";
      logger.info({ node: nodeId }, "node answers again");
      await this.#publish(nodeId, seen.version);
    } catch (error) {
      watched.mustVisit = true;
      watched.successes = 0;
      watched.lastError = error instanceof Error ? error.message : String(error);
      if (error instanceof NodeUnavailableError) return;
      // Whatever answers there is not the node that it was: nobody is to read from it.
      if (error instanceof NodeSetupError) watched.failures = this.#options.failuresToUnreachable ?? 3;
      if (this.isDown(nodeId)) await this.#publish(nodeId);
      throw error;
    }
  }

  async #publish(nodeId: string, version?: string): Promise<void> {
    const state = this.isDown(nodeId)
      ? NodeState.UNREACHABLE
      : this.#watched(nodeId).suspicions.size > 0
        ? NodeState.SUSPECT
        : NodeState.ACTIVE;
    const { topology, world } = this.#options;
    const settle = (draft: Topology): boolean => {
      const node = findNode(draft, nodeId);
      if (node === undefined) return false;
      const isKept = node.state === NodeState.JOINING || node.state === NodeState.DRAINING;
      const isDown = state === NodeState.UNREACHABLE;
      const isSettled =
        (isKept || node.state === state) &&
        isDown === (node.unreachableSince !== undefined) &&
        (version === undefined || node.meilisearchVersion === version);
      if (isSettled) return false;
      if (!isKept) node.state = state;
      if (version !== undefined) node.meilisearchVersion = version;
      if (!isDown) delete node.unreachableSince;
      else node.unreachableSince ??= timestampFromMs(world.clock.now());
      return true;
    };
    const current = topology.current();
    const node = findNode(current, nodeId);
    // A probe that shows nothing new costs no copy of the topology.
    if (node === undefined || !settle({ ...current, nodes: [{ ...node }] })) return;
    await topology.change(`node ${nodeId} is ${NodeState[state].toLowerCase()}`, settle);
  }
}

function findNode(topology: Topology, nodeId: string): Topology["nodes"][number] | undefined {
  return topology.nodes.find((node) => node.id === nodeId);
}
