import { MeilisearchError } from "../../meilisearch/errors.js";
import { NodeUnavailableError } from "../../meilisearch/transport.js";
import { physicalName } from "../../placement/physical-name.js";
import type { NodeView } from "../topology/topology-view.js";
import type { WriterContext } from "./generation-change.js";
import { nodeOf } from "./node-of.js";
import { generationOnNode } from "./physical-generation.js";
import { losable, type Standing } from "./standing.js";

/**
 * Renames an index to its recorded generation on every member, from whatever lower one it stands at there, and waits until that is done, and
 * with it all that was sent under an earlier name. Rejects when the proxy gives up.
 *
 * @returns the members that do not answer and can be spared; `superseded` where another writer has recorded a later generation
 */
export async function fenceMembers(
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
