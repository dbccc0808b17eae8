import { ShardCopyStep } from "../../../gen/miroir/v1/topology_pb.js";
import { MeilisearchError } from "../../../meilisearch/errors.js";
import { OWN_TASK_UID } from "../../../meilisearch/task-metadata.js";
import { NodeUnavailableError } from "../../../meilisearch/transport.js";
import { SHARD_FIELD, shardCode } from "../../../placement/injected-fields.js";
import { physicalName } from "../../../placement/physical-name.js";
import type { OpenSettings } from "../open-settings.js";
import { generationOnNode } from "../physical-generation.js";
import { fillUnits, TargetLostError } from "./copy-fill.js";
import { awaitSuccess, perform, prepareTarget } from "./copy-prepare.js";
import { type CopyRun, type CopyState, CopyTaskFailedError, CopyWaitsError } from "./copy-run.js";
import { unitsToFill, unitsToVerify } from "./fill-plan.js";
import { waitUntilDone } from "./node-queue.js";

/** How long after a change of settings no target joins: the topology may not tell of the change yet. Milliseconds. */
const QUIET_MS = 3_000;

/** From `planned`: targets are made ready and join, so that they receive every write from then on. */
export async function begin(run: CopyRun, openSettings: OpenSettings): Promise<void> {
  const { copy } = run.look();
  if (copy.repairs.length === 0 && copy.moves.every(({ to }) => to === undefined)) {
    await run.inLane(() => run.advance("switched"));
    return;
  }
  const prepared = new Map<string, bigint>();
  for (const nodeId of joinersOf(run.look())) prepared.set(nodeId, await prepareTarget(run, nodeId));
  const { settingsVersion } = run.look().index;
  const refusal = await run.inLane(async (writer, standing, state) => {
    const { index } = state;
    const isChanging =
      index.settingsChanging ||
      openSettings.whenDone(run.instance) !== undefined ||
      openSettings.quietFor(run.instance) < QUIET_MS;
    if (isChanging || index.settingsVersion !== settingsVersion) {
      throw new CopyWaitsError("the index's settings are being changed");
    }
    const joiners = joinersOf(state);
    if (joiners.some((nodeId) => !prepared.has(nodeId))) throw new CopyWaitsError("another node is to join");
    return writer.stepCopy({
      copyId: run.copyId,
      to: ShardCopyStep.COPYING,
      joiners: new Map([...prepared].filter(([nodeId]) => !standing.members.has(nodeId))),
      by: 1n,
    });
  });
  if (refusal !== undefined) throw new CopyWaitsError(refusal.message, { cause: refusal });
}

/** Targets that are no members yet: they hold no index, or one that missed writes. */
function joinersOf({ index, copy }: CopyState): readonly string[] {
  const targets = new Set([...copy.moves.flatMap(({ to }) => to ?? []), ...copy.repairs]);
  return [...targets].filter((nodeId) => (index.replicas.get(nodeId) ?? "stale") === "stale");
}

/** From `copying`: targets are made equal to their sources, and serve from then on. */
export async function fill(run: CopyRun): Promise<void> {
  const state = run.look();
  const { units, sourceless } = unitsToFill(state);
  if (sourceless.length > 0) {
    throw new CopyWaitsError(`no copy in sync to fill shards ${sourceless.join(", ")} from`);
  }
  try {
    for (const [nodeId, health] of state.index.replicas) {
      if (health !== "joining") continue;
      const held = [...(state.index.heldByNode.get(nodeId) ?? [])];
      await deleteFromTarget(run, nodeId, `${SHARD_FIELD} NOT IN ${listOf(held)}`);
    }
    await fillUnits(run, units, () => run.advance("switched"));
  } catch (error) {
    if (!(error instanceof TargetLostError)) throw error;
    await run.inLane((writer) => writer.shed(error.nodeId));
    throw error;
  }
}

/** From `switched`: what is to go is compared with what replaces it, and gets a name that no reader knows. */
export async function verifyAndDrop(run: CopyRun): Promise<void> {
  const units = unitsToVerify(run.look());
  if (units.length > 0) await fillUnits(run, units, async () => undefined);
  if (leavingNodes(run.look()).length === 0) {
    await run.advance(undefined);
    return;
  }
  await run.advance("switched", true);
  const refusal = await run.inLane((writer) =>
    writer.stepCopy({ copyId: run.copyId, to: ShardCopyStep.DROPPING, joiners: new Map(), by: 2n }),
  );
  if (refusal !== undefined) throw refusal;
}

/** From `dropping`: once nobody finds what is to go under a name that a reader knows, it receives no more writes. */
export async function stopWrites(run: CopyRun): Promise<void> {
  const state = run.look();
  await Promise.all(
    leavingNodes(state).map(async (nodeId) => {
      const node = run.node(nodeId);
      if (node.state === "unreachable") return;
      await waitUntilDone(run.core.context, node, () => run.look());
    }),
  );
  await run.inLane(() => run.advance("cleaning"));
}

function leavingNodes({ index, view }: CopyState): readonly string[] {
  return [...new Set(index.leaving.flat())].filter((nodeId) => view.nodes.has(nodeId));
}

/** From `cleaning`: deletes what is left, and ends the copy. */
export async function clean(run: CopyRun): Promise<void> {
  const { index, copy, view } = run.look();
  const leftovers = new Map<string, number[]>();
  index.leftover.forEach((nodeIds, shard) => {
    for (const nodeId of nodeIds) leftovers.set(nodeId, [...(leftovers.get(nodeId) ?? []), shard]);
  });
  for (const [nodeId, shards] of leftovers)
    await deleteOn(run, nodeId, `${SHARD_FIELD} IN ${listOf(shards)}`);
  for (const nodeId of new Set(copy.moves.flatMap(({ from, to }) => [from, to]))) {
    if (nodeId === undefined || index.replicas.has(nodeId) || !view.nodes.has(nodeId)) continue;
    await deletePhysical(run, nodeId);
  }
  await run.advance(undefined);
}

function listOf(shards: readonly number[]): string {
  return `[${shards.map((shard) => `"${shardCode(shard)}"`).join(", ")}]`;
}

/**
 * As {@link deleteOn}, of a node that joins.
 *
 * @throws TargetLostError where it does not bear the name that it was to be given
 */
async function deleteFromTarget(run: CopyRun, nodeId: string, filter: string): Promise<void> {
  try {
    await deleteOn(run, nodeId, filter);
  } catch (error) {
    if (!(error instanceof CopyTaskFailedError) || error.code !== "index_not_found") throw error;
    throw new TargetLostError(nodeId, { cause: error });
  }
}

/** Deletes documents on one node, as a write of the index's own; waits until they are gone. */
async function deleteOn(run: CopyRun, nodeId: string, filter: string): Promise<void> {
  const node = run.node(nodeId);
  // A node that misses it goes stale: it is asked beforehand whether it answers.
  await run.core.context.calls.client(node.writeAddress).health();
  const sent = await run.inLane((writer) =>
    writer.send({
      taskUid: OWN_TASK_UID,
      taskType: "copyCleaning",
      touched: "all",
      only: new Set([nodeId]),
      kind: "document",
      request: (_, name, metadata) => ({
        method: "POST",
        path: `/indexes/${name}/documents/delete?customMetadata=${encodeURIComponent(metadata)}`,
        contentType: "application/json",
        body: JSON.stringify({ filter }),
      }),
    }),
  );
  const uid = sent.kind === "accepted" ? sent.nodeTasks[0]?.nodeTaskUid : undefined;
  if (uid === undefined) throw new CopyWaitsError(`node ${nodeId} did not take a deletion: ${sent.kind}`);
  await awaitSuccess(run, node, uid, "deletion of documents", run.core.context.closed);
}

/** Deletes what a node without a replica still holds of the index; a silent one is cleaned up after its return. */
async function deletePhysical(run: CopyRun, nodeId: string): Promise<void> {
  const node = run.node(nodeId);
  const { context } = run.core;
  try {
    const generation = await generationOnNode(context, node, run.instance);
    if (generation === undefined || run.look().index.replicas.has(nodeId)) return;
    const path = `/indexes/${physicalName(run.instance, generation)}`;
    await perform(run, node, "indexDeletion", { method: "DELETE", path });
  } catch (error) {
    const isNodes = error instanceof NodeUnavailableError || error instanceof MeilisearchError;
    if (!isNodes && !(error instanceof CopyWaitsError)) throw error;
    context.logger.warn({ err: error, node: nodeId }, "a physical index that is not needed stays for now");
  }
}
