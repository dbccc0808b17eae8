import type { Logger } from "pino";
import type { NodeTaskRecord } from "../../meilisearch/node-client.js";
import type { TaskMetadata } from "../../meilisearch/task-metadata.js";
import type { World } from "../../runtime/world.js";
import type { FencingToken, NodeId, NodeTaskUpdate, TaskStore } from "../../store/task-store.js";
import type { ControlMetrics } from "../metrics.js";
import type { NodeLog } from "./node-log.js";

/** A finished node task whose client task nobody registered, with what its metadata says. */
export interface LostTask {
  readonly record: NodeTaskRecord;
  readonly metadata: TaskMetadata;
}

/** Where an audit loop brings what it finds. */
export interface AuditSink {
  /** Records what a node's log says. Resolves with the updates whose client task is not recorded. */
  apply(updates: readonly NodeTaskUpdate[]): Promise<readonly NodeTaskUpdate[]>;
  /** Records client tasks that only their node tasks' metadata tell of. */
  rebuild(nodeId: NodeId, lost: readonly LostTask[]): Promise<void>;
  /** What a node task without a client task is: Miroir's own work on indexes, or a stranger's. */
  judgeUnregistered(nodeId: NodeId, record: NodeTaskRecord): Promise<"control" | "unexpected">;
  /** A write of a session is missing between two others. */
  missingWrite(nodeId: NodeId, record: NodeTaskRecord, metadata: TaskMetadata): Promise<void>;
  /** The node's log is not the one that was followed before; what was open in that one will never finish. */
  logReplaced(nodeId: NodeId, reason: string): Promise<void>;
  /** The node's connection broke, or it refused its key: it may have been restarted, on other data even. */
  lostTouch(nodeId: NodeId): void;
}

/** How eagerly a log is followed. */
export interface AuditTuning {
  /** Milliseconds between turns while tasks are open and changing; 25 unless given. */
  readonly busyIntervalMs?: number;
  /** Milliseconds between turns while tasks are open and nothing changes, at most; 150 unless given. */
  readonly waitingIntervalMs?: number;
  /** Milliseconds between turns while nothing is open; 1,000 unless given. */
  readonly idleIntervalMs?: number;
  /** Milliseconds for which a node task may lack its registration; 10,000 unless given. */
  readonly registrationGraceMs?: number;
  /** Milliseconds between readings of everything above the frontier, whatever the node's clock says; 10,000 unless given. */
  readonly rescanIntervalMs?: number;
  /** Milliseconds after which the log is compared with the one that was followed before, although nothing has broken; 1,000 unless given. */
  readonly verifyIntervalMs?: number;
  /** Finished tasks that stay in a node's log; 1,000 unless given. */
  readonly keepFinished?: number;
  /** Finished tasks beyond those before the log is pruned; 5,000 unless given, 0 for never. */
  readonly pruneAfter?: number;
}

/** What `NodeAudit` works with. */
export interface NodeAuditOptions {
  readonly nodeId: NodeId;
  readonly log: NodeLog;
  readonly sink: AuditSink;
  readonly store: TaskStore;
  readonly fence: () => FencingToken;
  readonly world: World;
  readonly logger: Logger;
  readonly metrics: ControlMetrics;
  readonly tuning: AuditTuning;
}
