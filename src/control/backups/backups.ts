import type { ServiceImpl } from "@connectrpc/connect";
import type { Logger } from "pino";
import type { BackupService } from "../../gen/miroir/v1/backups_pb.js";
import type { NodeClient } from "../../meilisearch/node-client.js";
import type { NodeTransport } from "../../meilisearch/transport.js";
import type { World } from "../../runtime/world.js";
import type { ExportHeader } from "../../store/export-file.js";
import type { TaskStore, TaskUid } from "../../store/task-store.js";
import { DocumentReader } from "../documents/document-reader.js";
import type { ControlMetrics } from "../metrics.js";
import type { TaskRegistry } from "../tasks/task-registry.js";
import type { TopologyManager } from "../topology/topology-manager.js";
import { createBackupService } from "./backup-service.js";
import { BackupTasks } from "./backup-tasks.js";
import { createDumpKind } from "./dump-creator.js";
import { createSnapshotKind } from "./snapshot-creator.js";

/** Where backups go, and what they say of this program. */
export interface BackupsConfig {
  /** Where dumps are put. */
  readonly dumpsFolder: string;
  /** Where manifests of snapshots are put. */
  readonly snapshotsFolder: string;
  /** Miroir's version. */
  readonly version: string;
  /** What the export of the store in a snapshot says of it. */
  readonly describeStore: () => Promise<Pick<ExportHeader, "backend" | "schemaVersion">>;
  /** How long a shard or a node that does not answer is waited for. Milliseconds; 60,000 unless given. */
  readonly patienceMs?: number;
}

/** What {@link createBackups} works with. */
export interface BackupsOptions {
  readonly store: TaskStore;
  readonly topology: TopologyManager;
  readonly registry: TaskRegistry;
  readonly transport: NodeTransport;
  /** A client with the node's admin key. */
  readonly admin: (nodeId: string) => NodeClient;
  readonly world: World;
  readonly logger: Logger;
  readonly metrics: ControlMetrics;
  readonly config: BackupsConfig;
}

/** Dumps and snapshots of the whole fleet. */
export interface Backups {
  readonly service: ServiceImpl<typeof BackupService>;
  /** Takes up what was open when the control plane stopped. */
  resume(): Promise<void>;
  /** Ends those of these tasks that are open backups. Resolves with how many. */
  cancel(uids: readonly TaskUid[], canceledBy: TaskUid): Promise<number>;
  stop(): Promise<void>;
}

/** The parts that back the fleet up, bound together and not started. */
export function createBackups(options: BackupsOptions): Backups {
  const { config } = options;
  const patience = config.patienceMs === undefined ? {} : { patienceMs: config.patienceMs };
  const tasks = new BackupTasks({
    ...options,
    kinds: {
      dumpCreation: createDumpKind({
        ...options,
        documents: new DocumentReader({ ...options, ...patience }),
        folder: config.dumpsFolder,
        version: config.version,
      }),
      snapshotCreation: createSnapshotKind({
        ...options,
        ...patience,
        folder: config.snapshotsFolder,
        version: config.version,
        describeStore: config.describeStore,
      }),
    },
  });
  return {
    service: createBackupService(tasks),
    resume: () => tasks.resume(),
    cancel: (uids, canceledBy) => tasks.cancel(uids, canceledBy),
    stop: () => tasks.stop(),
  };
}
