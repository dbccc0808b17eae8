import { waitForTopology as waitFor } from "../topology/bounded-wait.js";
import type { TopologyView } from "../topology/topology-view.js";
import type { WriterContext } from "./generation-change.js";

/**
 * The first topology of which `predicate` holds.
 *
 * @throws Error after `topologyWaitMs`, or once the proxy closes
 */
export function waitForTopology(
  context: WriterContext,
  predicate: (view: TopologyView) => boolean,
): Promise<TopologyView> {
  return waitFor(context, predicate, { timeoutMs: context.config.topologyWaitMs, signal: context.closed });
}
