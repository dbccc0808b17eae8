import { Counter, Gauge, Histogram, type Registry } from "prom-client";

/** Counters of the deciding parts of the control plane. */
export interface ControlMetrics {
  /** Requests that audit loops sent, by node. */
  readonly auditRequests: Counter<"node">;
  /** Node tasks read from the nodes' logs, by node and by what they were taken for. */
  readonly auditTasks: Counter<"node" | "kind">;
  /** Node tasks that nobody accounts for, by node and reason. */
  readonly unexpectedTasks: Counter<"node" | "reason">;
  /** Node tasks that Miroir waits for, by node. */
  readonly openNodeTasks: Gauge<"node">;
  /** Seconds between a node's finishing a task and its being recorded, by the two machines' clocks. */
  readonly stateLatency: Histogram;
  /** Settings changes, by outcome. */
  readonly settingsChanges: Counter<"outcome">;
  /** Nodes' settings that are not the committed ones: found, and what became of them. */
  readonly settingsDrifts: Counter<"node" | "outcome">;
  /** Index creations, by outcome. */
  readonly indexCreations: Counter<"outcome">;
  /** Different Meilisearch releases that the nodes run. */
  readonly nodeVersions: Gauge;
  /** Workflows that the control plane began by itself, by kind. */
  readonly automaticRepairs: Counter<"kind">;
  /** Stale replicas on nodes that answer. */
  readonly repairsWaiting: Gauge;
  /** Shards whose replicas were compared, by outcome. */
  readonly antiEntropyShards: Counter<"outcome">;
  /** Documents that were compared over replicas. */
  readonly antiEntropyDocuments: Counter;
  /** Replicas that were given up because they differed from the others, by node. */
  readonly antiEntropyMarked: Counter<"node">;
  /** When the last pass over all shards ended, in seconds since the Unix epoch. */
  readonly antiEntropyPassed: Gauge;
  /** Physical indexes on nodes that no index of the catalogue needs. */
  readonly orphanedIndexes: Gauge;
  /** Such indexes that were deleted, by node. */
  readonly orphanedIndexesDeleted: Counter<"node">;
  /** Dumps and snapshots that have ended, by type of task and outcome. */
  readonly backups: Counter<"type" | "outcome">;
  /** Documents in the dump that is being written, or was written last. */
  readonly dumpDocuments: Gauge;
}

/** Registers the metrics; a second control plane on the same registry shares them. */
export function createControlMetrics(registry: Registry): ControlMetrics {
  const registers = [registry];
  const counter = <T extends string>(name: string, help: string, labelNames: readonly T[]): Counter<T> =>
    (registry.getSingleMetric(name) as Counter<T> | undefined) ??
    new Counter({ name, help, labelNames: [...labelNames], registers });
  const gauge = (name: string, help: string): Gauge =>
    (registry.getSingleMetric(name) as Gauge | undefined) ?? new Gauge({ name, help, registers });
  return {
    auditRequests: counter("miroir_audit_requests_total", "Requests of the audit loops", ["node"]),
    auditTasks: counter("miroir_audit_tasks_total", "Node tasks read by the audit loops", ["node", "kind"]),
    unexpectedTasks: counter("miroir_audit_unexpected_tasks_total", "Node tasks that nobody accounts for", [
      "node",
      "reason",
    ]),
    openNodeTasks:
      (registry.getSingleMetric("miroir_open_node_tasks") as Gauge<"node"> | undefined) ??
      new Gauge({
        name: "miroir_open_node_tasks",
        help: "Node tasks that Miroir waits for",
        labelNames: ["node"],
        registers,
      }),
    stateLatency:
      (registry.getSingleMetric("miroir_task_state_latency_seconds") as Histogram | undefined) ??
      new Histogram({
        name: "miroir_task_state_latency_seconds",
        help: "Seconds between a node's finishing a task and its being recorded",
        buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
        registers,
      }),
    orphanedIndexes: gauge("miroir_orphaned_indexes", "Physical indexes on nodes that nothing needs"),
    orphanedIndexesDeleted: counter(
      "miroir_orphaned_indexes_deleted_total",
      "Physical indexes that nothing needed and that were deleted",
      ["node"],
    ),
    settingsChanges: counter("miroir_settings_changes_total", "Settings changes by outcome", ["outcome"]),
    settingsDrifts: counter(
      "miroir_settings_drifts_total",
      "Replicas whose settings were found not to be the committed ones, and what became of them",
      ["node", "outcome"],
    ),
    indexCreations: counter("miroir_index_creations_total", "Index creations by outcome", ["outcome"]),
    nodeVersions: gauge("miroir_node_versions", "Different Meilisearch releases that the nodes run"),
    automaticRepairs: counter(
      "miroir_automatic_repairs_total",
      "Workflows that the control plane began by itself",
      ["kind"],
    ),
    repairsWaiting: gauge(
      "miroir_repairable_replicas",
      "Stale replicas on nodes that answer, which a repair can bring back",
    ),
    antiEntropyShards: counter(
      "miroir_anti_entropy_shards_total",
      "Shards whose replicas were compared, by outcome",
      ["outcome"],
    ),
    antiEntropyDocuments: counter(
      "miroir_anti_entropy_documents_total",
      "Documents that were compared over replicas",
      [],
    ),
    antiEntropyMarked: counter(
      "miroir_anti_entropy_marked_total",
      "Replicas that were given up because they differed from the others",
      ["node"],
    ),
    antiEntropyPassed: gauge(
      "miroir_anti_entropy_last_pass_timestamp_seconds",
      "When the last pass over all shards ended",
    ),
    backups: counter("miroir_backups_total", "Dumps and snapshots that have ended", ["type", "outcome"]),
    dumpDocuments: gauge(
      "miroir_dump_documents",
      "Documents in the dump that is being written, or was written last",
    ),
  };
}
