import { linkAbort } from "../../runtime/abort.js";
import type { TopologyView } from "../topology/topology-view.js";
import type { WriterContext } from "./generation-change.js";

/**
 * The first topology of which `predicate` holds.
 *
 * @throws Error after `topologyWaitMs`, or once the proxy closes
 */
export async function waitForTopology(
  { topology, world, config, closed }: WriterContext,
  predicate: (view: TopologyView) => boolean,
): Promise<TopologyView> {
  const wait = linkAbort(closed);
  const timer = world.timers.after(config.topologyWaitMs, () => wait.abort());
  try {
    return await topology.waitFor(predicate, wait.signal);
  } finally {
    timer.cancel();
    wait.unlink();
  }
}
