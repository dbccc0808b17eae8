import { MeilisearchError } from "../../meilisearch/errors.js";
import { NodeUnavailableError } from "../../meilisearch/transport.js";
import type { NodeView } from "../topology/topology-view.js";
import type { WriterContext } from "./generation-change.js";
import type { Standing } from "./standing.js";

/**
 * A node as the newest topology has it; undefined where that does not. To be asked for anew by whoever tries until the node answers: its
 * address and its keys can change, and the topology lacks the keys of a node that could not be used when the control plane began to lead.
 */
export function nodeOf({ topology }: Pick<WriterContext, "topology">, nodeId: string): NodeView | undefined {
  return topology.current()?.nodes.get(nodeId);
}

/** Waits until a node's task is done, however long the node is silent, or is not in the topology any more. Rejects when the proxy gives up. */
export async function sitOutTask(context: WriterContext, nodeId: string, nodeTaskUid: number): Promise<void> {
  const { calls, config, closed } = context;
  for (let node = nodeOf(context, nodeId); node !== undefined; node = nodeOf(context, nodeId)) {
    const { adminAddress } = node;
    const task = await calls.waitForTask(adminAddress, nodeTaskUid, closed, config.settleHoldMs);
    if (task !== undefined) return;
  }
}

/**
 * Asks a node that answered a moment ago for what it holds of an index, until it answers again. Rejects with the node's error once it has been
 * silent for a while: a take-over then begins anew and goes without it, if it can.
 */
export async function askPatiently<T>(
  context: WriterContext,
  { uid }: Pick<Standing, "uid">,
  nodeId: string,
  ask: (node: NodeView) => Promise<T>,
): Promise<T> {
  const since = context.world.clock.monotonic();
  for (;;) {
    context.closed.throwIfAborted();
    const node = nodeOf(context, nodeId);
    if (node === undefined) throw new Error(`node ${nodeId} is not in the topology`);
    try {
      return await ask(node);
    } catch (error) {
      if (!(error instanceof NodeUnavailableError) && !(error instanceof MeilisearchError)) throw error;
      if (context.world.clock.monotonic() - since >= context.config.settleHoldMs / 2) throw error;
      context.logger.warn({ err: error, node: nodeId, index: uid }, "a node does not tell what it holds");
    }
    await context.world.timers.sleep(context.config.settleRetryMs, context.closed);
  }
}
