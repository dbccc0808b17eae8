import type { NodeTaskRecord } from "../../meilisearch/node-client.js";
import { nodeTimeMs } from "../../meilisearch/node-time.js";
import { parseTaskMetadata } from "../../meilisearch/task-metadata.js";
import {
  type NodeId,
  type NodeTaskUpdate,
  nodeTaskUid,
  type TaskErrorRow,
  taskUid,
} from "../../store/task-store.js";
import { errorRow } from "./node-log.js";

/** What a node's log says about one of its tasks, for the store. */
export function updateOf(nodeId: NodeId, record: NodeTaskRecord): NodeTaskUpdate {
  const metadata = parseTaskMetadata(record.customMetadata);
  return {
    nodeId,
    nodeTaskUid: nodeTaskUid(record.uid),
    ...(metadata === undefined ? {} : { taskUid: taskUid(metadata.taskUid) }),
    status: record.status,
    error: errorRow(record.error),
    detailsJson: record.details ? JSON.stringify(record.details) : null,
    startedAt: nodeTimeMs(record.startedAt),
    finishedAt: nodeTimeMs(record.finishedAt),
  };
}

/** A node task that will never finish, failed for a reason. */
export function lostUpdate(nodeId: NodeId, uid: number, message: string): NodeTaskUpdate {
  const error: TaskErrorRow = {
    message,
    code: "internal",
    type: "internal",
    link: "https://docs.meilisearch.com/errors#internal",
  };
  return {
    nodeId,
    nodeTaskUid: nodeTaskUid(uid),
    status: "failed",
    error,
    detailsJson: null,
    startedAt: null,
    finishedAt: null,
  };
}
