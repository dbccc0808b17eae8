import { StoreCorruptError } from "./errors.js";
import type { IndexInstance, NodeId, NodeTaskUid, TaskUid } from "./ids.js";
import {
  type NodeTaskRow,
  type TaskErrorRow,
  type TaskRow,
  type TaskStatus,
  type TaskType,
  taskStatuses,
  taskTypes,
} from "./task-store.js";

/** A row of table `tasks`: what both backends store under the same names. */
export interface TaskRecord {
  uid: number;
  index_uid: string;
  instance: string | null;
  type: string;
  status: string;
  enqueued_at: number;
  started_at: number | null;
  finished_at: number | null;
  canceled_by: number | null;
  details_json: string | null;
  error_json: string | null;
  custom_metadata: string | null;
  documents_by_shard_json: string | null;
}

/** A row of table `node_tasks`. */
export interface NodeTaskRecord {
  task_uid: number;
  node_id: string;
  node_task_uid: number;
  status: string;
  shards_json: string | null;
  details_json: string | null;
  error_json: string | null;
  started_at: number | null;
  finished_at: number | null;
}

/** The columns of a task. */
export function encodeTask(task: TaskRow): TaskRecord {
  return {
    uid: task.uid,
    index_uid: task.indexUid ?? "",
    instance: task.instance,
    type: task.type,
    status: task.status,
    enqueued_at: task.enqueuedAt,
    started_at: task.startedAt,
    finished_at: task.finishedAt,
    canceled_by: task.canceledBy,
    details_json: task.detailsJson,
    error_json: encodeError(task.error),
    custom_metadata: task.customMetadata,
    documents_by_shard_json:
      task.documentsByShard.size === 0 ? null : JSON.stringify([...task.documentsByShard]),
  };
}

/** The task of these columns. */
export function decodeTask(record: TaskRecord, nodeTasks: readonly NodeTaskRow[]): TaskRow {
  const where = `task ${record.uid}`;
  return {
    uid: record.uid as TaskUid,
    indexUid: record.index_uid === "" ? null : record.index_uid,
    instance: record.instance as IndexInstance | null,
    type: decodeType(record.type, where),
    status: decodeStatus(record.status, where),
    detailsJson: record.details_json,
    error: decodeError(record.error_json, where),
    enqueuedAt: record.enqueued_at,
    startedAt: record.started_at,
    finishedAt: record.finished_at,
    canceledBy: record.canceled_by as TaskUid | null,
    customMetadata: record.custom_metadata,
    documentsByShard: decodeDocumentsByShard(record.documents_by_shard_json, where),
    nodeTasks,
  };
}

/** The columns of a node task. */
export function encodeNodeTask(uid: TaskUid, nodeTask: NodeTaskRow): NodeTaskRecord {
  return {
    task_uid: uid,
    node_id: nodeTask.nodeId,
    node_task_uid: nodeTask.nodeTaskUid,
    status: nodeTask.status,
    shards_json: nodeTask.shards.length === 0 ? null : JSON.stringify(nodeTask.shards),
    details_json: nodeTask.detailsJson,
    error_json: encodeError(nodeTask.error),
    started_at: nodeTask.startedAt,
    finished_at: nodeTask.finishedAt,
  };
}

/** The node task of these columns. */
export function decodeNodeTask(record: NodeTaskRecord): NodeTaskRow {
  const where = `task ${record.node_task_uid} of ${record.node_id}`;
  return {
    nodeId: record.node_id as NodeId,
    nodeTaskUid: record.node_task_uid as NodeTaskUid,
    status: decodeStatus(record.status, where),
    error: decodeError(record.error_json, where),
    shards: decodeShards(record.shards_json, where),
    detailsJson: record.details_json,
    startedAt: record.started_at,
    finishedAt: record.finished_at,
  };
}

/** The status of that name. */
export function decodeStatus(text: string, where: string): TaskStatus {
  const status = taskStatuses.find((candidate) => candidate === text);
  if (status === undefined) throw new StoreCorruptError(`${where} has the unknown status "${text}"`);
  return status;
}

const typesByName = new Map<string, TaskType>(taskTypes.map((type) => [type, type]));

/** The type of that name. */
export function decodeType(text: string, where: string): TaskType {
  const type = typesByName.get(text);
  if (type === undefined) throw new StoreCorruptError(`${where} has the unknown type "${text}"`);
  return type;
}

/** An error as JSON text. */
export function encodeError(error: TaskErrorRow | null): string | null {
  if (error === null) return null;
  return JSON.stringify([error.message, error.code, error.type, error.link]);
}

/** The error of that JSON text. */
export function decodeError(json: string | null, where: string): TaskErrorRow | null {
  if (json === null) return null;
  const value = parseJson(json, where);
  if (Array.isArray(value)) {
    const [message, code, type, link] = value as unknown[];
    if (
      typeof message === "string" &&
      typeof code === "string" &&
      typeof type === "string" &&
      typeof link === "string"
    ) {
      return { message, code, type, link };
    }
  }
  throw new StoreCorruptError(`${where} has an unreadable error`);
}

function decodeShards(json: string | null, where: string): readonly number[] {
  if (json === null) return [];
  const value = parseJson(json, where);
  if (isNumberArray(value)) return value;
  throw new StoreCorruptError(`${where} has an unreadable list of shards`);
}

function decodeDocumentsByShard(json: string | null, where: string): ReadonlyMap<number, number> {
  const result = new Map<number, number>();
  if (json === null) return result;
  const value = parseJson(json, where);
  if (!Array.isArray(value)) throw new StoreCorruptError(`${where} has unreadable counts by shard`);
  for (const entry of value as unknown[]) {
    const [shard, count] = isNumberArray(entry) ? entry : [];
    if (shard === undefined || count === undefined) {
      throw new StoreCorruptError(`${where} has unreadable counts by shard`);
    }
    result.set(shard, count);
  }
  return result;
}

/** True for lists of numbers. */
export function isNumberArray(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((entry) => typeof entry === "number");
}

/** What JSON text says; rejects other text with `StoreCorruptError`. */
export function parseJson(json: string, where: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new StoreCorruptError(`${where} has a column that is not JSON`, { cause: error });
  }
}
