import type { IndexInstance, NodeId, NodeTaskUid, TaskUid } from "../ids.js";
import type { FencingToken } from "./lease.js";

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

/** True for the statuses that a task never leaves. */
export function isFinalStatus(status: TaskStatus): boolean {
  return status === "succeeded" || status === "failed" || status === "canceled";
}

/**
 * Client tasks and the node tasks that they became. A call that changes tasks does all of it in one step or nothing,
 * and takes at most 1,000 entries, so that the step stays short; calls that read take 10,000.
 */
export interface TasksTable {
  /**
   * Reserves `count` (1 to 10,000) consecutive uids above every recorded task, that were never given before
   * and never will be, also after a power cut. Returns the first.
   */
  allocateUids(count: number, fence: FencingToken): Promise<TaskUid>;
  /** The uid from which on none has been given. */
  nextUid(): Promise<TaskUid>;
  /**
   * Records tasks, or merges them into what is recorded under their uid, in any order and any number of
   * times. A final status is never taken back, nor what it came with (details, error, times, canceledBy);
   * a status never goes backwards. A state as late as the recorded one or later replaces details, error,
   * times and canceledBy where it has them; an earlier one only fills what is missing. What describes the
   * request (index, instance, metadata, documents by shard) is kept from whoever gave it first, the type
   * from the first record, the earliest enqueuing time wins. Node tasks are merged by (node, node task uid)
   * under the same rules; none is dropped. Returns the tasks as they are now, in the order given. At most 10,000
   * node tasks a call.
   */
  upsert(tasks: readonly TaskRow[], fence: FencingToken): Promise<readonly TaskRow[]>;
  /** The task; undefined where none is recorded. */
  get(uid: TaskUid): Promise<TaskRow | undefined>;
  /** The recorded ones of these tasks, in ascending order of uid. Each thousand of them is one snapshot. */
  getMany(uids: readonly TaskUid[]): Promise<readonly TaskRow[]>;
  /**
   * A page of the matching tasks, and how many match in all.
   *
   * Cost: without a filter, and with any number of values of one filter (one time with one or both of its bounds is
   * one filter; status, type and index together too), what the page is long, not what the table is; besides, a list
   * of uids costs its length, and a time range a little for each 1,024 uids that lie across its bounds. With several
   * filters every task that matches the most selective one is visited, because the total is exact.
   *
   * Snapshot: each row is whole. The first thousand rows and the total are one snapshot without a filter, with
   * filters on status, type and index, and with one on canceledBy. Otherwise a backend may take several steps: the
   * total then counts every task once, as it was when its step came; a task that stopped matching meanwhile is left
   * out of the page, which is shorter for it, and one that came meanwhile may be missing.
   *
   * A task without an index (a swap, for example) matches no filter on indexes, whatever its details name.
   */
  list(filter: TaskFilter, page: TaskPageRequest): Promise<TaskPage>;
  /**
   * The client tasks behind node tasks, in the order of `refs`; undefined where none is recorded. Where a
   * node's uids started over, the newest client task is meant. Each thousand of them is one snapshot.
   */
  findByNodeTasks(refs: readonly NodeTaskRef[]): Promise<readonly (TaskUid | undefined)[]>;
  /** `findByNodeTasks` for one. */
  findByNodeTask(nodeId: NodeId, nodeTaskUid: NodeTaskUid): Promise<TaskUid | undefined>;
  /**
   * Merges what the nodes' logs say into the recorded node tasks, under the rules of `upsert`. The client
   * tasks' own status is the caller's to aggregate, from the rows returned, and to store with `upsert`. An
   * update that changes nothing returns no row, so a caller that starts aggregates every open task once.
   */
  applyNodeTaskUpdates(
    updates: readonly NodeTaskUpdate[],
    fence: FencingToken,
  ): Promise<NodeTaskUpdateResult>;
  /** Node tasks of a node that are not final, in ascending order of the node's uid. */
  openNodeTasks(
    nodeId: NodeId,
    page?: {
      /** Only those with a higher uid. */
      after?: NodeTaskUid;
      /** 1 to 100,000; 10,000 unless given. */
      limit?: number;
    },
  ): Promise<readonly OpenNodeTask[]>;
  /** How many node tasks are not final, by node; nodes without any are absent. */
  countOpenNodeTasks(): Promise<ReadonlyMap<NodeId, number>>;
  /** How many client tasks are not final. */
  countOpen(): Promise<number>;
  /**
   * Deletes those of these tasks (1,000 at most, in one step) that are final with all their node tasks; the others stay.
   * Returns the deleted ones in ascending order. Their uids are not given again.
   */
  delete(uids: readonly TaskUid[], fence: FencingToken): Promise<readonly TaskUid[]>;
}
