import type { Node } from "../../gen/miroir/v1/topology_pb.js";
import type { EnqueuedTask, NodeClient, NodeTaskRecord } from "../../meilisearch/node-client.js";
import { NodeUnavailableError } from "../../meilisearch/transport.js";
import type { World } from "../../runtime/world.js";

/** One node's part of a snapshot of the fleet. */
export interface NodeSnapshot {
  readonly nodeId: string;
  readonly url: string;
  readonly group: number;
  readonly meilisearchVersion: string;
  /** The node's own uid of its task. */
  readonly nodeTaskUid: number;
  /** By the node's clock, RFC 3339. */
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
}

const PATIENCE_MS = 60_000;
const POLL_MS = 250;

/**
 * Has a node make its snapshot, and resolves when it is done, however long that takes.
 *
 * @throws Error with why there is none: the node's own error, or that it has not answered for as long as was waited
 */
export async function makeNodeSnapshot(
  { world, patienceMs = PATIENCE_MS }: { readonly world: World; readonly patienceMs?: number },
  node: Node,
  client: NodeClient,
  signal: AbortSignal,
): Promise<NodeSnapshot> {
  const { taskUid } = (await client.json({ method: "POST", path: "/snapshots", signal })) as EnqueuedTask;
  let heardAt = world.clock.monotonic();
  for (;;) {
    await world.timers.sleep(POLL_MS, signal);
    let record: NodeTaskRecord;
    try {
      record = await client.task(taskUid);
    } catch (error) {
      if (!(error instanceof NodeUnavailableError)) throw error;
      if (world.clock.monotonic() - heardAt > patienceMs) throw error;
      continue;
    }
    heardAt = world.clock.monotonic();
    if (record.status === "succeeded") {
      const { id: nodeId, url, group, meilisearchVersion } = node;
      const { startedAt, finishedAt } = record;
      return { nodeId, url, group, meilisearchVersion, nodeTaskUid: taskUid, startedAt, finishedAt };
    }
    if (record.status === "failed" || record.status === "canceled") {
      throw new Error(`its task ${taskUid} ${record.status}: ${record.error?.message ?? "no error given"}`);
    }
  }
}
