import { linkAbort } from "../../runtime/abort.js";
import type { World } from "../../runtime/world.js";
import type { TopologySource, TopologyView } from "./topology-view.js";

/** How long is waited for a topology. */
export interface TopologyWait {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/**
 * The first topology of which `predicate` holds, the present one included.
 *
 * @throws Error after `timeoutMs`, or once the signal aborts
 */
export async function waitForTopology(
  { topology, world }: { readonly topology: TopologySource; readonly world: World },
  predicate: (view: TopologyView) => boolean,
  { timeoutMs, signal }: TopologyWait,
): Promise<TopologyView> {
  const wait = linkAbort(signal);
  const timer = world.timers.after(timeoutMs, () =>
    wait.abort(new Error(`the topology that was waited for did not arrive within ${timeoutMs} ms`)),
  );
  try {
    return await topology.waitFor(predicate, wait.signal);
  } finally {
    timer.cancel();
    wait.unlink();
  }
}
