import type { ShardCopyStep } from "../../../gen/miroir/v1/topology_pb.js";
import { physicalName } from "../../../placement/physical-name.js";
import type { WriterContext } from "../generation-change.js";
import { reasonOf } from "../node-calls.js";
import { nodeOf } from "../node-of.js";
import type { Standing } from "../standing.js";

/** A step of a copy that needs a new name everywhere. */
export interface CopyGeneration {
  readonly copyId: string;
  readonly to: ShardCopyStep;
  /** By node: the generation that its physical index bears now, of nodes that are no members yet. They are renamed before all others. */
  readonly joiners: ReadonlyMap<string, bigint>;
  /** By how much the generation grows, at least: by two where nobody may find a replica under the name next to the one that they know. */
  readonly by: bigint;
}

/** The generation that follows; above those that joiners bear, so that each of them is renamed. */
export function generationAfter(standing: Standing, step: CopyGeneration | undefined): bigint {
  if (step === undefined) return standing.generation + 1n;
  const borne = [...step.joiners.values()].map((generation) => generation + 1n);
  return borne.reduce((highest, next) => (next > highest ? next : highest), standing.generation + step.by);
}

/**
 * Gives the nodes that are to join the name of the generation that follows. Nobody reads them, whatever becomes of it.
 *
 * @returns why one of them did not take it
 */
export async function renameJoiners(
  context: WriterContext,
  standing: Standing,
  step: CopyGeneration,
): Promise<Error | undefined> {
  const name = physicalName(standing.instance, generationAfter(standing, step));
  const refusals = await Promise.all(
    [...step.joiners].map(async ([nodeId, borne]) => {
      const node = nodeOf(context, nodeId);
      if (node === undefined) return [`node ${nodeId} is not in the topology`];
      const from = physicalName(standing.instance, borne);
      const outcome = await context.calls.rename(node.adminAddress, from, name);
      return outcome.kind === "accepted" ? [] : [`node ${nodeId}: ${reasonOf(outcome)}`];
    }),
  );
  const reasons = refusals.flat();
  return reasons.length === 0 ? undefined : new Error(reasons.join("; "));
}
