import { findMember } from "../../json/members.js";
import { formatTaskMetadata } from "../../meilisearch/task-metadata.js";
import type { NodeRequest } from "../../meilisearch/transport.js";
import { NodeUnavailableError } from "../../meilisearch/transport.js";
import { SEQUENCE_FIELD } from "../../placement/injected-fields.js";
import { physicalName } from "../../placement/physical-name.js";
import type { NodeView } from "../topology/topology-view.js";
import { asLines, type DocumentsOnNode, listShard, readDocuments } from "./copy/node-documents.js";
import type { WriterContext } from "./generation-change.js";
import { reasonOf } from "./node-calls.js";
import { nodeOf, sitOutTask } from "./node-of.js";
import { inShard, type Standing } from "./standing.js";

/** Documents copied with one request. */
const CHUNK = 500;

/** Makes one replica of a shard equal to another. */
export interface Levelling {
  readonly standing: Standing;
  readonly shard: number;
  readonly primaryKey: string;
  readonly from: string;
  readonly to: string;
  /** The interrupted write's task, which the copies carry in their metadata. */
  readonly taskUid: bigint;
  readonly nextSequence: () => number;
}

/**
 * Gives the replica `to` of a shard the documents that `from` holds in another version, as bytes, and takes from it those that `from` does not
 * hold. Waits until the node has done so. Only for a writer that has fenced the index and takes no writes meanwhile.
 *
 * @throws NodeUnavailableError where a node gives no answer; a request may then come late, so that only a new fence makes a further attempt safe
 */
export async function levelShard(context: WriterContext, levelling: Levelling): Promise<void> {
  const { standing, from, to, shard } = levelling;
  const source = requireNode(context, from);
  const target = requireNode(context, to);
  const wanted = await versions(context, levelling, source);
  const held = await versions(context, levelling, target);
  const surplus = [...held.keys()].filter((id) => !wanted.has(id));
  const different = [...wanted].filter(([id, version]) => held.get(id) !== version).map(([id]) => id);
  context.logger.warn(
    { index: standing.uid, shard, from, to, copied: different.length, deleted: surplus.length },
    "levelling a replica after an interrupted write",
  );
  const path = `/indexes/${physicalName(standing.instance, standing.generation)}/documents`;
  for (let at = 0; at < different.length; at += CHUNK) {
    const ids = different.slice(at, at + CHUNK);
    const documents = await readDocuments(documentsOn(context, levelling, source), ids, levelling.primaryKey);
    await send(context, levelling, target, {
      method: "POST",
      path: `${path}?primaryKey=${encodeURIComponent(levelling.primaryKey)}`,
      contentType: "application/x-ndjson",
      body: asLines([...documents.values()]),
    });
  }
  if (surplus.length === 0) return;
  await send(context, levelling, target, {
    method: "POST",
    path: `${path}/delete-batch?`,
    contentType: "application/json",
    body: JSON.stringify(surplus),
  });
}

/** By document id: the sequence of the write that made its version. */
async function versions(
  context: WriterContext,
  levelling: Levelling,
  node: NodeView,
): Promise<ReadonlyMap<string, string>> {
  const { standing, shard, primaryKey } = levelling;
  const on = documentsOn(context, levelling, node);
  const documents = await listShard(on, inShard(standing, shard), primaryKey, [SEQUENCE_FIELD]);
  const result = new Map<string, string>();
  for (const [id, document] of documents) {
    const sequence = findMember(document, SEQUENCE_FIELD);
    if (sequence === undefined) continue;
    result.set(id, document.toString("latin1", sequence.valueStart, sequence.valueEnd));
  }
  return result;
}

function documentsOn({ calls }: WriterContext, { standing }: Levelling, node: NodeView): DocumentsOnNode {
  return { calls, node, physicalName: physicalName(standing.instance, standing.generation) };
}

async function send(
  context: WriterContext,
  levelling: Levelling,
  node: NodeView,
  request: NodeRequest,
): Promise<void> {
  const metadata = formatTaskMetadata({
    session: context.lease.session,
    sequence: levelling.nextSequence(),
    previous: 0,
    taskUid: Number(levelling.taskUid),
  });
  const path = `${request.path}${request.path.endsWith("?") ? "" : "&"}customMetadata=${encodeURIComponent(metadata)}`;
  const outcome = await context.calls.enqueue(node.writeAddress, "level", { ...request, path });
  if (outcome.kind !== "accepted") {
    throw new NodeUnavailableError(node.id, "unknown", `a copy was not taken: ${reasonOf(outcome)}`);
  }
  await sitOutTask(context, node.id, outcome.nodeTaskUid);
}

function requireNode(context: WriterContext, nodeId: string): NodeView {
  const node = nodeOf(context, nodeId);
  if (node === undefined) throw new Error(`node ${nodeId} is not in the topology`);
  return node;
}
