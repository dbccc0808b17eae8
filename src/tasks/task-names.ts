import { TaskStatus, TaskType } from "../gen/miroir/v1/tasks_pb.js";

/** Statuses by the name that clients know. */
export const STATUSES: ReadonlyMap<string, TaskStatus> = new Map([
  ["enqueued", TaskStatus.ENQUEUED],
  ["processing", TaskStatus.PROCESSING],
  ["succeeded", TaskStatus.SUCCEEDED],
  ["failed", TaskStatus.FAILED],
  ["canceled", TaskStatus.CANCELED],
]);

/** Types by the name that clients know; those that Miroir never has tasks of are undefined. */
export const TYPES: ReadonlyMap<string, TaskType | undefined> = new Map([
  ["documentAdditionOrUpdate", TaskType.DOCUMENT_ADDITION_OR_UPDATE],
  ["documentEdition", TaskType.DOCUMENT_EDITION],
  ["documentDeletion", TaskType.DOCUMENT_DELETION],
  ["settingsUpdate", TaskType.SETTINGS_UPDATE],
  ["indexCreation", TaskType.INDEX_CREATION],
  ["indexDeletion", TaskType.INDEX_DELETION],
  ["indexUpdate", TaskType.INDEX_UPDATE],
  ["indexSwap", TaskType.INDEX_SWAP],
  ["taskCancelation", TaskType.TASK_CANCELATION],
  ["taskDeletion", TaskType.TASK_DELETION],
  ["dumpCreation", TaskType.DUMP_CREATION],
  ["snapshotCreation", TaskType.SNAPSHOT_CREATION],
  ["export", TaskType.EXPORT],
  ["upgradeDatabase", TaskType.UPGRADE_DATABASE],
  ["indexCompaction", TaskType.INDEX_COMPACTION],
  ["networkTopologyChange", undefined],
  ["dsrUpdate", undefined],
  ["dsrClear", undefined],
]);

const STATUS_NAMES = new Map([...STATUSES].map(([name, status]) => [status, name]));
const TYPE_NAMES = new Map([...TYPES].map(([name, type]) => [type, name]));

/** A status as the API prints it. */
export function statusName(status: TaskStatus): string {
  return STATUS_NAMES.get(status) ?? "enqueued";
}

/** A type as the API prints it. */
export function typeName(type: TaskType): string {
  return TYPE_NAMES.get(type) ?? "documentAdditionOrUpdate";
}
