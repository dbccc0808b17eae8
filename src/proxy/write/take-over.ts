import { createHash } from "node:crypto";
import { MeilisearchError } from "../../meilisearch/errors.js";
import { OWN_TASK_UID, parseTaskMetadata } from "../../meilisearch/task-metadata.js";
import { NodeUnavailableError } from "../../meilisearch/transport.js";
import { SEQUENCE_FIELD } from "../../placement/injected-fields.js";
import { physicalName } from "../../placement/physical-name.js";
import { ControlRefusedError, ControlUnavailableError } from "../control-transport.js";
import type { NodeView } from "../topology/topology-view.js";
import {
  changeGeneration,
  commitOnce,
  type GenerationOutcome,
  isRecorded,
  type WriterContext,
} from "./generation-change.js";
import { levelShard } from "./level-replicas.js";
import { nodeOf } from "./node-of.js";
import { generationOnNode } from "./physical-generation.js";
import { allShards, difference, inShard, keepers, losable, type Standing, withoutNodes } from "./standing.js";

/** Documents of one shard that are compared at most; more count as different. */
const MAX_COMPARED_DOCUMENTS = 1_000_000;

/** The replicas contradict each other, none of them may go stale, and they could not be made equal; an operator has to decide. */
export class DivergedReplicasError extends Error {
  override readonly name = "DivergedReplicasError";
}

/** The writer that the index is to be taken from may hold a write lease yet. */
export class WriterAliveError extends Error {
  override readonly name = "WriterAliveError";
}

/**
 * Takes an index over from another writer (invariant 7). Records the next generation with this proxy as writer first: of several
 * that try, one gets it, and from then on no other can record anything. Then renames the index to that generation on every member,
 * from whatever lower one it stands at there, which fences the former writers' late requests; waits until it is done, and with it all that
 * came before; and compares what an interrupted write left on replicas that share shards. Replicas that miss such a write, or
 * do not answer, go stale by a further generation, as long as no shard loses its last copy; else they are made equal to their peers, so that
 * what a reader may have seen of the write stays; and where that fails, those that have it go stale instead.
 *
 * @param nextSequence numbers of this session's writes
 *
 * @throws WriterAliveError with nothing changed
 * @throws DivergedReplicasError
 */
export async function takeOver(
  context: WriterContext,
  standing: Standing,
  nextSequence: () => number,
): Promise<GenerationOutcome> {
  const generation = standing.generation + 1n;
  context.logger.info(
    { index: standing.uid, instance: standing.instance, generation: String(generation) },
    "taking an index over from another writer",
  );
  const refusal = await commitOnce(context, standing, generation, new Set(), "take-over");
  if (refusal instanceof ControlUnavailableError) throw refusal;
  if (refusal?.code === "failed_precondition")
    throw new WriterAliveError(refusal.message, { cause: refusal });
  if (refusal !== undefined && !(await isRecorded(context, standing.instance, generation))) {
    return { kind: "lost", cause: refusal };
  }
  context.metrics.generationChanged("take-over");
  const owned = withoutNodes(standing, generation, new Set());
  const silent = await fenceAll(context, owned);
  if (silent === "superseded") {
    return { kind: "lost", cause: new Error("another writer has recorded a later generation") };
  }
  const fenced = withoutNodes(owned, generation, silent);
  const behind = await replicasBehind(context, fenced, nextSequence);
  const odd = losable(
    fenced,
    [...behind, ...fenced.suspects].filter((nodeId) => fenced.members.has(nodeId)),
  );
  const stale = new Set([...silent, ...odd]);
  if (stale.size === 0) return { kind: "committed", standing: owned, lost: stale, renames: new Map() };
  return changeGeneration(context, { standing: owned, stale, why: "take-over" });
}

/**
 * Records this proxy as the first writer of an index that never had one; nothing is renamed, for nobody can have written.
 *
 * @returns the error where the control plane refused or did not answer
 */
export function claimFresh(context: WriterContext, standing: Standing) {
  return commitOnce(context, standing, standing.generation, new Set(), "first writer");
}

/** Renames the index on every member; gives those that do not answer and can be spared. */
async function fenceAll(
  context: WriterContext,
  standing: Standing,
): Promise<ReadonlySet<string> | "superseded"> {
  const { world, config, closed } = context;
  const lost = new Set<string>();
  const silentSince = new Map<string, number>();
  const open = new Set(standing.members);
  for (;;) {
    closed.throwIfAborted();
    const results = await Promise.all(
      [...open].map(async (nodeId) => [nodeId, await fenceStep(context, standing, nodeId)] as const),
    );
    const now = world.clock.monotonic();
    for (const [nodeId, result] of results) {
      if (result === "superseded") return result;
      if (result === "fenced") open.delete(nodeId);
      if (result !== "silent") silentSince.delete(nodeId);
      else if (!silentSince.has(nodeId)) silentSince.set(nodeId, now);
    }
    const spare = losable(standing, [...lost, ...silentSince.keys()]);
    for (const [nodeId, since] of silentSince) {
      if (!spare.has(nodeId) || now - since < config.settleHoldMs / 2) continue;
      lost.add(nodeId);
      open.delete(nodeId);
      silentSince.delete(nodeId);
    }
    if (open.size === 0) return lost;
    await world.timers.sleep(Math.min(config.settleRetryMs, 100), closed);
  }
}

/**
 * One step towards a node that holds the index under the recorded name: `fenced` once it does, `busy` while it works on it, `silent` where
 * it does not answer or has lost the index, `superseded` where the index bears a later name than this writer's.
 */
async function fenceStep(
  context: WriterContext,
  standing: Standing,
  nodeId: string,
): Promise<"fenced" | "busy" | "silent" | "superseded"> {
  const { calls, config, closed } = context;
  const node = nodeOf(context, nodeId);
  if (node === undefined) return "silent";
  try {
    const found = await generationOnNode(context, node, standing.instance);
    if (found === undefined) return (await isCreating(context, node)) ? "busy" : "silent";
    if (found === standing.generation) return "fenced";
    if (found > standing.generation) return "superseded";
    const from = physicalName(standing.instance, found);
    const outcome = await calls.rename(
      node.adminAddress,
      from,
      physicalName(standing.instance, standing.generation),
    );
    if (outcome.kind !== "accepted") return "silent";
    await calls.waitForTask(node.adminAddress, outcome.nodeTaskUid, closed, config.settleHoldMs / 2);
    return "busy";
  } catch (error) {
    if (error instanceof NodeUnavailableError || error instanceof MeilisearchError) return "silent";
    throw error;
  }
}

/** Whether an index that is not there may still come: its creation waits in the node's queue. */
async function isCreating(context: WriterContext, node: NodeView): Promise<boolean> {
  const page = await context.calls
    .client(node.adminAddress)
    .tasks({ types: "indexCreation", statuses: "enqueued,processing", limit: 1 });
  return page.total > 0;
}

interface Interrupted {
  readonly taskUid: bigint;
  readonly holders: ReadonlySet<string>;
}

/**
 * Members that miss an interrupted write although they hold shards that it touched. A writer sends one write after another and settles each
 * before the next, so that only the last one of a session can be incomplete, unless its proxy registered it. Whether such a write is missing somewhere shows in the documents of the shards.
 */
async function replicasBehind(
  context: WriterContext,
  standing: Standing,
  nextSequence: () => number,
): Promise<ReadonlySet<string>> {
  const interrupted = await interruptedWrites(context, standing);
  const behind = new Set<string>();
  const ahead = new Set<string>();
  const differences: Difference[] = [];
  for (const shard of allShards(standing)) {
    const kept = keepers(standing, shard);
    const trusted = kept.filter((nodeId) => !standing.suspects.has(nodeId));
    // Suspect ones go where they can be spared; what they lack says nothing against the others.
    const members = trusted.length > 0 ? trusted : kept;
    const isDoubtful = interrupted.some(
      ({ holders }) => members.some((id) => holders.has(id)) && members.some((id) => !holders.has(id)),
    );
    if (!isDoubtful) continue;
    const held = (nodeId: string) => interrupted.filter(({ holders }) => holders.has(nodeId)).length;
    const longest = members.reduce((best, nodeId) => (held(nodeId) > held(best) ? nodeId : best));
    const wanted = await shardDigest(context, standing, longest, shard);
    for (const nodeId of members) {
      if (nodeId === longest || (await shardDigest(context, standing, nodeId, shard)) === wanted) continue;
      behind.add(nodeId);
      ahead.add(longest);
      differences.push({ shard, from: longest, to: nodeId });
    }
  }
  if (behind.size === 0) return behind;
  const tasks = interrupted.map(({ taskUid }) => String(taskUid));
  context.logger.warn(
    { index: standing.uid, behind: [...behind], ahead: [...ahead], tasks },
    "an interrupted write is on some replicas only",
  );
  if (losable(standing, behind).size === behind.size) return behind;
  // Readers may have seen the write where it is, so that it stays where it can.
  const taskUid = interrupted[0]?.taskUid ?? 0n;
  const unequal = await levelAll(context, standing, differences, taskUid, nextSequence);
  if (unequal === undefined) return new Set();
  if (losable(standing, ahead).size === ahead.size) return ahead;
  const { shard, from, to } = unequal;
  throw new DivergedReplicasError(
    `replicas of shard ${shard} of index ${standing.uid} differ on nodes ${from} and ${to} after an interrupted write (task ${tasks.join(", ")}), each holds the last copy of some shard, and they could not be made equal`,
  );
}

/** A shard of which one replica has what another one lacks. */
interface Difference {
  readonly shard: number;
  readonly from: string;
  readonly to: string;
}

/** Makes replicas equal; gives the first difference that is left. */
async function levelAll(
  context: WriterContext,
  standing: Standing,
  differences: readonly Difference[],
  taskUid: bigint,
  nextSequence: () => number,
): Promise<Difference | undefined> {
  const { primaryKey } = standing;
  for (const difference of differences) {
    if (primaryKey === undefined) return difference;
    await levelShard(context, { ...difference, standing, primaryKey, taskUid, nextSequence });
  }
  for (const difference of differences) {
    const { shard, from, to } = difference;
    const wanted = await shardDigest(context, standing, from, shard);
    if ((await shardDigest(context, standing, to, shard)) !== wanted) return difference;
  }
  return undefined;
}

/** The last write of each session that is not on every member, unless its proxy is known to have seen it accepted. */
async function interruptedWrites(
  context: WriterContext,
  standing: Standing,
): Promise<readonly Interrupted[]> {
  const name = physicalName(standing.instance, standing.generation);
  const last = new Map<
    string,
    { readonly sequence: number; readonly taskUid: bigint; readonly holders: Set<string> }
  >();
  await Promise.all(
    [...difference(standing.members, standing.joiners)].map(async (nodeId) => {
      const page = await patiently(context, standing, nodeId, (node) =>
        context.calls
          .client(node.writeAddress)
          .tasks({ indexUids: name, limit: context.config.takeOverTail }),
      );
      for (const task of page.results) {
        const entry = parseTaskMetadata(task.customMetadata);
        if (entry === undefined) continue;
        const known = last.get(entry.session);
        if (known !== undefined && known.sequence > entry.sequence) continue;
        if (known?.sequence === entry.sequence) known.holders.add(nodeId);
        else {
          const { sequence, taskUid } = entry;
          last.set(entry.session, { sequence, taskUid: BigInt(taskUid), holders: new Set([nodeId]) });
        }
      }
    }),
  );
  const interrupted: Interrupted[] = [];
  for (const { taskUid, holders } of last.values()) {
    // What the writer does on its own account goes to one replica alone.
    if (taskUid === OWN_TASK_UID) continue;
    if (holders.size < standing.members.size && !(await wasAccepted(context, taskUid))) {
      interrupted.push({ taskUid, holders });
    }
  }
  return interrupted;
}

/**
 * Whether the write's own proxy registered its task, which it does once every replica took the write: such a task says which shards went to
 * which node. One that the control plane put together from the nodes' logs does not, and proves nothing.
 */
async function wasAccepted(context: WriterContext, taskUid: bigint): Promise<boolean> {
  try {
    const { task } = await context.control.getTask(
      { uid: taskUid },
      { timeoutMs: context.config.controlTimeoutMs },
    );
    if (task === undefined) return false;
    return (
      Object.keys(task.documentsByShard).length > 0 || task.nodeTasks.some(({ shards }) => shards.length > 0)
    );
  } catch (error) {
    if (error instanceof ControlRefusedError && error.code === "not_found") return false;
    throw error;
  }
}

/** Says the same for two replicas of a shard exactly when they hold the same versions of the same documents. */
async function shardDigest(
  context: WriterContext,
  standing: Standing,
  nodeId: string,
  shard: number,
): Promise<string> {
  const path = `/indexes/${physicalName(standing.instance, standing.generation)}/documents/fetch`;
  const body = JSON.stringify({
    filter: [inShard(standing, shard)],
    fields: [SEQUENCE_FIELD],
    limit: MAX_COMPARED_DOCUMENTS,
  });
  const answer = (await patiently(context, standing, nodeId, (node) =>
    context.calls
      .client(node.writeAddress)
      .json({ method: "POST", path, contentType: "application/json", body }),
  )) as { readonly total: number; readonly results: readonly Record<string, unknown>[] };
  const sequences = answer.results.map((document) => String(document[SEQUENCE_FIELD])).sort();
  return `${answer.total}:${createHash("sha256").update(sequences.join("\n")).digest("hex")}`;
}

/**
 * Asks a node, which answered a moment ago, until it does again. Rejects once it has been silent for a while: the take-over
 * then begins anew and goes without it, if it can.
 */
async function patiently<T>(
  context: WriterContext,
  standing: Standing,
  nodeId: string,
  ask: (node: NodeView) => Promise<T>,
): Promise<T> {
  const since = context.world.clock.monotonic();
  for (;;) {
    context.closed.throwIfAborted();
    const node = nodeOf(context, nodeId);
    if (node === undefined) throw new Error(`node ${nodeId} is not in the topology`);
    try {
      return await ask(node);
    } catch (error) {
      if (!(error instanceof NodeUnavailableError) && !(error instanceof MeilisearchError)) throw error;
      if (context.world.clock.monotonic() - since >= context.config.settleHoldMs / 2) throw error;
      context.logger.warn(
        { err: error, node: nodeId, index: standing.uid },
        "a node does not tell what it holds",
      );
    }
    await context.world.timers.sleep(context.config.settleRetryMs, context.closed);
  }
}
