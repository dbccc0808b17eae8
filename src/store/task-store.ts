import type { IndexInstance, JobId, LeaseScope, NodeId, NodeTaskUid, TaskUid, WorkflowId } from "./ids.js";
import type {
  FencingToken,
  JobRow,
  JobState,
  Lease,
  NodeCursorRow,
  NodeSettingsVersionRow,
  NodeTaskRef,
  NodeTaskUpdate,
  NodeTaskUpdateResult,
  OpenNodeTask,
  TaskFilter,
  TaskPage,
  TaskPageRequest,
  TaskRow,
  TopologyEpoch,
  TopologyRow,
  WorkflowRow,
} from "./rows.js";

export * from "./errors.js";
export * from "./ids.js";
export * from "./rows.js";

/**
 * Everything of the control plane that survives a restart or is shared by several control processes.
 *
 * Each call is atomic: it is stored as a whole or not at all, and a call that has resolved is seen by every
 * later one. Calls that take a `fence` are a leader's writes and reject with `FencedError` under an old one
 * (invariant 3). Every rejection is a `StoreError`, whose `outcome` tells an aborted call from one that may
 * have been executed. Returned rows are the caller's to keep; the store does not change them.
 */
export interface TaskStore {
  readonly topology: TopologyTable;
  readonly lease: LeaseTable;
  readonly tasks: TasksTable;
  readonly nodeCursors: NodeCursorsTable;
  readonly nodeSettingsVersions: NodeSettingsVersionsTable;
  readonly workflows: WorkflowsTable;
  readonly jobs: JobsTable;
  readonly retention: Retention;
  /** Gives the backend back. Calls after it reject with `StoreClosedError`; closing twice does nothing. */
  close(): Promise<void>;
}

/** The one topology document of the cluster. */
export interface TopologyTable {
  /** The stored topology; undefined in a fresh store. */
  load(): Promise<TopologyRow | undefined>;
  /**
   * Replaces the topology if it is at `expected` (undefined: if there is none), durably against a power
   * cut. `next` must be of the same cluster, above the stored epoch, and of the fence's term (invariant 1).
   * Rejects with `ConflictError` where the store is at another epoch or `next` would not grow it.
   */
  save(expected: TopologyEpoch | undefined, next: TopologyRow, fence: FencingToken): Promise<void>;
}

/** Exclusive leases with fencing numbers. Expiry is by the store's clock. */
export interface LeaseTable {
  /**
   * Takes the lease if it is free, released or expired, under a number above every earlier one and above
   * `aboveTerm` (0 unless given). The live holder asking again gets its lease renewed under the same
   * number. Undefined while somebody else holds it.
   */
  acquire(request: {
    scope: LeaseScope;
    /** Must name one run of one process. */
    holder: string;
    /** At least 1. */
    ttlMs: number;
    aboveTerm?: number;
  }): Promise<Lease | undefined>;
  /** Extends the lease to `ttlMs` from now; undefined where it expired or somebody else took it. */
  renew(token: FencingToken, ttlMs: number): Promise<Lease | undefined>;
  /** Gives the lease back at once: writes under the token are refused from now on. False where it was not held. */
  release(token: FencingToken): Promise<boolean>;
  /** The lease as it is stored, also after it expired; undefined where nobody holds it or it was released. */
  current(scope: LeaseScope): Promise<Lease | undefined>;
}

/** Client tasks and the node tasks that they became. At most 10,000 entries a call. */
export interface TasksTable {
  /**
   * Reserves `count` (1 to 10,000) consecutive uids above every recorded task, that were never given before
   * and never will be, also after a power cut. Returns the first.
   */
  allocateUids(count: number, fence: FencingToken): Promise<TaskUid>;
  /**
   * Records tasks, or merges them into what is recorded under their uid, in any order and any number of
   * times. A final status is never taken back, nor what it came with (details, error, times, canceledBy);
   * a status never goes backwards. A state as late as the recorded one or later replaces details, error,
   * times and canceledBy where it has them; an earlier one only fills what is missing. What describes the
   * request (index, instance, metadata, documents by shard) is kept from whoever gave it first, the type
   * from the first record, the earliest enqueuing time wins. Node tasks are merged by (node, node task uid)
   * under the same rules; none is dropped. Returns the tasks as they are now, in the order given.
   */
  upsert(tasks: readonly TaskRow[], fence: FencingToken): Promise<readonly TaskRow[]>;
  /** The task; undefined where none is recorded. */
  get(uid: TaskUid): Promise<TaskRow | undefined>;
  /** The recorded ones of these tasks, in ascending order of uid. */
  getMany(uids: readonly TaskUid[]): Promise<readonly TaskRow[]>;
  /** A page of the matching tasks, and how many match in all. */
  list(filter: TaskFilter, page: TaskPageRequest): Promise<TaskPage>;
  /**
   * The client tasks behind node tasks, in the order of `refs`; undefined where none is recorded. Where a
   * node's uids started over, the newest client task is meant.
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
}

/** Audit frontiers, a row a node. */
export interface NodeCursorsTable {
  get(nodeId: NodeId): Promise<NodeCursorRow | undefined>;
  /** In ascending order of node id. */
  list(): Promise<readonly NodeCursorRow[]>;
  /** Inserts or replaces. */
  put(rows: readonly NodeCursorRow[], fence: FencingToken): Promise<void>;
  /** Forgets a node; false where it was not known. */
  delete(nodeId: NodeId, fence: FencingToken): Promise<boolean>;
}

/** Settings versions, a row an (index instance, node). */
export interface NodeSettingsVersionsTable {
  /** In ascending order of node id. */
  listByInstance(instance: IndexInstance): Promise<readonly NodeSettingsVersionRow[]>;
  /** In ascending order of instance, then node id. */
  list(): Promise<readonly NodeSettingsVersionRow[]>;
  /** Inserts or replaces; a version never goes back: an older one than the recorded one is ignored. */
  put(rows: readonly NodeSettingsVersionRow[], fence: FencingToken): Promise<void>;
  /** Forgets an index's instance, or its replica on one node. Returns how many rows went. */
  delete(instance: IndexInstance, nodeId: NodeId | undefined, fence: FencingToken): Promise<number>;
}

/** Multi-step changes; each step is stored here, durably against a power cut, before it starts (invariant 9). */
export interface WorkflowsTable {
  get(id: WorkflowId): Promise<WorkflowRow | undefined>;
  /** Unfinished ones, oldest first. */
  listOpen(): Promise<readonly WorkflowRow[]>;
  /** Inserts or replaces; rejects with `ConflictError` where the recorded one has finished. */
  put(row: WorkflowRow, fence: FencingToken): Promise<void>;
}

/** Queued background work. */
export interface JobsTable {
  get(id: JobId): Promise<JobRow | undefined>;
  /** Oldest first; every state unless given. `limit`: 1 to 10,000; 1,000 unless given. */
  list(options?: { states?: readonly JobState[]; limit?: number }): Promise<readonly JobRow[]>;
  /** Inserts or replaces; rejects with `ConflictError` where the recorded one has finished. */
  put(row: JobRow, fence: FencingToken): Promise<void>;
}

/** Keeps history bounded (invariant 12). */
export interface Retention {
  /**
   * Deletes tasks that finished before `finishedBefore` and those beyond the `keepFinished` that finished
   * last, oldest first; never an unfinished task, nor one with an unfinished node task. At most `limit`
   * (1 to 10,000; 1,000 unless given) a call, so that it never holds up other calls for long. Returns how
   * many went; call again while that is `limit`.
   */
  pruneTasks(
    rule: { finishedBefore?: number; keepFinished?: number; limit?: number },
    fence: FencingToken,
  ): Promise<number>;
  /** The same for finished workflows. */
  pruneWorkflows(rule: { finishedBefore: number; limit?: number }, fence: FencingToken): Promise<number>;
  /** The same for finished jobs. */
  pruneJobs(rule: { finishedBefore: number; limit?: number }, fence: FencingToken): Promise<number>;
}
