import { type NodeTask, type Task, TaskStatus, TaskType } from "../../gen/miroir/v1/tasks_pb.js";
import { createDocumentSplitter } from "../../json/document-stream.js";
import { decodeString, findMember } from "../../json/members.js";
import { type NodeTransport, NodeUnavailableError } from "../../meilisearch/transport.js";
import { MAX_SHARDS, parseShardCode, SEQUENCE_FIELD, SHARD_FIELD } from "../../placement/injected-fields.js";
import { apiError } from "../http/api-errors.js";
import type { NodeView, TopologySource } from "../topology/topology-view.js";
import { withoutInjectedFields } from "./document-fetch.js";

/** Statuses of tasks whose documents nodes still keep. */
const OPEN: readonly TaskStatus[] = [TaskStatus.ENQUEUED, TaskStatus.PROCESSING];

interface TaskDocument {
  readonly sequence: string;
  /** As the client is to see it. */
  readonly bytes: Buffer;
}

/**
 * The documents of an addition that is not finished, as one Meilisearch keeps them: in the order of the request, without anything in
 * between. Each shard's are those that one of its nodes holds; what every node of a shard has indexed already is left out.
 *
 * @throws MeilisearchError 404 `task_file_not_found` where no documents are left
 */
export async function readTaskDocuments(
  transport: NodeTransport,
  topology: TopologySource,
  task: Task,
  signal: AbortSignal,
): Promise<Buffer> {
  const isOpenAddition = task.type === TaskType.DOCUMENT_ADDITION_OR_UPDATE && OPEN.includes(task.status);
  const wanted = new Set(isOpenAddition ? task.nodeTasks.flatMap(({ shards }) => shards) : []);
  const documents: TaskDocument[] = [];
  // Those with many shards first, so that few nodes are asked.
  for (const nodeTask of [...task.nodeTasks].sort((a, b) => b.shards.length - a.shards.length)) {
    const shards = new Set(nodeTask.shards.filter((shard) => wanted.has(shard)));
    const node = topology.current()?.nodes.get(nodeTask.nodeId);
    if (shards.size === 0 || node === undefined) continue;
    const file = await documentFile(transport, node, nodeTask, signal);
    if (file === undefined) continue;
    documents.push(...documentsOf(file, shards, shardsOf(topology, task)));
    for (const shard of shards) wanted.delete(shard);
  }
  if (documents.length === 0) throw noDocuments(task.uid);
  documents.sort((a, b) => (a.sequence < b.sequence ? -1 : 1));
  return Buffer.concat(documents.map(({ bytes }) => bytes));
}

/** What a node keeps of its part; undefined where it keeps nothing any more, or does not answer. */
async function documentFile(
  transport: NodeTransport,
  node: NodeView,
  { nodeTaskUid }: NodeTask,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  try {
    const path = `/tasks/${nodeTaskUid}/documents`;
    const answer = await transport.request(node.writeAddress, { method: "GET", path, signal });
    return answer.status === 200 ? answer.body : undefined;
  } catch (error) {
    if (error instanceof NodeUnavailableError) return undefined;
    throw error;
  }
}

/** The shards of the task's index. One that is gone is not being cut into more. */
function shardsOf(topology: TopologySource, task: Task): number {
  return topology.current()?.byInstance.get(task.instance)?.shards ?? MAX_SHARDS;
}

/** @param count the shards of the index: codes may be of a multiple of them, while it is cut into more */
function documentsOf(file: Buffer, shards: ReadonlySet<number>, count: number): TaskDocument[] {
  const splitter = createDocumentSplitter({ format: "ndjson", maxDocumentBytes: file.length });
  const documents = splitter.push(file);
  splitter.end();
  return documents.flatMap(({ bytes: document }) => {
    const shard = parseShardCode(stringMember(document, SHARD_FIELD));
    if (shard === undefined || !(shards.has(shard) || shards.has(shard % count))) return [];
    return [{ sequence: stringMember(document, SEQUENCE_FIELD), bytes: withoutInjectedFields(document) }];
  });
}

function stringMember(document: Buffer, name: string): string {
  const member = findMember(document, name);
  return member === undefined ? "" : decodeString(document, member.valueStart, member.valueEnd);
}

function noDocuments(uid: bigint) {
  return apiError(
    404,
    "task_file_not_found",
    `Task \`${uid}\` does not contain any documents. Only \`documentAdditionOrUpdate\` tasks with the statuses \`enqueued\` or \`processing\` contain documents`,
  );
}
