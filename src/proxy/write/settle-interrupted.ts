import type { WriterContext } from "./generation-change.js";
import { type InterruptedWrite, interruptedWrites } from "./interrupted-writes.js";
import { levelShard } from "./level-replicas.js";
import { shardDigest } from "./shard-digest.js";
import { allShards, keepers, losable, type Standing } from "./standing.js";

/** The replicas contradict each other, none of them may go stale, and they could not be made equal; an operator has to decide. */
export class DivergedReplicasError extends Error {
  override readonly name = "DivergedReplicasError";
}

/**
 * Compares what interrupted writes left on replicas that share shards, and sees to it that it becomes the same on all of them: those that miss
 * one go stale where they can be spared; else they are made equal to those that have it; where that fails, those that have it go stale instead.
 *
 * Only for a writer that has fenced the index and takes no writes meanwhile.
 *
 * @param nextSequence numbers of this session's writes
 * @returns the members that have to go stale
 * @throws DivergedReplicasError where none of that can be done
 */
export async function settleInterrupted(
  context: WriterContext,
  standing: Standing,
  nextSequence: () => number,
): Promise<ReadonlySet<string>> {
  const interrupted = await interruptedWrites(context, standing);
  const differences = await differencesAfter(context, standing, interrupted);
  if (differences.length === 0) return new Set();
  const behind = new Set(differences.map(({ to }) => to));
  const ahead = new Set(differences.map(({ from }) => from));
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

/** Whether an interrupted write is missing on a replica that holds shards which it touched shows in the documents of the shards. */
async function differencesAfter(
  context: WriterContext,
  standing: Standing,
  interrupted: readonly InterruptedWrite[],
): Promise<readonly Difference[]> {
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
      differences.push({ shard, from: longest, to: nodeId });
    }
  }
  return differences;
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
