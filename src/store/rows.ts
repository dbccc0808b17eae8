import type { IndexInstance, JobId, LeaseScope, NodeId, NodeTaskUid, TaskUid, WorkflowId } from "./ids.js";

/** The statuses of a task, under Meilisearch's names, in the order in which a task passes through them. */
export const taskStatuses = ["enqueued", "processing", "succeeded", "failed", "canceled"] as const;
/** Where a task stands. `succeeded`, `failed` and `canceled` are final. */
export type TaskStatus = (typeof taskStatuses)[number];

/** The types of Meilisearch's tasks, under the names of its API. */
export const taskTypes = [
  "documentAdditionOrUpdate",
  "documentEdition",
  "documentDeletion",
  "settingsUpdate",
  "indexCreation",
  "indexDeletion",
  "indexUpdate",
  "indexSwap",
  "taskCancelation",
  "taskDeletion",
  "dumpCreation",
  "snapshotCreation",
  "export",
  "upgradeDatabase",
  "indexCompaction",
] as const;
/** What a task does. */
export type TaskType = (typeof taskTypes)[number];

/** Meilisearch's error object. */
export interface TaskErrorRow {
  readonly message: string;
  readonly code: string;
  readonly type: string;
  readonly link: string;
}

/** What a client task became on one node. Times are milliseconds since the Unix epoch. */
export interface NodeTaskRow {
  readonly nodeId: NodeId;
  readonly nodeTaskUid: NodeTaskUid;
  readonly status: TaskStatus;
  readonly error: TaskErrorRow | null;
  /** The shards that the node's request covered; empty for all that the node holds. */
  readonly shards: readonly number[];
  /** The node task's "details" as JSON text, kept as it was given; null until known. */
  readonly detailsJson: string | null;
  readonly startedAt: number | null;
  readonly finishedAt: number | null;
}

/** One client task. Times are milliseconds since the Unix epoch. */
export interface TaskRow {
  readonly uid: TaskUid;
  /** The client's name of the index; null for tasks without one. */
  readonly indexUid: string | null;
  /** The incarnation of the index that the task works on; null for tasks without an index. */
  readonly instance: IndexInstance | null;
  readonly type: TaskType;
  readonly status: TaskStatus;
  /** The task's "details" member as JSON text, kept as it was given; null for none. */
  readonly detailsJson: string | null;
  readonly error: TaskErrorRow | null;
  readonly enqueuedAt: number;
  readonly startedAt: number | null;
  /** Never null under a final status. */
  readonly finishedAt: number | null;
  readonly canceledBy: TaskUid | null;
  /** What the client gave as customMetadata; null for none. */
  readonly customMetadata: string | null;
  /** Documents of the request by shard; empty where it does not apply. */
  readonly documentsByShard: ReadonlyMap<number, number>;
  /** In ascending order of node id, then of the node's task uid. */
  readonly nodeTasks: readonly NodeTaskRow[];
}

/** Which tasks to list. A list given empty matches nothing; absent members do not restrict. */
export interface TaskFilter {
  readonly uids?: readonly TaskUid[];
  readonly indexUids?: readonly string[];
  readonly statuses?: readonly TaskStatus[];
  readonly types?: readonly TaskType[];
  readonly canceledBy?: readonly TaskUid[];
  /** Both bounds of each range are exclusive, in milliseconds; tasks without that time never match one. */
  readonly beforeEnqueuedAt?: number;
  readonly afterEnqueuedAt?: number;
  readonly beforeStartedAt?: number;
  readonly afterStartedAt?: number;
  readonly beforeFinishedAt?: number;
  readonly afterFinishedAt?: number;
}

/** Which part of the matching tasks to return. */
export interface TaskPageRequest {
  /** 0 to 1,000,000. */
  readonly limit: number;
  /** The uid to start from, inclusive; from the newest (or oldest, when reversed) unless given. */
  readonly from?: TaskUid;
  /** Oldest first; newest first unless given. */
  readonly reverse?: boolean;
}

/** One page of tasks. */
export interface TaskPage {
  readonly tasks: readonly TaskRow[];
  /** Of all tasks that match, wherever the page starts. */
  readonly total: number;
  /** Where the next page starts; undefined on the last one. */
  readonly next: TaskUid | undefined;
}

/** Names one task of one node. */
export interface NodeTaskRef {
  readonly nodeId: NodeId;
  readonly nodeTaskUid: NodeTaskUid;
}

/** What a node's task log said about one of its tasks. */
export interface NodeTaskUpdate extends NodeTaskRef {
  /**
   * The client task, where the caller knows it (from the node task's metadata): the node task is then
   * added to it if it was not recorded yet. Otherwise the newest client task with that node task is meant.
   */
  readonly taskUid?: TaskUid;
  readonly status: TaskStatus;
  readonly error: TaskErrorRow | null;
  readonly detailsJson: string | null;
  readonly startedAt: number | null;
  readonly finishedAt: number | null;
  /** Recorded where the node task is added; an existing node task keeps its own. */
  readonly shards?: readonly number[];
}

/** What `applyNodeTaskUpdates` did. */
export interface NodeTaskUpdateResult {
  /** Client tasks of which a node task changed, as they are now, in ascending order of uid. */
  readonly changed: readonly TaskRow[];
  /** Updates whose client task is not recorded, in the order given. */
  readonly unknown: readonly NodeTaskUpdate[];
}

/** A node task that the store believes unfinished. */
export interface OpenNodeTask extends NodeTaskRef {
  readonly taskUid: TaskUid;
  readonly status: TaskStatus;
}

/** A point on the one line of topologies (invariant 1): ordered by term, then counter. */
export interface TopologyEpoch {
  readonly clusterId: string;
  readonly term: number;
  readonly counter: number;
}

/** The stored topology. */
export interface TopologyRow extends TopologyEpoch {
  /** The topology in the caller's own encoding, kept byte for byte. */
  readonly document: Uint8Array;
  readonly contentHash: string;
}

/** A lease as its holder got it. */
export interface Lease {
  readonly scope: LeaseScope;
  /** Names one run of one process; a restarted process uses another name. */
  readonly holder: string;
  /** The fencing number: grows with every change of holder, and is never given twice. */
  readonly term: number;
  /** By the store's clock, in milliseconds since the Unix epoch. */
  readonly expiresAt: number;
}

/**
 * What a leader's write carries. The store refuses it, in the transaction of the write, unless the lease's
 * last holder and number are these and were not released (invariant 3).
 */
export interface FencingToken {
  readonly scope: LeaseScope;
  readonly holder: string;
  readonly term: number;
}

/** How far the audit of a node's task log has come. */
export interface NodeCursorRow {
  readonly nodeId: NodeId;
  /** Every task of the node up to and including this one is final and accounted for; null before the first. */
  readonly frontierUid: NodeTaskUid | null;
  /** The highest uid seen in the node's log; null before the first. */
  readonly lastSeenUid: NodeTaskUid | null;
  /** Tells the node's database from another one under the same address. */
  readonly identity: string;
  readonly updatedAt: number;
}

/** The settings version that an index's replica on a node is known to have. */
export interface NodeSettingsVersionRow {
  readonly instance: IndexInstance;
  readonly nodeId: NodeId;
  readonly version: number;
  /** Canonical fingerprint of the settings read back from the node. */
  readonly fingerprint: string;
  readonly updatedAt: number;
}

/** One run of a multi-step change (invariant 9). */
export interface WorkflowRow {
  readonly id: WorkflowId;
  readonly kind: string;
  /** The step that has been stored and may have started. */
  readonly step: string;
  /** What the steps need, as JSON text, kept as it was given. */
  readonly stateJson: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  /** Null while the workflow runs. */
  readonly finishedAt: number | null;
}

/** The states of a job, in the order in which it passes through them. */
export const jobStates = ["queued", "in_progress", "completed", "failed", "canceled"] as const;
/** Where a job stands. */
export type JobState = (typeof jobStates)[number];

/** A queued piece of background work. */
export interface JobRow {
  readonly id: JobId;
  readonly type: string;
  readonly paramsJson: string;
  readonly state: JobState;
  /** Null while nobody works on it. */
  readonly claimedBy: string | null;
  readonly claimExpiresAt: number | null;
  readonly progressJson: string;
  readonly attempts: number;
  readonly error: string | null;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly finishedAt: number | null;
}

/** True for the statuses that a task never leaves. */
export function isFinalStatus(status: TaskStatus): boolean {
  return status === "succeeded" || status === "failed" || status === "canceled";
}
