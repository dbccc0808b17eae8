import { NodeUnavailableError } from "../../meilisearch/transport.js";
import { ControlRefusedError, ControlUnavailableError } from "../control-transport.js";
import type { IndexView, TopologyView } from "../topology/topology-view.js";
import { isRecorded, type WriterContext } from "./generation-change.js";
import { IndexGoneError, type WriterState } from "./index-write.js";
import { controlAway, controlRefused, noLease } from "./refusals.js";
import { DivergedReplicasError } from "./settle-interrupted.js";
import { type Standing, standingOf } from "./standing.js";
import { claimFresh, takeOver, WriterAliveError } from "./take-over.js";

/** Longest pause between attempts to take an index over; each attempt uses up a generation. */
const MAX_PAUSE_MS = 5_000;

/**
 * The index in the newest topology.
 *
 * @throws IndexGoneError
 */
export function lookUp(
  context: WriterContext,
  instance: string,
): { readonly view: TopologyView; readonly index: IndexView } {
  const view = context.topology.current();
  const index = view?.byInstance.get(instance);
  if (view === undefined || index === undefined) throw new IndexGoneError("the index is not in the topology");
  return { view, index };
}

/** @throws MeilisearchError 503 where this proxy holds no lease */
export function requireLease(context: WriterContext): void {
  const lease = context.lease.state();
  if (lease.kind === "none") throw noLease(lease.reason);
}

/**
 * Whether this proxy is the one to write an index that it did not write last.
 *
 * @throws MeilisearchError 503 where another one is, or may be
 */
export function requireChoice(context: WriterContext, index: IndexView): void {
  const choice = context.writers.of(index);
  if (choice.kind === "unknown") throw noLease(choice.reason);
  if (choice.kind === "peer") throw noLease(`proxy ${choice.proxy.proxyId} writes the index`);
}

/**
 * Makes this proxy the index's writer (invariant 7), or finds that it certainly will not be. Nodes and control plane may be
 * away for as long as they like.
 *
 * @param blockedBy told what stands in the way, for messages
 * @throws MeilisearchError 503
 */
export async function claimIndex(
  context: WriterContext,
  state: WriterState,
  blockedBy: (why: string) => void,
): Promise<void> {
  const { world, config, closed, logger } = context;
  for (let pause = config.settleRetryMs; ; pause = Math.min(pause * 2, MAX_PAUSE_MS)) {
    closed.throwIfAborted();
    requireLease(context);
    try {
      state.standing = await claimOnce(context, state);
      return;
    } catch (error) {
      if (error instanceof DivergedReplicasError) {
        blockedBy(error.message);
        logger.error({ err: error, instance: state.instance }, "an index cannot be taken over");
      } else if (error instanceof WriterAliveError) {
        requireChoice(context, lookUp(context, state.instance).index);
        logger.debug({ err: error, instance: state.instance }, "an index cannot be taken over yet");
      } else if (error instanceof NodeUnavailableError || error instanceof ControlUnavailableError) {
        logger.warn({ err: error, instance: state.instance }, "taking an index over takes another attempt");
      } else {
        throw error;
      }
    }
    await world.timers.sleep(pause, closed);
  }
}

async function claimOnce(context: WriterContext, state: WriterState): Promise<Standing> {
  const { view, index } = lookUp(context, state.instance);
  const standing = standingOf(view, index);
  state.previous.clear();
  if (index.writer === undefined) {
    await claimFirst(context, standing);
    return standing;
  }
  // Recorded as the writer by the one before it, or by a call whose answer was lost: nothing has been sent since. But a copy of
  // documents begins anew only where all that was sent before is done.
  const isMine = index.writer.session === context.lease.session;
  if (isMine && !state.unsure && index.copy === undefined) return standing;
  state.unsure = true;
  const outcome = await takeOver(context, standing, state.nextSequence);
  if (outcome.kind === "lost") {
    throw noLease(`the index was taken over by another proxy: ${outcome.cause.message}`);
  }
  state.unsure = false;
  return outcome.standing;
}

async function claimFirst(context: WriterContext, standing: Standing): Promise<void> {
  const refusal = await claimFresh(context, standing);
  if (refusal === undefined) return;
  if (!(refusal instanceof ControlRefusedError)) throw controlAway("recording the index's writer", refusal);
  const isMine =
    refusal.code === "aborted" && (await isRecorded(context, standing.instance, standing.generation));
  if (!isMine) throw controlRefused("recording the index's writer", refusal);
}
