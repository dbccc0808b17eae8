import type { NodeTaskRecord } from "../../../meilisearch/node-client.js";
import type { CopyRun } from "./copy-run.js";
import type { CopyTracker } from "./copy-tracker.js";

/** Tasks that a node is asked about at once. */
const MAX_ASKED = 200;

/** Tells the tracker which tasks have ended on the nodes, and how. */
export async function followTasks(run: CopyRun, tracker: CopyTracker): Promise<void> {
  const { calls } = run.core.context;
  await Promise.all(
    [...tracker.nodesWithOpenTasks()].map(async (nodeId) => {
      const asked = tracker.openTasks(nodeId).slice(0, MAX_ASKED);
      if (asked.length === 0) return;
      const client = calls.client(run.node(nodeId).writeAddress);
      const page = await client.tasks({ uids: asked.join(","), limit: asked.length });
      const found = new Map(page.results.map((task) => [task.uid, task]));
      for (const uid of asked) {
        const task = found.get(uid);
        // A task that the node has forgotten ended somehow.
        if (task === undefined) tracker.finished(nodeId, uid, false);
        else if (isOver(task)) tracker.finished(nodeId, uid, didAll(task));
      }
    }),
  );
}

function isOver({ status }: NodeTaskRecord): boolean {
  return status !== "enqueued" && status !== "processing";
}

/** A task can succeed without having indexed what it was given, after a power cut. */
function didAll({ status, details }: NodeTaskRecord): boolean {
  if (status !== "succeeded") return false;
  const received = details?.receivedDocuments;
  const indexed = details?.indexedDocuments;
  return typeof received !== "number" || typeof indexed !== "number" || indexed >= received;
}
