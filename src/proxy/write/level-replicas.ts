import { arrayElements, findMember, objectMembers } from "../../json/members.js";
import { formatTaskMetadata } from "../../meilisearch/task-metadata.js";
import type { NodeRequest } from "../../meilisearch/transport.js";
import { NodeUnavailableError } from "../../meilisearch/transport.js";
import { SEQUENCE_FIELD, SHARD_FIELD, shardCode } from "../../placement/injected-fields.js";
import { physicalName } from "../../placement/physical-name.js";
import type { NodeView } from "../topology/topology-view.js";
import { documentId } from "./document-key.js";
import type { WriterContext } from "./generation-change.js";
import { reasonOf } from "./node-calls.js";
import type { Standing } from "./standing.js";

/** Documents of one shard that are compared at most. */
const MAX_DOCUMENTS = 1_000_000;
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
  const source = nodeOf(standing, from);
  const target = nodeOf(standing, to);
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
    const documents = await fetchDocuments(context, levelling, source, {
      ids: different.slice(at, at + CHUNK),
      retrieveVectors: true,
      limit: CHUNK,
    });
    await send(context, levelling, target, {
      method: "POST",
      path: `${path}?primaryKey=${encodeURIComponent(levelling.primaryKey)}`,
      contentType: "application/x-ndjson",
      body: Buffer.concat(documents.flatMap((document) => [document, Buffer.from("\n")])),
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
  const documents = await fetchDocuments(context, levelling, node, {
    filter: [`${SHARD_FIELD} = "${shardCode(levelling.shard)}"`],
    fields: [levelling.primaryKey, SEQUENCE_FIELD],
    limit: MAX_DOCUMENTS,
  });
  const result = new Map<string, string>();
  for (const document of documents) {
    const found = documentId(document, objectMembers(document), levelling.primaryKey);
    const sequence = findMember(document, SEQUENCE_FIELD);
    if (!("id" in found) || sequence === undefined) continue;
    result.set(found.id, document.toString("latin1", sequence.valueStart, sequence.valueEnd));
  }
  return result;
}

async function fetchDocuments(
  context: WriterContext,
  { standing }: Levelling,
  node: NodeView,
  query: Readonly<Record<string, unknown>>,
): Promise<readonly Buffer[]> {
  const answer = await context.calls.read(node.writeAddress, {
    method: "POST",
    path: `/indexes/${physicalName(standing.instance, standing.generation)}/documents/fetch`,
    contentType: "application/json",
    body: JSON.stringify(query),
  });
  const results = findMember(answer, "results");
  if (results === undefined) return [];
  return arrayElements(answer, results.valueStart).map(({ start, end }) => answer.subarray(start, end));
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
  await context.calls.waitForTask(node.writeAddress, outcome.nodeTaskUid, context.closed);
}

function nodeOf(standing: Standing, nodeId: string): NodeView {
  const node = standing.nodes.get(nodeId);
  if (node === undefined) throw new Error(`node ${nodeId} is not in the topology`);
  return node;
}
