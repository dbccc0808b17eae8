import { physicalName } from "../../placement/physical-name.js";
import type { World } from "../../runtime/world.js";
import { ControlRefusedError, type ControlTransport, ControlUnavailableError } from "../control-transport.js";
import type { TopologySource, WriteLease } from "../topology/topology-view.js";
import { type EnqueueOutcome, type NodeCalls, reasonOf } from "./node-calls.js";
import { difference, losable, type Standing, withoutNodes } from "./standing.js";
import type { WriteConfig, WriteLogger } from "./types.js";
import type { WriteMetrics } from "./write-metrics.js";

/** What the parts of an index's writer share. */
export interface WriterContext {
  readonly world: World;
  readonly topology: TopologySource;
  readonly lease: WriteLease;
  readonly control: ControlTransport;
  readonly calls: NodeCalls;
  readonly config: WriteConfig;
  readonly logger: WriteLogger;
  readonly metrics: WriteMetrics;
  /** Aborts when the proxy gives up its writes. */
  readonly closed: AbortSignal;
}

/** A change of an index's generation on its nodes and in the catalogue. */
export interface GenerationChange {
  readonly standing: Standing;
  /** Replicas that go stale. */
  readonly stale: ReadonlySet<string>;
  /** Good copies that a shard has to keep when another member fails on the way; 1 unless given. */
  readonly minLeft?: (shard: number) => number;
  /** Where the index stands on each member; at the standing's generation unless given. */
  readonly at?: ReadonlyMap<string, bigint>;
  /** The first generation to try; one above the standing's unless given. */
  readonly target?: bigint;
  readonly why: "stale" | "take-over" | "settle";
}

/** What became of a {@link GenerationChange}. */
export type GenerationOutcome =
  | {
      readonly kind: "committed";
      readonly standing: Standing;
      /** All that went stale: those asked for, and those that failed on the way. */
      readonly lost: ReadonlySet<string>;
      /** The uid of the node's task that fences the old name, on every member that stays. */
      readonly renames: ReadonlyMap<string, number>;
    }
  /** The index belongs to someone else now, or is gone. */
  | { readonly kind: "lost"; readonly cause: Error };

/** Generations that one change may use up; beyond, failing nodes are waited for instead. A take-over starts above them. */
export const MAX_CHANGE_STEPS = 7n;

/**
 * Renames the index on every member that stays, and then records the new generation with the stale replicas (invariants
 * 4, 5 and 7). A member that does not take the rename goes stale too, as long as no shard loses its last good copy; else it is
 * tried until it answers. A stale replica never keeps the new name: where a rename may yet reach one, the others move on by another generation.
 *
 * Goes on until it is done, the index is lost to another writer, or the proxy gives up (rejects with the signal's reason).
 */
export async function changeGeneration(
  context: WriterContext,
  change: GenerationChange,
): Promise<GenerationOutcome> {
  const { standing } = change;
  const { world, config, calls, closed } = context;
  const lost = new Set(change.stale);
  const at = new Map(change.at ?? []);
  /** Generations to which a rename was sent that gave no answer: the index may stand there. */
  const perhaps = new Map<string, Set<bigint>>();
  const renames = new Map<string, number>();
  const first = change.target ?? standing.generation + 1n;
  let target = first;
  for (;;) {
    closed.throwIfAborted();
    const moving = [...standing.members].filter(
      (nodeId) => !lost.has(nodeId) && (at.get(nodeId) ?? standing.generation) !== target,
    );
    if (moving.length === 0) break;
    const outcomes = await Promise.all(
      moving.map(async (nodeId) => {
        const from = [at.get(nodeId) ?? standing.generation, ...(perhaps.get(nodeId) ?? [])];
        return [nodeId, await renameOn(context, standing, nodeId, from, target)] as const;
      }),
    );
    const failing = new Map<string, EnqueueOutcome>();
    for (const [nodeId, outcome] of outcomes) {
      if (outcome.kind === "unknown") perhaps.set(nodeId, new Set(perhaps.get(nodeId)).add(target));
      if (outcome.kind === "accepted") {
        at.set(nodeId, target);
        perhaps.delete(nodeId);
        renames.set(nodeId, outcome.nodeTaskUid);
      } else {
        failing.set(nodeId, outcome);
      }
    }
    if (failing.size === 0) continue;
    const spare = losable(standing, [...lost, ...failing.keys()], change.minLeft);
    let moveOn = false;
    let waiting = false;
    for (const [nodeId, outcome] of failing) {
      const tainted = outcome.kind === "unknown";
      if (!spare.has(nodeId) || (tainted && target - first >= MAX_CHANGE_STEPS - 1n)) {
        waiting = true;
        continue;
      }
      lost.add(nodeId);
      moveOn ||= tainted;
    }
    if (moveOn) target += 1n;
    if (waiting) await world.timers.sleep(config.settleRetryMs, closed);
  }
  const refusal = await commit(context, standing, target, lost, change.why);
  if (refusal !== undefined) return { kind: "lost", cause: refusal };
  const stale = [...lost].filter((nodeId) => standing.members.has(nodeId));
  context.metrics.generationChanged(change.why);
  context.metrics.replicasWentStale(stale.length);
  context.logger.warn(
    { index: standing.uid, instance: standing.instance, generation: String(target), stale, why: change.why },
    "index has a new generation",
  );
  return { kind: "committed", standing: withoutNodes(standing, target, lost), lost, renames };
}

/**
 * Renames the index from wherever it may stand, oldest name first: one of the renames succeeds, and the others find nothing
 * to do. Accepted when all were; the last one's uid is the fence.
 */
async function renameOn(
  context: WriterContext,
  standing: Standing,
  nodeId: string,
  from: readonly bigint[],
  to: bigint,
): Promise<EnqueueOutcome> {
  const node = standing.nodes.get(nodeId);
  let outcome: EnqueueOutcome = {
    kind: "not-sent",
    cause: new Error(`node ${nodeId} is not in the topology`),
  };
  if (node === undefined) return outcome;
  const { instance } = standing;
  let sent = false;
  for (const source of from) {
    if (source === to) continue;
    outcome = await context.calls.rename(
      node.adminAddress,
      physicalName(instance, source),
      physicalName(instance, to),
    );
    // An earlier one of these renames may have moved the index even where a later one certainly has not.
    if (outcome.kind !== "accepted")
      return sent ? { kind: "unknown", cause: new Error(reasonOf(outcome)) } : outcome;
    sent = true;
  }
  return outcome;
}

/** Records a generation, however long the control plane takes. Undefined once it is recorded. */
async function commit(
  context: WriterContext,
  standing: Standing,
  generation: bigint,
  lost: ReadonlySet<string>,
  reason: string,
): Promise<Error | undefined> {
  for (;;) {
    context.closed.throwIfAborted();
    const refusal = await commitOnce(context, standing, generation, lost, reason);
    if (refusal === undefined) return undefined;
    if (refusal instanceof ControlRefusedError) {
      if (refusal.code === "not_found") return refusal;
      if (refusal.code === "aborted") {
        return (await isRecorded(context, standing.instance, generation)) ? undefined : refusal;
      }
      context.logger.error(
        { err: refusal, index: standing.uid, generation: String(generation), stale: [...lost] },
        "the control plane refuses a new generation",
      );
    }
    await context.world.timers.sleep(context.config.settleRetryMs, context.closed);
  }
}

/** One attempt to record a generation; the error where the control plane refused or gave no answer. */
export async function commitOnce(
  context: WriterContext,
  standing: Standing,
  generation: bigint,
  lost: ReadonlySet<string>,
  reason: string,
): Promise<ControlRefusedError | ControlUnavailableError | undefined> {
  const { lease, control, config } = context;
  const known = difference(lost, difference(lost, new Set(standing.shardsByNode.keys())));
  try {
    await control.commitGeneration(
      {
        instance: standing.instance,
        expectedGeneration: standing.generation,
        newGeneration: generation,
        staleNodeIds: [...known].sort(),
        writer: { proxyId: lease.proxyId, session: lease.session },
        reason,
      },
      { timeoutMs: config.controlTimeoutMs },
    );
    return undefined;
  } catch (error) {
    if (error instanceof ControlRefusedError || error instanceof ControlUnavailableError) return error;
    throw error;
  }
}

/** Whether the refusal only means that an earlier attempt, whose answer was lost, took effect. */
export async function isRecorded(
  context: WriterContext,
  instance: string,
  generation: bigint,
): Promise<boolean> {
  const giveUp = new AbortController();
  const timer = context.world.timers.after(context.config.topologyWaitMs, () => giveUp.abort());
  try {
    const view = await context.topology.waitFor(
      (candidate) => {
        const index = candidate.byInstance.get(instance);
        return index === undefined || index.generation >= generation;
      },
      AbortSignal.any([giveUp.signal, context.closed]),
    );
    const index = view.byInstance.get(instance);
    return index?.generation === generation && index.writer?.session === context.lease.session;
  } catch {
    return false;
  } finally {
    timer.cancel();
  }
}
