import type { Logger } from "pino";
import type { NodeClient } from "../../meilisearch/node-client.js";

/** A client with a node's admin key. */
export type NodeTaskSource = (nodeId: string) => NodeClient;

/** Tasks that leave the contents of a node as they are. */
const HARMLESS: ReadonlySet<string> = new Set([
  "snapshotCreation",
  "dumpCreation",
  "export",
  "taskDeletion",
  "taskCancelation",
]);
/** More harmless tasks in a row than this are taken for a change, and more open ones for work. */
const LOOKED_AT = 100;

/** By node, and index where one is looked at: the newest task that changed contents, -1 for none. */
export type QuietMark = ReadonlyMap<string, number>;

/**
 * What nodes have done so far that changes what they hold, where they have nothing of that kind to do. Undefined where a node has, or does
 * not answer.
 *
 * @param indexUid looks at the tasks of that index only
 */
export async function quietMark(
  nodeIds: readonly string[],
  {
    admin,
    logger,
    indexUid,
  }: { readonly admin: NodeTaskSource; readonly logger: Logger; readonly indexUid?: string },
): Promise<QuietMark | undefined> {
  const of = indexUid === undefined ? {} : { indexUids: indexUid };
  try {
    const marks = await Promise.all(
      nodeIds.map(async (id) => {
        const [open, newest] = await Promise.all([
          admin(id).tasks({ ...of, limit: LOOKED_AT, statuses: "enqueued,processing" }),
          admin(id).tasks({ ...of, limit: LOOKED_AT }),
        ]);
        const isIdle = open.total <= LOOKED_AT && open.results.every(({ type }) => HARMLESS.has(type));
        const last = newest.results.find(({ type }) => !HARMLESS.has(type));
        const isKnown = last !== undefined || newest.total <= LOOKED_AT;
        return isIdle && isKnown ? ([`${id} ${indexUid ?? ""}`, last?.uid ?? -1] as const) : undefined;
      }),
    );
    const known = marks.filter((mark) => mark !== undefined);
    return known.length < marks.length ? undefined : new Map(known);
  } catch (error) {
    logger.debug({ err: error }, "whether nodes are written to is not known");
    return undefined;
  }
}

/**
 * Whether what was read between two marks is of one moment: no node has got anything to do that changes contents. Finished tasks may
 * have been pruned in between.
 */
export function isUnchangedBetween(before: QuietMark | undefined, after: QuietMark | undefined): boolean {
  if (before === undefined || after === undefined || before.size !== after.size) return false;
  return [...after].every(([key, uid]) => uid <= (before.get(key) ?? Number.NEGATIVE_INFINITY));
}
