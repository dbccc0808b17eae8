import type { NodeView } from "../topology/topology-view.js";
import type { WriterContext } from "./generation-change.js";

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
