import type { Logger } from "pino";
import type { Topology } from "../../gen/miroir/v1/topology_pb.js";
import type { NodeTransport } from "../../meilisearch/transport.js";
import type { ShardHasher } from "../../placement/shard.js";
import type { World } from "../../runtime/world.js";
import type { FencingToken, TaskStore } from "../../store/task-store.js";
import { AntiEntropy } from "../anti-entropy/anti-entropy.js";
import { Auditor, type AuditorOptions } from "../audit/auditor.js";
import type { ControlPlaneConfig } from "../control-plane-options.js";
import type { ControlMetrics } from "../metrics.js";
import type { TopologyManager } from "../topology/topology-manager.js";
import type { FleetNodes } from "./fleet-nodes.js";
import type { NodeDirectory } from "./node-directory.js";
import { createNodeFleet } from "./node-fleet.js";
import { NodeMonitor } from "./node-monitor.js";
import { NodeReturn } from "./node-return.js";
import { StalledNodes } from "./stalled-nodes.js";
import { clearSettledNodes, nodesToSettle, REPLICAS } from "./suspicions.js";
import { VersionWatch } from "./version-watch.js";

/** What {@link NodeWatch} works with. */
export interface NodeWatchOptions extends Pick<AuditorOptions, "registry" | "reconcileSettings"> {
  readonly store: TaskStore;
  readonly topology: TopologyManager;
  readonly fence: () => FencingToken;
  readonly world: World;
  readonly logger: Logger;
  readonly metrics: ControlMetrics;
  readonly transport: NodeTransport;
  readonly directory: NodeDirectory;
  readonly hasher: ShardHasher;
  readonly config: ControlPlaneConfig;
  /** Brings a node's experimental features where those of the fleet are. */
  readonly switchFeatures: (nodeId: string) => Promise<void>;
}

/** All that looks at nodes: whether they answer, what they ran, what they come back with, whether they get on and hold the same. */
export class NodeWatch {
  readonly monitor: NodeMonitor;
  readonly auditor: Auditor;
  readonly antiEntropy: AntiEntropy;
  /** Nodes that come and go while the control plane runs. */
  readonly fleet: FleetNodes;
  readonly #options: NodeWatchOptions;
  readonly #returning: NodeReturn;
  readonly #stalled: StalledNodes;
  readonly #versions: VersionWatch;

  constructor(options: NodeWatchOptions) {
    const { config, directory, logger, metrics } = options;
    const admin = (nodeId: string) => directory.admin(nodeId);
    const openTasks = () => this.auditor.openTaskCounts();
    this.#options = options;
    this.monitor = new NodeMonitor({
      ...options,
      ...config.monitor,
      onReturn: (nodeId) => this.#returning.onReturn(nodeId),
    });
    const { monitor } = this;
    this.auditor = new Auditor({
      ...options,
      admin,
      tuning: config.audit ?? {},
      suspect: (nodeId, reason) => monitor.suspect(nodeId, reason),
      lostTouch: (nodeId) => monitor.lostTouch(nodeId),
    });
    const { auditor } = this;
    const doubted = () => monitor.doubted();
    this.antiEntropy = new AntiEntropy({ ...options, admin, openTasks, doubted, tuning: config.antiEntropy });
    this.fleet = createNodeFleet({ ...options, monitor, auditor, nodeKey: config.nodeKey });
    this.#returning = new NodeReturn({
      ...options,
      auditor,
      monitor: () => monitor,
      antiEntropy: this.antiEntropy,
    });
    this.#stalled = new StalledNodes({ ...options, openTasks, tuning: config.stall });
    this.#versions = new VersionWatch(metrics, logger);
  }

  /** Follows nodes that are in the directory and the topology. */
  async start(nodeIds: readonly string[]): Promise<void> {
    const current = this.#options.topology.current();
    await this.auditor.start(nodeIds);
    for (const id of nodesToSettle(current)) await this.monitor.suspect(id, REPLICAS);
    this.monitor.start(nodeIds);
    this.#versions.published(current);
  }

  /** Begins with what looks at nodes that are known to work. */
  startComparing(): void {
    this.antiEntropy.start();
    this.#stalled.start();
  }

  /** Takes note of a newly published topology. */
  published(topology: Topology): void {
    this.#versions.published(topology);
    clearSettledNodes(this.monitor, topology, this.#options.logger);
  }

  async stop(): Promise<void> {
    const parts = [this.antiEntropy, this.#stalled, this.monitor, this.#returning, this.auditor];
    // Side by side: what settles a node that came back waits for the tasks that its audit follows, or for the audit's end.
    await Promise.all(parts.map((part) => part.stop()));
  }
}
