import type { Logger } from "pino";
import type { Registry } from "prom-client";
import type { Epoch } from "../gen/miroir/v1/topology_pb.js";
import type { NodeTransport } from "../meilisearch/transport.js";
import type { OutboundHttp } from "../outbound/outbound-http.js";
import type { World } from "../runtime/world.js";
import type { FencingToken, TaskStore } from "../store/task-store.js";
import type { AntiEntropyTuning } from "./anti-entropy/anti-entropy.js";
import type { AuditTuning } from "./audit/audit-options.js";
import type { BackupsConfig } from "./backups/backups.js";
import type { ExportTuning } from "./exports/export-tasks.js";
import type { UpdatedAtTuning } from "./indexes/updated-at.js";
import type { ConfiguredNode } from "./nodes/bootstrap-nodes.js";
import type { NodeMonitorTuning } from "./nodes/node-monitor.js";
import type { OrphanTuning } from "./nodes/orphan-collection.js";
import type { StallTuning } from "./nodes/stalled-nodes.js";
import type { AutoRepairTuning } from "./repair/auto-repair.js";
import type { DriftTuning } from "./settings/drift-check.js";
import type { RetentionTuning } from "./tasks/task-retention.js";
import type { TopologyManager } from "./topology/topology-manager.js";
import type { ConfiguredWebhook } from "./webhooks/configured-webhook.js";
import type { WebhookTuning } from "./webhooks/webhook-delivery.js";
import type { WorkflowTuning } from "./workflows/workflow-options.js";

/** What the deciding parts of the control plane are configured with. */
export interface ControlPlaneConfig {
  readonly nodes: readonly ConfiguredNode[];
  /** The key of nodes that name none; undefined where they run without keys. */
  readonly nodeKey?: string | undefined;
  /** Replica groups over which nodes without a group are dealt out; 1 unless given. */
  readonly groups?: number;
  /** Milliseconds for which a node may fail to answer at the start; 5,000 unless given. */
  readonly bootstrapTimeoutMs?: number;
  /** Milliseconds that a node may take to accept an index's creation; 3,000 unless given. */
  readonly nodeTimeoutMs?: number;
  /** Milliseconds that a node may be away before an index is compacted without it; 60,000 unless given. */
  readonly compactionPatienceMs?: number;
  readonly monitor?: NodeMonitorTuning;
  readonly audit?: AuditTuning;
  readonly updatedAt?: UpdatedAtTuning;
  readonly retention?: RetentionTuning;
  /** A webhook beside those of clients; none unless given. */
  readonly webhook?: ConfiguredWebhook | undefined;
  readonly webhooks?: WebhookTuning;
  readonly exports?: ExportTuning;
  readonly backups: BackupsConfig;
  readonly drift?: DriftTuning;
  readonly copies?: WorkflowTuning;
  readonly antiEntropy?: AntiEntropyTuning;
  readonly repair?: AutoRepairTuning;
  readonly stall?: StallTuning;
  readonly orphans?: OrphanTuning;
}

/** What the deciding parts of the control plane works with. */
export interface ControlPlaneOptions {
  readonly world: World;
  readonly transport: NodeTransport;
  /** How addresses are called that clients have named. */
  readonly outbound: OutboundHttp;
  readonly store: TaskStore;
  readonly topology: TopologyManager;
  /** The fencing token of the leader's term; throws where this process does not lead. */
  readonly fence: () => FencingToken;
  readonly config: ControlPlaneConfig;
  readonly logger: Logger;
  readonly metrics: Registry;
  /**
   * Resolves when every connected proxy has acknowledged an epoch, or cannot be waited for any longer (invariant 2). A task that
   * left a replica behind becomes final only then. Not waited for unless given.
   */
  readonly acknowledged?: (epoch: Epoch) => Promise<void>;
  /**
   * Does something that relies on a proxy's session having no write lease, which it is not granted meanwhile (invariant 2); rejects where it
   * may hold one. No session has one unless given.
   */
  readonly withoutLease?: <T>(session: string, work: () => Promise<T>) => Promise<T>;
}
