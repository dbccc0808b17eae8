import type { ErrorBody } from "./errors.js";
import type { JsonObject, JsonValue } from "./exact-json.js";
import { durationBetween } from "./time.js";

export const TASK_STATUSES = ["enqueued", "processing", "succeeded", "failed", "canceled"] as const;
export type TaskStatus = (typeof TASK_STATUSES)[number];

export const TASK_TYPES = [
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
  "networkTopologyChange",
  "dsrUpdate",
  "dsrClear",
] as const;
export type TaskType = (typeof TASK_TYPES)[number];

/** One pair of a swap, or with `rename` the old and the new name of one index. */
export interface IndexSwap {
  readonly indexes: readonly [string, string];
  readonly rename: boolean;
}

/** What a task does. `allowCreation` says whether the key that sent it may create the index. */
export type TaskContent =
  | {
      readonly kind: "addDocuments";
      readonly method: "replace" | "update";
      readonly primaryKey: string | null;
      readonly skipCreation: boolean;
      readonly allowCreation: boolean;
      readonly count: number;
      /** The documents, one JSON object to a line. */
      readonly lines: string;
    }
  | { readonly kind: "deleteDocuments"; readonly ids: readonly string[] }
  | { readonly kind: "deleteByFilter"; readonly filter: JsonValue }
  | { readonly kind: "clearDocuments" }
  | { readonly kind: "updateSettings"; readonly patch: JsonObject; readonly allowCreation: boolean }
  | { readonly kind: "createIndex"; readonly primaryKey: string | null }
  | { readonly kind: "updateIndex"; readonly primaryKey: string | null; readonly newUid: string | null }
  | { readonly kind: "deleteIndex" }
  | { readonly kind: "swapIndexes"; readonly swaps: readonly IndexSwap[] }
  | { readonly kind: "cancelTasks"; readonly uids: readonly number[]; readonly query: string }
  | { readonly kind: "deleteTasks"; readonly uids: readonly number[]; readonly query: string };

/** A task of the log. Its content is dropped once it has ended. */
export interface Task {
  readonly uid: number;
  batchUid: number | null;
  indexUid: string | null;
  status: TaskStatus;
  readonly type: TaskType;
  canceledBy: number | null;
  details: JsonObject;
  error: ErrorBody | null;
  readonly enqueuedAt: string;
  startedAt: string | null;
  finishedAt: string | null;
  readonly customMetadata: string | null;
  content: TaskContent | null;
  /** Further names by which `indexUids` finds the task. */
  alsoNames: string[];
}

/** A batch of tasks that were processed together. */
export interface Batch {
  readonly uid: number;
  details: JsonObject;
  readonly taskUids: readonly number[];
  stats: {
    readonly totalNbTasks: number;
    readonly status: Record<string, number>;
    readonly types: Record<string, number>;
    readonly indexUids: Record<string, number>;
  };
  readonly startedAt: string;
  finishedAt: string | null;
  readonly batchStrategy: string;
}

const TYPE_OF_KIND: Readonly<Record<TaskContent["kind"], TaskType>> = {
  addDocuments: "documentAdditionOrUpdate",
  deleteDocuments: "documentDeletion",
  deleteByFilter: "documentDeletion",
  clearDocuments: "documentDeletion",
  updateSettings: "settingsUpdate",
  createIndex: "indexCreation",
  updateIndex: "indexUpdate",
  deleteIndex: "indexDeletion",
  swapIndexes: "indexSwap",
  cancelTasks: "taskCancelation",
  deleteTasks: "taskDeletion",
};

/** The type under which a task is listed. */
export function taskType(content: TaskContent): TaskType {
  return TYPE_OF_KIND[content.kind];
}

/** What a task's details show before it is processed. */
export function initialDetails(content: TaskContent): JsonObject {
  switch (content.kind) {
    case "addDocuments":
      return { receivedDocuments: content.count, indexedDocuments: null };
    case "deleteDocuments":
      return { providedIds: content.ids.length, deletedDocuments: null, originalFilter: null };
    case "deleteByFilter":
      return { providedIds: 0, deletedDocuments: null, originalFilter: JSON.stringify(content.filter) };
    case "clearDocuments":
    case "deleteIndex":
      return { deletedDocuments: null };
    case "updateSettings":
      return { ...content.patch };
    case "createIndex":
      return { primaryKey: content.primaryKey };
    case "updateIndex":
      return { primaryKey: content.primaryKey };
    case "swapIndexes":
      return { swaps: content.swaps.map((swap) => ({ indexes: [...swap.indexes], rename: swap.rename })) };
    case "cancelTasks":
      return { matchedTasks: content.uids.length, canceledTasks: null, originalFilter: content.query };
    case "deleteTasks":
      return { matchedTasks: content.uids.length, deletedTasks: null, originalFilter: content.query };
  }
}

const COUNTS = ["indexedDocuments", "deletedDocuments", "canceledTasks", "deletedTasks"];

/** The details of a task that failed or was canceled: whatever was to be counted is 0. */
export function failedDetails(details: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(details).map(([name, value]) => [
      name,
      COUNTS.includes(name) && value === null ? 0 : value,
    ]),
  );
}

/** A task as `GET /tasks` shows it. */
export function taskView(task: Task): JsonObject {
  return {
    uid: task.uid,
    batchUid: task.batchUid,
    indexUid: task.indexUid,
    status: task.status,
    type: task.type,
    canceledBy: task.canceledBy,
    details: task.details,
    error: task.error === null ? null : { ...task.error },
    duration:
      task.startedAt === null || task.finishedAt === null
        ? null
        : durationBetween(task.startedAt, task.finishedAt),
    enqueuedAt: task.enqueuedAt,
    startedAt: task.startedAt,
    finishedAt: task.finishedAt,
    ...(task.customMetadata === null ? {} : { customMetadata: task.customMetadata }),
  };
}

/** What the request that enqueued a task is answered. */
export function summarizedView(task: Task): JsonObject {
  return {
    taskUid: task.uid,
    indexUid: task.indexUid,
    status: "enqueued",
    type: task.type,
    enqueuedAt: task.enqueuedAt,
    ...(task.customMetadata === null ? {} : { customMetadata: task.customMetadata }),
  };
}

/** A batch as `GET /batches` shows it. */
export function batchView(batch: Batch): JsonObject {
  const running = batch.finishedAt === null;
  return {
    uid: batch.uid,
    progress: running ? { steps: [], percentage: 0 } : null,
    details: batch.details,
    stats: { ...batch.stats, progressTrace: {} },
    duration: batch.finishedAt === null ? null : durationBetween(batch.startedAt, batch.finishedAt),
    startedAt: batch.startedAt,
    finishedAt: batch.finishedAt,
    batchStrategy: batch.batchStrategy,
  };
}
