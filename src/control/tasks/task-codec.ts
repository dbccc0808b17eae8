import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampDate, timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type NodeTask,
  NodeTaskSchema,
  TaskStatus as ProtoStatus,
  type TaskType as ProtoType,
  type Task,
  type TaskError,
  TaskErrorSchema,
  TaskSchema,
} from "../../gen/miroir/v1/tasks_pb.js";
import {
  InvalidArgumentError,
  indexInstance,
  type NodeTaskRow,
  nodeId,
  nodeTaskUid,
  type TaskErrorRow,
  type TaskRow,
  type TaskStatus,
  type TaskType,
  taskStatuses,
  taskTypes,
  taskUid,
} from "../../store/task-store.js";

/** The stored form of a status. @throws InvalidArgumentError for one that is not set */
export function statusFromProto(status: ProtoStatus): TaskStatus {
  const found = taskStatuses[status - 1];
  if (found === undefined) throw new InvalidArgumentError("a task's status is missing");
  return found;
}

/** The wire form of a status. */
export function statusToProto(status: TaskStatus): ProtoStatus {
  return (taskStatuses.indexOf(status) + 1) as ProtoStatus;
}

/** The stored form of a type. @throws InvalidArgumentError for one that is not set */
export function typeFromProto(type: ProtoType): TaskType {
  const found = taskTypes[type - 1];
  if (found === undefined) throw new InvalidArgumentError("a task's type is missing");
  return found;
}

/** The wire form of a type. */
export function typeToProto(type: TaskType): ProtoType {
  return (taskTypes.indexOf(type) + 1) as ProtoType;
}

/** A task as a proxy registers it. `now` stands for a missing enqueuing time. @throws InvalidArgumentError */
export function taskFromProto(task: Task, now: number): TaskRow {
  return {
    uid: taskUid(Number(task.uid)),
    indexUid: task.indexUid === "" ? null : task.indexUid,
    instance: task.instance === "" ? null : indexInstance(task.instance),
    type: typeFromProto(task.type),
    status: statusFromProto(task.status),
    detailsJson: jsonText(task.detailsJson, "details"),
    error: errorFromProto(task.error),
    enqueuedAt: time(task.enqueuedAt) ?? now,
    startedAt: time(task.startedAt),
    finishedAt: time(task.finishedAt),
    canceledBy: task.canceledBy === undefined ? null : taskUid(Number(task.canceledBy)),
    customMetadata: task.customMetadata === "" && !task.emptyCustomMetadata ? null : task.customMetadata,
    documentsByShard: new Map(
      Object.entries(task.documentsByShard).map(([shard, documents]) => [Number(shard), Number(documents)]),
    ),
    nodeTasks: task.nodeTasks.map(nodeTaskFromProto),
  };
}

/** A stored task as the services answer it. */
export function taskToProto(row: TaskRow): Task {
  return create(TaskSchema, {
    uid: BigInt(row.uid),
    indexUid: row.indexUid ?? "",
    instance: row.instance ?? "",
    type: typeToProto(row.type),
    status: statusToProto(row.status),
    detailsJson: row.detailsJson ?? "",
    ...(row.error === null ? {} : { error: create(TaskErrorSchema, row.error) }),
    enqueuedAt: timestampFromMs(row.enqueuedAt),
    ...(row.startedAt === null ? {} : { startedAt: timestampFromMs(row.startedAt) }),
    ...(row.finishedAt === null ? {} : { finishedAt: timestampFromMs(row.finishedAt) }),
    ...(row.canceledBy === null ? {} : { canceledBy: BigInt(row.canceledBy) }),
    nodeTasks: row.nodeTasks.map(nodeTaskToProto),
    customMetadata: row.customMetadata ?? "",
    emptyCustomMetadata: row.customMetadata === "",
    documentsByShard: Object.fromEntries(
      [...row.documentsByShard].map(([shard, documents]) => [shard, BigInt(documents)]),
    ),
  });
}

/** Milliseconds since the Unix epoch; undefined where the field is absent. */
export function timeFromProto(timestamp: Timestamp | undefined): number | undefined {
  return timestamp === undefined ? undefined : timestampDate(timestamp).getTime();
}

function nodeTaskFromProto(task: NodeTask): NodeTaskRow {
  return {
    nodeId: nodeId(task.nodeId),
    nodeTaskUid: nodeTaskUid(task.nodeTaskUid),
    status: task.status === ProtoStatus.UNSPECIFIED ? "enqueued" : statusFromProto(task.status),
    error: errorFromProto(task.error),
    shards: task.shards,
    detailsJson: jsonText(task.detailsJson, "details of a node task"),
    startedAt: time(task.startedAt),
    finishedAt: time(task.finishedAt),
  };
}

function nodeTaskToProto(row: NodeTaskRow): NodeTask {
  return create(NodeTaskSchema, {
    nodeId: row.nodeId,
    nodeTaskUid: row.nodeTaskUid,
    status: statusToProto(row.status),
    ...(row.error === null ? {} : { error: create(TaskErrorSchema, row.error) }),
    shards: [...row.shards],
    detailsJson: row.detailsJson ?? "",
    ...(row.startedAt === null ? {} : { startedAt: timestampFromMs(row.startedAt) }),
    ...(row.finishedAt === null ? {} : { finishedAt: timestampFromMs(row.finishedAt) }),
  });
}

function errorFromProto(error: TaskError | undefined): TaskErrorRow | null {
  if (error === undefined) return null;
  const { message, code, type, link } = error;
  return { message, code, type, link };
}

function jsonText(text: string, what: string): string | null {
  if (text === "") return null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new InvalidArgumentError(`a task's ${what} are not JSON: ${(error as Error).message}`);
  }
  if (value === null) return null;
  if (typeof value !== "object" || Array.isArray(value)) {
    throw new InvalidArgumentError(`a task's ${what} are not a JSON object`);
  }
  return text;
}

function time(timestamp: Timestamp | undefined): number | null {
  return timeFromProto(timestamp) ?? null;
}
