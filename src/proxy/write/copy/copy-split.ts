import { ShardCopyStep } from "../../../gen/miroir/v1/topology_pb.js";
import { decodeString, findMember } from "../../../json/members.js";
import { OWN_TASK_UID } from "../../../meilisearch/task-metadata.js";
import { shardCondition } from "../../../merge/shard-filter.js";
import { parseShardCode, SHARD_FIELD, shardCode } from "../../../placement/injected-fields.js";
import { familyShards } from "../../../placement/shard-family.js";
import type { CopyStep } from "../../topology/topology-view.js";
import { type CopyRun, CopyWaitsError } from "./copy-run.js";
import { asLines, listShard } from "./node-documents.js";
import { waitUntilDone } from "./node-queue.js";

/** Documents that are given their code with one request. */
const CHUNK = 5_000;

/** Takes the next step of cutting an index into more shards; cleaning takes a cancelled one back. */
export async function takeSplitStep(step: CopyStep, run: CopyRun): Promise<void> {
  if (step === "planned") return beginSplit(run);
  if (step === "copying" || step === "cleaning") await rewriteCodes(run);
  // In the lane, so that no write is on its way under the shards of before.
  await run.inLane(() => run.advance(step === "copying" ? "switched" : undefined));
}

/**
 * From `planned`: from the new generation on, documents are written with the codes of more shards, and readers filter by whole families. The
 * generation grows by two, so that no reader who filters by old codes alone finds the index.
 */
async function beginSplit(run: CopyRun): Promise<void> {
  const refusal = await run.inLane(async (writer) => {
    const to = ShardCopyStep.COPYING;
    const refused = await writer.stepCopy({ copyId: run.copyId, to, joiners: new Map(), by: 2n });
    // So that the next write in the lane is given new codes.
    if (refused === undefined) await run.caughtUp();
    return refused;
  });
  if (refusal !== undefined) throw refusal;
}

/**
 * Gives every document the code of its shard, whichever it bears: a function of its key alone, so that no other write can make it
 * wrong, and writes of documents bring the right one. Ends once no replica has another one.
 */
async function rewriteCodes(run: CopyRun): Promise<void> {
  // Behind this turn, every write brings new codes; what was sent before it is done before anything is looked at.
  await run.inLane(async () => undefined);
  run.progress.documentsTotal = 0;
  for (;;) {
    const wrong = await rewriteOnce(run);
    run.progress.documentsLeft = wrong;
    await run.progress.report();
    if (wrong === 0) return;
  }
}

/** One look at all replicas; gives how many wrong codes there were. */
async function rewriteOnce(run: CopyRun): Promise<number> {
  const { index } = run.look();
  const members = [...index.replicas].flatMap(([nodeId, state]) => (state === "stale" ? [] : [nodeId]));
  await Promise.all(
    members.map((nodeId) => waitUntilDone(run.core.context, run.node(nodeId), () => run.look())),
  );
  const { primaryKey } = index;
  if (primaryKey === undefined) return 0;
  let wrong = 0;
  for (const [shard, serving] of index.placement.entries()) {
    const lines = new Map<string, Buffer>();
    for (const nodeId of serving) {
      if (!members.includes(nodeId)) continue;
      for (const [id, line] of await wrongCodes(run, nodeId, shard, primaryKey)) lines.set(id, line);
    }
    wrong += lines.size;
    const all = [...lines.values()];
    for (let at = 0; at < all.length; at += CHUNK) {
      await send(run, shard, primaryKey, all.slice(at, at + CHUNK));
    }
  }
  return wrong;
}

/** By id: what gives a document of a node the right code, where it bears another one. */
async function wrongCodes(
  run: CopyRun,
  nodeId: string,
  shard: number,
  primaryKey: string,
): Promise<ReadonlyMap<string, Buffer>> {
  const { index } = run.look();
  const filter = shardCondition(familyShards([shard], index.shards, index.familyShards));
  const documents = await listShard(run.documentsOn(nodeId), filter, primaryKey, [SHARD_FIELD]);
  const lines = new Map<string, Buffer>();
  for (const [id, document] of documents) {
    const right = run.hasher.shardOf(id, index.codeShards);
    const code = findMember(document, SHARD_FIELD);
    const key = findMember(document, primaryKey);
    if (code === undefined || key === undefined) continue;
    if (parseShardCode(decodeString(document, code.valueStart, code.valueEnd)) === right) continue;
    const value = document.toString("utf8", key.valueStart, key.valueEnd);
    lines.set(
      id,
      Buffer.from(`{${JSON.stringify(primaryKey)}:${value},"${SHARD_FIELD}":"${shardCode(right)}"}`),
    );
  }
  return lines;
}

async function send(
  run: CopyRun,
  shard: number,
  primaryKey: string,
  lines: readonly Buffer[],
): Promise<void> {
  const body = asLines(lines);
  const query = new URLSearchParams({ primaryKey, skipCreation: "true" });
  const sent = await run.inLane((writer) =>
    writer.send({
      taskUid: OWN_TASK_UID,
      taskType: "split",
      touched: [shard],
      kind: "document",
      request: (_, name, metadata) => ({
        method: "PUT",
        path: `/indexes/${name}/documents?${query}&customMetadata=${encodeURIComponent(metadata)}`,
        contentType: "application/x-ndjson",
        body,
      }),
    }),
  );
  if (sent.kind !== "accepted")
    throw new CopyWaitsError(`shard ${shard} did not take new codes: ${sent.kind}`);
  run.progress.documentsTotal += lines.length;
  run.progress.documentsCopied += lines.length;
  run.progress.bytesCopied += body.length;
  const { maxDocumentsPerSecond } = run.look().copy;
  if (maxDocumentsPerSecond === 0) return;
  const { world, closed } = run.core.context;
  await world.timers.sleep((lines.length * 1_000) / maxDocumentsPerSecond, closed);
}
