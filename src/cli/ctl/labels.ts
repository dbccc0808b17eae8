import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import { TaskStatus, TaskType } from "../../gen/miroir/v1/tasks_pb.js";
import { type Epoch, NodeState, ReplicaState } from "../../gen/miroir/v1/topology_pb.js";
import { DifferenceKind } from "../../gen/miroir/v1/verify_pb.js";
import { WorkflowKind, WorkflowStatus } from "../../gen/miroir/v1/workflows_pb.js";

/** An enum value's name as people read it: `IN_SYNC` becomes `in sync`. */
function words(name: string | undefined): string {
  return (name ?? "unknown").toLowerCase().replaceAll("_", " ");
}

/** `active`, `unreachable` … */
export const nodeState = (state: NodeState): string => words(NodeState[state]);

/** `in sync`, `stale` … */
export const replicaState = (state: ReplicaState): string => words(ReplicaState[state]);

/** `succeeded`, `enqueued` … */
export const taskStatus = (status: TaskStatus): string => words(TaskStatus[status]);

/** `documentAdditionOrUpdate` …, as Meilisearch's API prints it. */
export function taskType(type: TaskType): string {
  return (TaskType[type] ?? "unknown")
    .toLowerCase()
    .replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
}

/** `term.counter`, or a dash. */
export function epoch(value: Epoch | undefined): string {
  return value === undefined ? "-" : `${value.term}.${value.counter}`;
}

/** `settings`, `unexpected index` … */
export const differenceKind = (kind: DifferenceKind): string => words(DifferenceKind[kind]);

/** `add node`, `rebalance` … */
export const workflowKind = (kind: WorkflowKind): string => words(WorkflowKind[kind]);

/** `running`, `completed` … */
export const workflowStatus = (status: WorkflowStatus): string => words(WorkflowStatus[status]);

/** A number of bytes with a unit: `1.4 GB`. */
export function byteSize(bytes: bigint): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let size = Number(bytes);
  let unit = 0;
  while (size >= 1_000 && unit < units.length - 1) {
    size /= 1_000;
    unit += 1;
  }
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${units[unit]}`;
}

/** A time span in the two largest units that it has: `1 h 20 min`. */
export function duration(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** ISO 8601 in UTC, or a dash. */
export function time(value: Timestamp | undefined): string {
  return value === undefined ? "-" : timestampDate(value).toISOString();
}
