import { MeilisearchError } from "../../meilisearch/errors.js";
import { NodeUnavailableError } from "../../meilisearch/transport.js";
import { physicalName } from "../../placement/physical-name.js";
import type { NodeView } from "../topology/topology-view.js";
import type { WriterContext } from "./generation-change.js";
import { nodeOf } from "./node-of.js";
import { noQuorum } from "./refusals.js";
import { difference, type Standing } from "./standing.js";

/** Pause between looks at a node's queue. Milliseconds. */
const QUEUE_PAUSE_MS = 100;

/**
 * Whether no replica of an index holds a document behind all writes in front. False as well where the nodes have not done these
 * within `settingsWaitMs`. Only for its writer, in its lane, so that no document comes in between.
 *
 * @throws MeilisearchError `miroir_no_quorum` where a node does not tell
 */
export async function holdsNoDocuments(context: WriterContext, standing: Standing): Promise<boolean> {
  const deadline = context.world.clock.monotonic() + context.config.settingsWaitMs;
  const name = physicalName(standing.instance, standing.generation);
  for (const nodeId of difference(standing.members, standing.joiners)) {
    const node = nodeOf(context, nodeId);
    if (node === undefined) return false;
    try {
      if (!(await isEmptyOn(context, node, name, deadline))) return false;
    } catch (error) {
      if (!(error instanceof NodeUnavailableError) && !(error instanceof MeilisearchError)) throw error;
      const why = `node ${nodeId} does not say whether it holds documents of the index`;
      throw noQuorum(why, { cause: error });
    }
  }
  return true;
}

async function isEmptyOn(
  { calls, world }: WriterContext,
  node: NodeView,
  name: string,
  deadline: number,
): Promise<boolean> {
  const client = calls.client(node.writeAddress);
  const open = { indexUids: name, statuses: "enqueued,processing", limit: 1 };
  while ((await client.tasks(open)).total > 0) {
    if (world.clock.monotonic() >= deadline) return false;
    await world.timers.sleep(QUEUE_PAUSE_MS);
  }
  const answer = await client.json({ method: "GET", path: `/indexes/${name}/documents?limit=0` });
  return (answer as { readonly total: number }).total === 0;
}
