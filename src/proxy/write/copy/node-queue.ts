import type { NodeView } from "../../topology/topology-view.js";
import type { WriterContext } from "../generation-change.js";

/** Pause between looks at a node's queue. Milliseconds. */
const PAUSE_MS = 50;

/**
 * Waits until a node has run every task that it had taken when this was called.
 *
 * @throws NodeUnavailableError where it does not answer
 */
export async function waitUntilDone(
  { calls, world, closed }: WriterContext,
  node: NodeView,
  check: () => void,
): Promise<void> {
  const client = calls.client(node.writeAddress);
  const [newest] = (await client.tasks({ limit: 1 })).results;
  if (newest === undefined) return;
  for (;;) {
    const open = await client.tasks({ statuses: OPEN, from: newest.uid, limit: 1 });
    if (open.results.length === 0) return;
    await world.timers.sleep(PAUSE_MS, closed);
    check();
  }
}

/** How many tasks a node has to run, of all indexes. */
export async function queueLength({ calls }: WriterContext, node: NodeView): Promise<number> {
  return (await calls.client(node.writeAddress).tasks({ statuses: OPEN, limit: 1 })).total;
}

const OPEN = "enqueued,processing";
