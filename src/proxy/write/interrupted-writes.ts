import { OWN_TASK_UID, parseTaskMetadata } from "../../meilisearch/task-metadata.js";
import { physicalName } from "../../placement/physical-name.js";
import { ControlRefusedError } from "../control-transport.js";
import type { WriterContext } from "./generation-change.js";
import { askPatiently } from "./node-of.js";
import { difference, type Standing } from "./standing.js";

/** A write that its writer may not have brought to all members. */
export interface InterruptedWrite {
  readonly taskUid: bigint;
  /** The members that took it. */
  readonly holders: ReadonlySet<string>;
}

/**
 * The last write of each session that is not on every member, unless its proxy is known to have seen it accepted. A writer sends one write after
 * another and settles each before the next, so that only the last one of a session can be incomplete.
 *
 * Only for a writer that has fenced the index. Rejects where a member or the control plane does not answer.
 */
export async function interruptedWrites(
  context: WriterContext,
  standing: Standing,
): Promise<readonly InterruptedWrite[]> {
  const name = physicalName(standing.instance, standing.generation);
  const last = new Map<
    string,
    { readonly sequence: number; readonly taskUid: bigint; readonly holders: Set<string> }
  >();
  await Promise.all(
    [...difference(standing.members, standing.joiners)].map(async (nodeId) => {
      const page = await askPatiently(context, standing, nodeId, (node) =>
        context.calls
          .client(node.writeAddress)
          .tasks({ indexUids: name, limit: context.config.takeOverTail }),
      );
      for (const task of page.results) {
        const entry = parseTaskMetadata(task.customMetadata);
        if (entry === undefined) continue;
        const known = last.get(entry.session);
        if (known !== undefined && known.sequence > entry.sequence) continue;
        if (known?.sequence === entry.sequence) known.holders.add(nodeId);
        else {
          const { sequence, taskUid } = entry;
          last.set(entry.session, { sequence, taskUid: BigInt(taskUid), holders: new Set([nodeId]) });
        }
      }
    }),
  );
  const interrupted: InterruptedWrite[] = [];
  for (const { taskUid, holders } of last.values()) {
    // What the writer does on its own account goes to one replica alone.
    if (taskUid === OWN_TASK_UID) continue;
    if (holders.size < standing.members.size && !(await wasAccepted(context, taskUid))) {
      interrupted.push({ taskUid, holders });
    }
  }
  return interrupted;
}

/**
 * Whether the write's own proxy registered its task, which it does once every replica took the write: such a task says which shards went to
 * which node. One that the control plane put together from the nodes' logs does not, and proves nothing.
 */
async function wasAccepted(context: WriterContext, taskUid: bigint): Promise<boolean> {
  try {
    const { task } = await context.control.getTask(
      { uid: taskUid },
      { timeoutMs: context.config.controlTimeoutMs },
    );
    if (task === undefined) return false;
    return (
      Object.keys(task.documentsByShard).length > 0 || task.nodeTasks.some(({ shards }) => shards.length > 0)
    );
  } catch (error) {
    if (error instanceof ControlRefusedError && error.code === "not_found") return false;
    throw error;
  }
}
