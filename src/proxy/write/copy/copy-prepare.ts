import type { NodeRequest } from "../../../meilisearch/transport.js";
import { NEW_GENERATION, physicalName } from "../../../placement/physical-name.js";
import { driftedMembers, repairPatch } from "../../../settings/settings-drift.js";
import type { NodeView } from "../../topology/topology-view.js";
import { knownSecrets } from "../known-secrets.js";
import { reasonOf } from "../node-calls.js";
import { generationOnNode } from "../physical-generation.js";
import { type CopyRun, CopyTaskFailedError, CopyWaitsError } from "./copy-run.js";
import { waitUntilDone } from "./node-queue.js";

/** How long a node may be silent while it works on what it was sent. Milliseconds. */
const SILENCE_MS = 10_000;
/** How often settings are sent to a target that does not follow them. */
const MAX_ATTEMPTS = 3;

/**
 * Sees to it that a node which is to join holds a physical index with the committed settings: the one that it holds already, or a new
 * one. Nobody reads it, and nobody writes to it.
 *
 * @returns the generation that its name shows
 * @throws CopyWaitsError
 */
export async function prepareTarget(run: CopyRun, nodeId: string): Promise<bigint> {
  const { context } = run.core;
  const node = run.node(nodeId);
  // A rename from before it was left behind may wait there: the name that shows now would not last.
  await waitUntilDone(context, node, () => run.look());
  let generation = await generationOnNode(context, node, run.instance);
  if (generation === undefined) {
    generation = NEW_GENERATION;
    const { primaryKey } = run.look().index;
    await perform(run, node, "indexCreation", {
      method: "POST",
      path: "/indexes",
      contentType: "application/json",
      body: JSON.stringify({
        uid: physicalName(run.instance, generation),
        ...(primaryKey === undefined ? {} : { primaryKey }),
      }),
    });
  }
  await followSettings(run, node, physicalName(run.instance, generation));
  return generation;
}

async function followSettings(run: CopyRun, node: NodeView, name: string): Promise<void> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const { view, index } = run.look();
    const settings = await run.core.context.calls.client(node.adminAddress).settings(name);
    const members = driftedMembers(index.settings, settings);
    if (members.length === 0) return;
    await perform(run, node, "settings", {
      method: "PATCH",
      path: `/indexes/${name}/settings`,
      contentType: "application/json",
      body: JSON.stringify(
        repairPatch(index.settings, settings, members, knownSecrets(view, index.instance)),
      ),
    });
  }
  throw new CopyWaitsError(`node ${node.id} does not follow the index's settings`);
}

/** A task of a node, from its beginning to its success. */
export async function perform(
  run: CopyRun,
  node: NodeView,
  what: string,
  request: NodeRequest,
): Promise<void> {
  const { calls, closed } = run.core.context;
  const outcome = await calls.enqueue(node.adminAddress, what, request);
  if (outcome.kind !== "accepted") {
    throw new CopyWaitsError(`node ${node.id} did not take a request (${what}): ${reasonOf(outcome)}`);
  }
  await awaitSuccess(run, node, outcome.nodeTaskUid, what, closed);
}

/** @throws CopyTaskFailedError where the node's task fails, CopyWaitsError where the node falls silent */
export async function awaitSuccess(
  run: CopyRun,
  node: NodeView,
  nodeTaskUid: number,
  what: string,
  signal: AbortSignal,
): Promise<void> {
  const task = await run.core.context.calls.waitForTask(node.adminAddress, nodeTaskUid, signal, SILENCE_MS);
  if (task === undefined) throw new CopyWaitsError(`node ${node.id} gives no answer (${what})`);
  if (task.status === "succeeded") return;
  throw new CopyTaskFailedError(node.id, what, task.error?.code, task.error?.message ?? task.status);
}
