import { ControlUnavailableError } from "../control-transport.js";
import { fenceMembers } from "./fence-members.js";
import {
  changeGeneration,
  commitOnce,
  type GenerationOutcome,
  isRecorded,
  type WriterContext,
} from "./generation-change.js";
import { settleInterrupted } from "./settle-interrupted.js";
import { losable, type Standing, withoutNodes } from "./standing.js";

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
  const silent = await fenceMembers(context, owned);
  if (silent === "superseded") {
    return { kind: "lost", cause: new Error("another writer has recorded a later generation") };
  }
  const fenced = withoutNodes(owned, generation, silent);
  const unequal = await settleInterrupted(context, fenced, nextSequence);
  const odd = losable(
    fenced,
    [...unequal, ...fenced.suspects].filter((nodeId) => fenced.members.has(nodeId)),
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
