import { physicalName } from "../../placement/physical-name.js";
import type { TestFaults } from "../../runtime/test-faults.js";
import type { World } from "../../runtime/world.js";
import { ControlRefusedError, type ControlTransport, ControlUnavailableError } from "../control-transport.js";
import type { PeerCalls } from "../peers/peer-calls.js";
import type { TopologySource, WriteLease } from "../topology/topology-view.js";
import type { WriterChoice } from "../topology/writer-choice.js";
import { type CopyGeneration, generationAfter } from "./copy/copy-generation.js";
import type { EnqueueOutcome, NodeCalls } from "./node-calls.js";
import { nodeOf } from "./node-of.js";
import { losable, type Standing, withoutNodes } from "./standing.js";
import { waitForTopology } from "./topology-wait.js";
import type { WriteConfig, WriteLogger } from "./types.js";
import type { WriteMetrics } from "./write-metrics.js";

/** What the parts of an index's writer share. */
export interface WriterContext {
  readonly world: World;
  readonly topology: TopologySource;
  readonly lease: WriteLease;
  /** Which proxy writes which index. */
  readonly writers: WriterChoice;
  /** Asks the proxy that writes an index to make this one its writer. */
  readonly askForIndex: PeerCalls["handOver"];
  readonly control: ControlTransport;
  readonly calls: NodeCalls;
  readonly config: WriteConfig;
  readonly logger: WriteLogger;
  readonly metrics: WriteMetrics;
  readonly testFaults?: TestFaults | undefined;
  /** Aborts when the proxy gives up its writes. */
  readonly closed: AbortSignal;
}

/** Why an index gets another generation. */
export type GenerationReason = "stale" | "take-over" | "settle" | "hand-over" | "copy";

/** A change of an index's generation on its nodes and in the catalogue. */
export interface GenerationChange {
  readonly standing: Standing;
  /** Replicas that go stale. */
  readonly stale: ReadonlySet<string>;
  /** Good copies that a shard has to keep when another member fails on the way; 1 unless given. */
  readonly minLeft?: (shard: number) => number;
  readonly why: GenerationReason;
  /** The step of the index's copy that is taken with it. */
  readonly step?: CopyGeneration;
  /** Who writes the index from then on, unless a replica went stale on the way; this proxy unless given. */
  readonly successor?: WriterName;
}

/** A proxy as the catalogue names it. */
export interface WriterName {
  readonly proxyId: string;
  readonly session: string;
}

/** What became of a {@link GenerationChange}. */
export type GenerationOutcome =
  | {
      readonly kind: "committed";
      readonly standing: Standing;
      /** All that went stale: those asked for, and those that failed on the way. */
      readonly lost: ReadonlySet<string>;
      /** By member: the node's task behind which the old name was gone, and the one behind which the new name is there. */
      readonly renames: ReadonlyMap<string, { readonly fence: number; readonly last: number }>;
    }
  /** The index belongs to someone else now, or is gone. */
  | { readonly kind: "lost"; readonly cause: Error };

/**
 * Renames the index on every member that stays, and then records the new generation with the stale replicas (invariants
 * 4, 5 and 7). A member that does not take the rename goes stale too, as long as every shard keeps enough good copies; else it is
 * tried until it answers.
 *
 * Only names of recorded generations are ever renamed from, so that nothing that comes late from here can touch a name that another
 * writer has taken: recording is what decides between writers. Where a rename may yet give a stale replica the new name, a further
 * generation follows at once, so that it never bears the current one for long, and never once the write is acknowledged.
 *
 * Goes on until it is done, the index is lost to another writer, or the proxy gives up (rejects with the signal's reason).
 */
export async function changeGeneration(
  context: WriterContext,
  change: GenerationChange,
): Promise<GenerationOutcome> {
  const lost = new Set<string>();
  const renames = new Map<string, { readonly fence: number; readonly last: number }>();
  const { step: _, ...further } = change;
  let next: GenerationChange = change;
  for (;;) {
    const step = await oneGeneration(context, next);
    if (step.kind === "lost") return step;
    for (const nodeId of step.lost) lost.add(nodeId);
    for (const [nodeId, uid] of step.renames) {
      renames.set(nodeId, { fence: renames.get(nodeId)?.fence ?? uid, last: uid });
    }
    const { standing } = step;
    if (!step.tainted) return { kind: "committed", standing, lost, renames };
    next = { ...further, standing, stale: new Set() };
  }
}

type StepOutcome =
  | {
      readonly kind: "committed";
      readonly standing: Standing;
      readonly lost: ReadonlySet<string>;
      readonly renames: ReadonlyMap<string, number>;
      /** A rename may yet reach a replica that went stale. */
      readonly tainted: boolean;
    }
  | { readonly kind: "lost"; readonly cause: Error };

async function oneGeneration(context: WriterContext, change: GenerationChange): Promise<StepOutcome> {
  const { standing } = change;
  const { world, config, closed } = context;
  const target = generationAfter(standing, change.step);
  const lost = new Set(change.stale);
  const renames = new Map<string, number>();
  const perhaps = new Set<string>();
  for (;;) {
    closed.throwIfAborted();
    const moving = [...standing.members].filter((nodeId) => !lost.has(nodeId) && !renames.has(nodeId));
    if (moving.length === 0) break;
    const outcomes = await Promise.all(
      moving.map(async (nodeId) => [nodeId, await renameOn(context, standing, nodeId, target)] as const),
    );
    const failing: string[] = [];
    for (const [nodeId, outcome] of outcomes) {
      if (outcome.kind === "accepted") renames.set(nodeId, outcome.nodeTaskUid);
      else failing.push(nodeId);
      if (outcome.kind === "unknown") perhaps.add(nodeId);
    }
    if (failing.length === 0) continue;
    const spare = losable(standing, [...lost, ...failing], change.minLeft);
    for (const nodeId of failing) if (spare.has(nodeId)) lost.add(nodeId);
    if (failing.some((nodeId) => !lost.has(nodeId))) await world.timers.sleep(config.settleRetryMs, closed);
  }
  const writer = lost.size === 0 ? (change.successor ?? context.lease) : context.lease;
  const refusal = await commit(context, change, target, lost, writer);
  if (refusal !== undefined) return { kind: "lost", cause: refusal };
  const stale = [...lost].filter((nodeId) => standing.members.has(nodeId));
  context.metrics.generationChanged(change.why);
  context.metrics.replicasWentStale(stale.length);
  context.logger.warn(
    { index: standing.uid, instance: standing.instance, generation: String(target), stale, why: change.why },
    "index has a new generation",
  );
  return {
    kind: "committed",
    standing: withoutNodes(standing, target, lost),
    lost,
    renames,
    tainted: stale.some((nodeId) => perhaps.has(nodeId)),
  };
}

async function renameOn(
  context: WriterContext,
  standing: Standing,
  nodeId: string,
  target: bigint,
): Promise<EnqueueOutcome> {
  const node = nodeOf(context, nodeId);
  if (node === undefined)
    return { kind: "not-sent", cause: new Error(`node ${nodeId} is not in the topology`) };
  const { instance, generation } = standing;
  return context.calls.rename(
    node.adminAddress,
    physicalName(instance, generation),
    physicalName(instance, target),
  );
}

/** Records a generation, however long the control plane takes. Undefined once it is recorded. */
async function commit(
  context: WriterContext,
  { standing, why, step: wanted }: GenerationChange,
  generation: bigint,
  lost: ReadonlySet<string>,
  writer: WriterName,
): Promise<Error | undefined> {
  let step = wanted;
  for (;;) {
    context.closed.throwIfAborted();
    const refusal = await commitOnce(context, standing, generation, lost, why, writer, step);
    if (refusal === undefined) return undefined;
    if (refusal instanceof ControlRefusedError) {
      if (step !== undefined) {
        // The members bear the new name: it is recorded all the same, without a step that the copy does not take any more.
        context.logger.warn({ err: refusal, index: standing.uid }, "a copy does not take its next step");
        step = undefined;
        continue;
      }
      if (refusal.code === "not_found") return refusal;
      if (refusal.code === "aborted") {
        return (await isRecorded(context, standing.instance, generation, writer)) ? undefined : refusal;
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
  writer: WriterName = context.lease,
  step?: CopyGeneration,
): Promise<ControlRefusedError | ControlUnavailableError | undefined> {
  const { control, config } = context;
  try {
    await control.commitGeneration(
      {
        instance: standing.instance,
        expectedGeneration: standing.generation,
        newGeneration: generation,
        staleNodeIds: [...lost].filter((nodeId) => standing.members.has(nodeId)).sort(),
        writer: { proxyId: writer.proxyId, session: writer.session },
        session: context.lease.session,
        reason,
        ...(step === undefined ? {} : { copyId: step.copyId, copyStep: step.to }),
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
  writer: WriterName = context.lease,
): Promise<boolean> {
  try {
    const view = await waitForTopology(context, (candidate) => {
      const index = candidate.byInstance.get(instance);
      return index === undefined || index.generation >= generation;
    });
    const index = view.byInstance.get(instance);
    return index?.generation === generation && index.writer?.session === writer.session;
  } catch {
    return false;
  }
}
