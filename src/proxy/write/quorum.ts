import type { WriterContext } from "./generation-change.js";
import { readyStanding, type WriterState } from "./index-write.js";
import { nodeOf } from "./node-of.js";
import { noQuorum } from "./refusals.js";
import { allShards, holders, losable, type Standing, targetsOf } from "./standing.js";
import { neededCopies } from "./write-settlement.js";

/** How long after an answer a node is taken to be there without asking. Milliseconds. */
const RECENT_MS = 1_000;
const PROBE_TIMEOUT_MS = 1_000;

/**
 * Checks that enough copies of every touched shard can be reached (invariant 4).
 *
 * @throws MeilisearchError `miroir_no_quorum`
 */
export async function requireQuorum(
  context: WriterContext,
  state: WriterState,
  touched: readonly number[] | "all",
): Promise<void> {
  const standing = readyStanding(state);
  const targets = targetsOf(standing, touched);
  const silent = await silentAmong(context, state, standing, targets.keys(), targets.size > 1);
  const needed = neededCopies(context, standing);
  for (const shard of touched === "all" ? allShards(standing) : touched) {
    const inSync = holders(standing, shard).filter((nodeId) => !standing.suspects.has(nodeId));
    const counted = inSync.length > 0 ? inSync : holders(standing, shard);
    const reachable = counted.filter((nodeId) => !silent.has(nodeId)).length;
    if (reachable >= needed(shard)) continue;
    throw noQuorum(
      `shard ${shard} has ${reachable} in-sync ${reachable === 1 ? "copy" : "copies"} on nodes that answer, of ${needed(shard)} needed`,
    );
  }
}

/**
 * Nodes that do not answer, of those for which it matters before anything is sent: whom the topology calls unreachable, and, where others
 * are written to at the same time, whoever holds the last good copy of a shard.
 */
async function silentAmong(
  context: WriterContext,
  state: WriterState,
  standing: Standing,
  nodeIds: Iterable<string>,
  several: boolean,
): Promise<ReadonlySet<string>> {
  const now = context.world.clock.monotonic();
  const asked = [...nodeIds].filter((nodeId) => {
    if (nodeOf(context, nodeId)?.state === "unreachable") return true;
    if (!several || now - (state.heard.get(nodeId) ?? Number.NEGATIVE_INFINITY) < RECENT_MS) return false;
    return losable(standing, [nodeId]).size === 0;
  });
  const silent = new Set<string>();
  await Promise.all(
    asked.map(async (nodeId) => {
      const node = nodeOf(context, nodeId);
      if (node === undefined) return;
      try {
        await context.calls.client(node.writeAddress).health(PROBE_TIMEOUT_MS);
        state.heard.set(nodeId, context.world.clock.monotonic());
      } catch (error) {
        context.logger.warn(
          { err: error, node: nodeId, index: standing.uid },
          "a node that a write needs does not answer",
        );
        silent.add(nodeId);
      }
    }),
  );
  return silent;
}
