import { create, fromBinary } from "@bufbuild/protobuf";
import type { BackupsConfig } from "../control/backups/backups.js";
import type { ControlPlaneConfig } from "../control/control-plane-options.js";
import type { RetentionTuning } from "../control/tasks/task-retention.js";
import { type Topology, TopologySchema } from "../gen/miroir/v1/topology_pb.js";
import { randomUuid } from "../runtime/uuid.js";
import type { World } from "../runtime/world.js";
import { inspectStore } from "../store/inspect.js";
import type { CandidacyOptions } from "./candidacy.js";
import { backupFolders, type Config } from "./config.js";
import { storeOptions } from "./open-store.js";
import { packageVersion } from "./options.js";

const HOUR_MS = 3_600_000;

/** What the configuration says to the deciding parts of the control plane; `pace` gives what it does not say. */
export function controlPlaneConfig(
  config: Config,
  world: World,
  pace: Partial<ControlPlaneConfig> = {},
): ControlPlaneConfig {
  return {
    ...pace,
    nodes: nodesOf(config),
    nodeKey: config.node_key,
    groups: config.groups,
    retention: retentionOf(config),
    webhook: webhookOf(config),
    backups: backupsOf(config, world),
    drift: { intervalMs: config.settings_check_seconds * 1_000 },
    orphans: { graceMs: config.orphan_index_grace_hours * HOUR_MS },
    antiEntropy: {
      intervalMs: config.replica_check_seconds * 1_000,
      documentsPerSecond: config.replica_check_documents_per_second,
    },
    stall: { stallMs: config.node_stall_seconds * 1_000 },
    copies: {
      shardsPerNode: config.copy_shards_per_node,
      copies: config.copies_at_once,
      patienceMs: config.workflow_patience_seconds * 1_000,
    },
    repair: {
      isOn: config.automatic_repair,
      settleMs: config.repair_delay_seconds * 1_000,
      graceMs: config.node_grace_seconds * 1_000,
      documentsPerSecond: config.repair_documents_per_second,
    },
  };
}

/** Today's configuration for the cluster that the store holds or was seen to hold; a fresh id for a fresh store. */
export async function initialTopology({
  store,
  config,
  world,
  clusterId: known,
}: Pick<CandidacyOptions, "store" | "config" | "world" | "clusterId">): Promise<{
  readonly clusterId: string | undefined;
  readonly initial: Topology;
}> {
  const stored = await store.topology.load();
  const clusterId =
    known ??
    (stored === undefined ? undefined : fromBinary(TopologySchema, stored.document).epoch?.clusterId);
  const nodesInGroup = Math.max(1, Math.floor(config.nodes.length / config.groups));
  const initial = create(TopologySchema, {
    epoch: { clusterId: clusterId ?? randomUuid(world.random) },
    replicationFactor: config.replication_factor ?? Math.min(2, nodesInGroup),
    defaultShards: config.shards,
    minInSync: config.min_in_sync,
  });
  return { clusterId, initial };
}

/** How long the leader lease lasts, how often the lease is renewed by the one that leads, and tried for by the others. */
export function leaderTimes(ttlMs: number) {
  return { ttlMs, renewMs: ttlMs / 3, retryMs: Math.min(250, ttlMs / 10) };
}

function nodesOf(config: Config): Config["nodes"] {
  return config.nodes.map((node) => ({ ...node, key: node.key ?? config.node_key }));
}

function backupsOf(config: Config, world: World): BackupsConfig {
  const { dumps, snapshots } = backupFolders(config);
  return {
    dumpsFolder: dumps,
    snapshotsFolder: snapshots,
    version: packageVersion(),
    describeStore: async () => {
      const { backend, schema } = await inspectStore(storeOptions(config, world));
      return { backend, schemaVersion: "version" in schema ? schema.version : 1 };
    },
  };
}

function webhookOf({ task_webhook_url: url, task_webhook_authorization_header: authorization }: Config) {
  return url === undefined ? undefined : { url, authorization };
}

function retentionOf(config: Config): RetentionTuning {
  return {
    keepTasks: config.task_retention_max,
    keepHistoryMs: config.history_retention_hours * HOUR_MS,
    ...(config.task_retention_hours === 0 ? {} : { keepTasksMs: config.task_retention_hours * HOUR_MS }),
  };
}
