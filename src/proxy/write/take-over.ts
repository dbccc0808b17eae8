import { createHash } from "node:crypto";
import { MeilisearchError } from "../../meilisearch/errors.js";
import { parseTaskMetadata } from "../../meilisearch/task-metadata.js";
import { NodeUnavailableError } from "../../meilisearch/transport.js";
import { SEQUENCE_FIELD, SHARD_FIELD, shardCode } from "../../placement/injected-fields.js";
import { parsePhysicalName, physicalName } from "../../placement/physical-name.js";
import { ControlRefusedError } from "../control-transport.js";
import type { NodeView } from "../topology/topology-view.js";
import {
  changeGeneration,
  commitOnce,
  type GenerationOutcome,
  MAX_CHANGE_STEPS,
  type WriterContext,
} from "./generation-change.js";
import { difference, losable, type Standing, withoutNodes } from "./standing.js";

/** Spread of the generations among which a take-over chooses its own, so that two never choose the same. */
const TAKE_OVER_SPREAD = 1_000;
/** Documents of one shard that are compared at most; more count as different. */
const MAX_COMPARED_DOCUMENTS = 1_000_000;
const PAGE = 1_000;

/** The replicas contradict each other and none of them may go stale; an operator has to decide. */
export class DivergedReplicasError extends Error {
  override readonly name = "DivergedReplicasError";
}

/**
 * Takes an index over from another writer (invariant 7): renames it on every member, which fences the former writer's late
 * requests; waits until those renames, and with them all that came before, are done; compares what the former writer's last write
 * left on replicas that share shards; and records the new generation with this proxy as writer. Replicas that miss that write, and
 * those that do not answer, go stale, as long as no shard loses its last copy.
 *
 * The generation that it renames to lies above everything that a former writer, or another take-over that was broken off, may have used.
 *
 * @param formerSession the recorded writer's
 * @throws DivergedReplicasError
 */
export async function takeOver(
  context: WriterContext,
  standing: Standing,
  formerSession: string,
): Promise<GenerationOutcome> {
  const { world } = context;
  const spread = BigInt(Math.floor(world.random.next() * TAKE_OVER_SPREAD));
  const generation = standing.generation + MAX_CHANGE_STEPS + 1n + spread;
  context.logger.info(
    { index: standing.uid, instance: standing.instance, formerSession, generation: String(generation) },
    "taking an index over from another writer",
  );
  const fence = await fenceAll(context, standing, generation);
  const fenced = withoutNodes(standing, generation, fence.lost);
  const behind = await replicasBehind(context, fenced, formerSession);
  const odd = losable(
    fenced,
    new Set([...behind, ...fenced.suspects].filter((id) => fenced.members.has(id))),
  );
  const lost = new Set([...fence.lost, ...odd]);
  if (odd.size === 0 && !fence.tainted) {
    return commitTakeOver(context, standing, generation, lost);
  }
  // A replica that goes stale now bears the new name, or may yet get it: the others move on.
  return changeGeneration(context, {
    standing,
    stale: lost,
    at: new Map([...fenced.members].map((nodeId) => [nodeId, generation])),
    target: generation + 1n,
    why: "take-over",
  });
}

async function commitTakeOver(
  context: WriterContext,
  standing: Standing,
  generation: bigint,
  lost: ReadonlySet<string>,
): Promise<GenerationOutcome> {
  // With every member at the new name already, what is left of a change is its commit.
  return changeGeneration(context, {
    standing,
    stale: lost,
    at: new Map([...difference(standing.members, lost)].map((nodeId) => [nodeId, generation])),
    target: generation,
    why: "take-over",
  });
}

/**
 * Records this proxy as the first writer of an index that never had one; nothing is renamed, for nobody can have written.
 *
 * @returns the error where the control plane refused or did not answer
 */
export function claimFresh(context: WriterContext, standing: Standing) {
  return commitOnce(context, standing, standing.generation, new Set(), "first writer");
}

interface Fence {
  readonly lost: ReadonlySet<string>;
  /** A rename may yet reach a lost replica. */
  readonly tainted: boolean;
}

async function fenceAll(context: WriterContext, standing: Standing, generation: bigint): Promise<Fence> {
  const lost = new Set<string>();
  const silent = new Map<string, { readonly since: number; renamed: boolean }>();
  const open = new Set(standing.members);
  let tainted = false;
  while (open.size > 0) {
    context.closed.throwIfAborted();
    const results = await Promise.all(
      [...open].map(
        async (nodeId) => [nodeId, await fenceStep(context, standing, nodeId, generation)] as const,
      ),
    );
    const now = context.world.clock.monotonic();
    for (const [nodeId, result] of results) {
      if (result === "fenced") {
        open.delete(nodeId);
        continue;
      }
      if (result === "busy") {
        silent.delete(nodeId);
        continue;
      }
      const former = silent.get(nodeId);
      silent.set(nodeId, {
        since: former?.since ?? now,
        renamed: (former?.renamed ?? false) || result === "perhaps",
      });
    }
    const spare = losable(standing, [...lost, ...silent.keys()]);
    for (const [nodeId, { since, renamed }] of silent) {
      if (!spare.has(nodeId) || now - since < context.config.settleHoldMs / 2) continue;
      lost.add(nodeId);
      open.delete(nodeId);
      silent.delete(nodeId);
      tainted ||= renamed;
    }
    if (open.size > 0)
      await context.world.timers.sleep(Math.min(context.config.settleRetryMs, 100), context.closed);
  }
  return { lost, tainted };
}

/**
 * One step towards a node that holds the index under the new name with nothing pending in front: `fenced` once it does, `busy` while
 * it works on it, `silent` where it does not answer, `perhaps` where it did not and may have taken the rename.
 */
async function fenceStep(
  context: WriterContext,
  standing: Standing,
  nodeId: string,
  generation: bigint,
): Promise<"fenced" | "busy" | "silent" | "perhaps"> {
  const node = standing.nodes.get(nodeId);
  if (node === undefined) return "silent";
  const wanted = physicalName(standing.instance, generation);
  try {
    const name = await nameOnNode(context, node, standing.instance);
    if (name === wanted) return "fenced";
    if (name === undefined) return "silent";
    const outcome = await context.calls.rename(node.adminAddress, name, wanted);
    if (outcome.kind === "unknown") return "perhaps";
    if (outcome.kind !== "accepted") return "silent";
    await context.calls.waitForTask(
      node.adminAddress,
      outcome.nodeTaskUid,
      context.closed,
      context.config.settleHoldMs / 2,
    );
    return "busy";
  } catch (error) {
    if (error instanceof NodeUnavailableError || error instanceof MeilisearchError) return "silent";
    throw error;
  }
}

/**
 * The index's name on a node; undefined where it has none. A late request of a former writer can have made an
 * empty index under an old name: the one that was created first is the index.
 */
async function nameOnNode(
  context: WriterContext,
  node: NodeView,
  instance: string,
): Promise<string | undefined> {
  const client = context.calls.client(node.adminAddress);
  let oldest: { readonly uid: string; readonly createdAt: string } | undefined;
  for (let offset = 0; ; offset += PAGE) {
    const page = (await client.json({ method: "GET", path: `/indexes?limit=${PAGE}&offset=${offset}` })) as {
      readonly results: readonly { readonly uid: string; readonly createdAt: string }[];
      readonly total: number;
    };
    for (const index of page.results) {
      if (parsePhysicalName(index.uid)?.instance !== instance) continue;
      if (oldest === undefined || index.createdAt < oldest.createdAt) oldest = index;
    }
    if (page.results.length === 0 || offset + PAGE >= page.total) return oldest?.uid;
  }
}

/**
 * Members that miss the former writer's last write although they hold shards that it touched. A writer sends one write after another and
 * settles each before the next, so that only its last one can be incomplete; and that one was never acknowledged if the control
 * plane does not know its task.
 */
async function replicasBehind(
  context: WriterContext,
  standing: Standing,
  formerSession: string,
): Promise<ReadonlySet<string>> {
  const last = await lastWrite(context, standing, formerSession);
  if (last === undefined) return new Set();
  const others = difference(standing.members, last.holders);
  if (others.size === 0 || (await isRegistered(context, last.taskUid))) return new Set();
  const behind = new Set<string>();
  const ahead = new Set<string>();
  for (const nodeId of others) {
    for (const shard of standing.shardsByNode.get(nodeId) ?? []) {
      for (const holder of standing.placement[shard] ?? []) {
        if (!last.holders.has(holder) || !standing.members.has(holder)) continue;
        const mine = await shardDigest(context, standing, nodeId, shard);
        const its = await shardDigest(context, standing, holder, shard);
        if (mine === its) continue;
        behind.add(nodeId);
        ahead.add(holder);
      }
    }
  }
  if (behind.size === 0) return behind;
  context.logger.warn(
    { index: standing.uid, behind: [...behind], ahead: [...ahead], task: String(last.taskUid) },
    "an interrupted write is on some replicas only",
  );
  if (losable(standing, behind).size === behind.size) return behind;
  // The write was never acknowledged: it may go instead.
  if (losable(standing, ahead).size === ahead.size) return ahead;
  throw new DivergedReplicasError(
    `replicas of index ${standing.uid} differ after an interrupted write (task ${last.taskUid}), and each holds the last copy of some shard`,
  );
}

async function lastWrite(context: WriterContext, standing: Standing, session: string) {
  const name = physicalName(standing.instance, standing.generation);
  const logs = await Promise.all(
    [...standing.members].map(async (nodeId) => {
      const page = await patiently(context, standing, nodeId, (node) =>
        context.calls
          .client(node.writeAddress)
          .tasks({ indexUids: name, limit: context.config.takeOverTail }),
      );
      const entries = page.results.flatMap((task) => parseTaskMetadata(task.customMetadata) ?? []);
      return [nodeId, entries.filter((entry) => entry.session === session)] as const;
    }),
  );
  const sequence = Math.max(-1, ...logs.flatMap(([, entries]) => entries.map((entry) => entry.sequence)));
  const holders = new Set<string>();
  let taskUid: number | undefined;
  for (const [nodeId, entries] of logs) {
    const entry = entries.find((candidate) => candidate.sequence === sequence);
    if (entry === undefined) continue;
    holders.add(nodeId);
    taskUid = entry.taskUid;
  }
  return taskUid === undefined ? undefined : { taskUid: BigInt(taskUid), holders };
}

async function isRegistered(context: WriterContext, taskUid: bigint): Promise<boolean> {
  try {
    const { task } = await context.control.getTask(
      { uid: taskUid },
      { timeoutMs: context.config.controlTimeoutMs },
    );
    return task !== undefined;
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
    filter: [`${SHARD_FIELD} = "${shardCode(shard)}"`],
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
  const node = standing.nodes.get(nodeId);
  if (node === undefined) throw new Error(`node ${nodeId} is not in the topology`);
  const since = context.world.clock.monotonic();
  for (;;) {
    context.closed.throwIfAborted();
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
