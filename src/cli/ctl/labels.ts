import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import { TaskStatus, TaskType } from "../../gen/miroir/v1/tasks_pb.js";
import { type Epoch, NodeState, ReplicaState } from "../../gen/miroir/v1/topology_pb.js";
import { DifferenceKind } from "../../gen/miroir/v1/verify_pb.js";

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

/** ISO 8601 in UTC, or a dash. */
export function time(value: Timestamp | undefined): string {
  return value === undefined ? "-" : timestampDate(value).toISOString();
}
