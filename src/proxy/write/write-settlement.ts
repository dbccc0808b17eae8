import type { NodeTaskRecord } from "../../meilisearch/node-client.js";
import { physicalName } from "../../placement/physical-name.js";
import {
  changeGeneration,
  type GenerationChange,
  type GenerationOutcome,
  type WriterContext,
} from "./generation-change.js";
import {
  type AcceptedNodeTask,
  type IndexWrite,
  readyStanding,
  type SettledWrite,
  type WriterState,
} from "./index-write.js";
import { type EnqueueOutcome, isClientFault, reasonOf } from "./node-calls.js";
import { nodeOf, sitOutTask } from "./node-of.js";
import { allShards, copies, holders, losable, type Standing } from "./standing.js";

/** A write of which some nodes may have been told. */
export interface Sending {
  readonly write: IndexWrite;
  readonly metadata: (nodeId: string) => string;
  readonly sequence: number;
  readonly targets: ReadonlyMap<string, readonly number[]>;
  readonly accepted: Map<string, number>;
  readonly failed: Map<string, EnqueueOutcome>;
  /** A node may have made it without its log telling so. */
  doubtful: boolean;
}

const LOG_PAGE = 50;
/** Pause between two looks at whether a lease that has run out has come back. Milliseconds. */
const LEASE_LOOK_MS = 50;

/** Copies of a shard that a write needs: as configured, else 2 where there are three or more, else 1 (invariant 4). */
export function neededCopies(context: WriterContext, standing: Standing): (shard: number) => number {
  const configured = context.topology.current()?.minInSync ?? 0;
  return (shard) => (configured > 0 ? configured : copies(standing, shard) >= 3 ? 2 : 1);
}

/** Sends a write to one node, under the index's present name. */
export async function sendTo(
  context: WriterContext,
  state: WriterState,
  sending: Sending,
  nodeId: string,
): Promise<void> {
  const standing = readyStanding(state);
  const node = nodeOf(context, nodeId);
  if (node === undefined) {
    const cause = new Error(`node ${nodeId} is not in the topology`);
    sending.failed.set(nodeId, { kind: "not-sent", cause });
    return;
  }
  const { write } = sending;
  const name = physicalName(state.instance, standing.generation);
  const shards = sending.targets.get(nodeId) ?? [];
  const address = write.kind === "index" || write.asAdmin === true ? node.adminAddress : node.writeAddress;
  const request = write.request(shards, name, sending.metadata(nodeId));
  noteOutcome(context, state, sending, nodeId, await context.calls.enqueue(address, write.taskType, request));
}

function noteOutcome(
  context: WriterContext,
  state: WriterState,
  sending: Sending,
  nodeId: string,
  outcome: EnqueueOutcome,
): void {
  if (outcome.kind !== "accepted") {
    sending.failed.set(nodeId, outcome);
    return;
  }
  sending.failed.delete(nodeId);
  sending.accepted.set(nodeId, outcome.nodeTaskUid);
  if (sending.write.kind === "document") state.previous.set(nodeId, sending.sequence);
  state.heard.set(nodeId, context.world.clock.monotonic());
}

/** Whether no node has any of the write, and none can come to have it. */
export function isMadeNowhere(sending: Sending): boolean {
  if (sending.doubtful || sending.accepted.size > 0) return false;
  return [...sending.failed.values()].every((outcome) => outcome.kind !== "unknown");
}

/** What a write that {@link isMadeNowhere} comes to. */
export function madeNowhere(sending: Sending): SettledWrite {
  const outcomes = [...sending.failed];
  const fault = outcomes.map(([, outcome]) => outcome).find(isClientFault);
  if (fault !== undefined) {
    return { kind: "refused", status: fault.status, body: fault.body, partly: false, nodeTasks: [] };
  }
  const why = outcomes.map(([nodeId, outcome]) => `node ${nodeId}: ${reasonOf(outcome)}`).join("; ");
  const cause = outcomes.map(([, outcome]) => ("cause" in outcome ? outcome.cause : undefined)).find(Boolean);
  return { kind: "not-made", why: why === "" ? "no node holds any of its shards" : why, cause };
}

/**
 * What a write comes to that every node took; undefined while that is not known. It is accepted only if no other writer can have come in
 * between, so that no fence of another's stands in front of it. A lease that holds now tells so: while it runs, the index is nobody
 * else's; and where it had run out and came back, it was granted to a proxy that held the newest topology (invariant 2), by which the
 * index had not changed hands. A lease that was given up for good does not come back.
 */
export function confirmed(
  context: WriterContext,
  state: WriterState,
  sending: Sending,
): SettledWrite | undefined {
  const index = context.topology.current()?.byInstance.get(state.instance);
  const standing = readyStanding(state);
  if (index !== undefined && index.generation > standing.generation) {
    return {
      kind: "lost",
      cause: new Error("another proxy took the index over while the write was on its way"),
    };
  }
  const lease = context.lease.state();
  if (lease.kind === "none") {
    if (lease.endedAt !== undefined) return undefined;
    return { kind: "lost", cause: new Error("the write lease was given up while the write was on its way") };
  }
  const touched = sending.write.touched === "all" ? allShards(standing) : sending.write.touched;
  const degradedShards = touched.filter((shard) => {
    const inSync = holders(standing, shard).filter((nodeId) => !standing.suspects.has(nodeId));
    // Replicas that are joining are not missed yet.
    const wanted = (standing.placement[shard] ?? []).filter((id) => index?.replicas.get(id) !== "joining");
    return inSync.length < wanted.length;
  });
  return { kind: "accepted", nodeTasks: nodeTasksOf(sending, standing), degradedShards };
}

/**
 * Rolls a write forward that some nodes have, or may have, and others have not (invariant 4): nodes that can be spared go stale; the
 * others are asked until they answer. Whether a node that gave no answer has the write is read from its log, behind a rename that
 * keeps a late execution out (invariant 7). Rejects only when the proxy gives up.
 */
export async function settleWrite(
  context: WriterContext,
  state: WriterState,
  sending: Sending,
): Promise<SettledWrite> {
  const { world, config, closed } = context;
  for (;;) {
    closed.throwIfAborted();
    const standing = readyStanding(state);
    const pending = [...sending.failed.keys()].filter((nodeId) => standing.members.has(nodeId));
    if (pending.length === 0) {
      const settled = confirmed(context, state, sending);
      if (settled !== undefined) return settled;
      await world.timers.sleep(Math.min(config.settleRetryMs, LEASE_LOOK_MS), closed);
      continue;
    }
    const stale = losable(standing, pending, neededCopies(context, standing));
    const needed = pending.filter((nodeId) => !stale.has(nodeId));
    const outcomes = needed.flatMap((nodeId) => sending.failed.get(nodeId) ?? []);
    const unknown = needed.filter((nodeId) => sending.failed.get(nodeId)?.kind === "unknown");
    const faults = outcomes.filter(isClientFault);
    const [fault] = faults;
    const isRefused = fault !== undefined && faults.length === needed.length;
    if (needed.length === 0 || unknown.length > 0 || (isRefused && stale.size > 0)) {
      const lost = await fence(context, state, sending, stale, unknown);
      if (lost !== undefined) return lost;
      continue;
    }
    if (isRefused) {
      // Sole copies refuse it for good, so that no replica can contradict them: the write ends here, partly made.
      const nodeTasks = nodeTasksOf(sending, standing);
      const { status, body } = fault;
      return { kind: "refused", status, body, partly: sending.accepted.size > 0, nodeTasks };
    }
    await Promise.all(needed.map((nodeId) => sendTo(context, state, sending, nodeId)));
    if (isMadeNowhere(sending)) return madeNowhere(sending);
    if (needed.some((nodeId) => sending.failed.has(nodeId))) {
      await world.timers.sleep(config.settleRetryMs, closed);
    }
  }
}

/** A new generation without `stale`; then reads from the logs of `unknown` nodes whether they have the write. */
async function fence(
  context: WriterContext,
  state: WriterState,
  sending: Sending,
  stale: ReadonlySet<string>,
  unknown: readonly string[],
): Promise<SettledWrite | undefined> {
  const standing = readyStanding(state);
  const why = unknown.length > 0 ? "settle" : "stale";
  const minLeft = neededCopies(context, standing);
  const outcome = await changeStanding(context, state, { standing, stale, minLeft, why });
  if (outcome.kind === "lost") return outcome;
  for (const nodeId of outcome.lost) {
    sending.failed.delete(nodeId);
    sending.accepted.delete(nodeId);
  }
  await Promise.all(
    unknown.map(async (nodeId) => {
      const rename = outcome.renames.get(nodeId);
      if (rename === undefined || !outcome.standing.members.has(nodeId)) return;
      const found = await findInLog(context, sending, outcome.standing, nodeId, rename);
      const cause = new Error("the node's log does not hold the write");
      const seen: EnqueueOutcome =
        found === undefined ? { kind: "not-sent", cause } : { kind: "accepted", nodeTaskUid: found };
      noteOutcome(context, state, sending, nodeId, seen);
    }),
  );
  return undefined;
}

/** Changes the generation of an index that this proxy writes. */
export async function changeStanding(
  context: WriterContext,
  state: WriterState,
  change: GenerationChange,
): Promise<GenerationOutcome> {
  state.unsure = true;
  const outcome = await changeGeneration(context, change);
  if (outcome.kind === "lost") {
    state.standing = undefined;
    return outcome;
  }
  state.unsure = false;
  state.standing = outcome.standing;
  for (const nodeId of outcome.lost) state.previous.delete(nodeId);
  return outcome;
}

/**
 * The uid of the node's task for this write, if the node took it before the rename `fence`. Settings and index operations carry no
 * metadata and are not looked for: made twice, they come to the same.
 */
async function findInLog(
  context: WriterContext,
  sending: Sending,
  standing: Standing,
  nodeId: string,
  { fence, last }: { readonly fence: number; readonly last: number },
): Promise<number | undefined> {
  const { calls, world, config, closed, logger } = context;
  await sitOutTask(context, nodeId, last);
  if (sending.write.kind !== "document") {
    sending.doubtful = true;
    return undefined;
  }
  const wanted = sending.metadata(nodeId);
  const isIt = (task: NodeTaskRecord) => task.uid < fence && task.customMetadata === wanted;
  for (;;) {
    closed.throwIfAborted();
    const node = nodeOf(context, nodeId);
    if (node === undefined) return undefined;
    try {
      const page = await calls.client(node.adminAddress).tasks({
        indexUids: physicalName(standing.instance, standing.generation),
        from: fence,
        limit: LOG_PAGE,
      });
      return page.results.find(isIt)?.uid;
    } catch (error) {
      logger.warn({ err: error, node: nodeId }, "a node's task log cannot be read yet");
    }
    await world.timers.sleep(config.settleRetryMs, closed);
  }
}

function nodeTasksOf(sending: Sending, standing: Standing): readonly AcceptedNodeTask[] {
  return [...sending.accepted]
    .filter(([nodeId]) => standing.members.has(nodeId))
    .map(([nodeId, nodeTaskUid]) => ({
      nodeId,
      nodeTaskUid,
      shards: sending.targets.get(nodeId) ?? [],
    }));
}
