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
/** More harmless tasks in a row than this are taken for a change. */
const LOOKED_AT = 100;

/**
 * A text that stays the same for as long as nodes neither have nor get anything to do that changes what they hold; so what is read between
 * two equal marks is of one moment. Undefined where a node has something to do, or does not answer.
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
): Promise<string | undefined> {
  const of = indexUid === undefined ? {} : { indexUids: indexUid };
  const marks = await Promise.all(
    nodeIds.map(async (id) => {
      const [open, newest] = await Promise.all([
        admin(id).tasks({ ...of, limit: 1, statuses: "enqueued,processing" }),
        admin(id).tasks({ ...of, limit: LOOKED_AT }),
      ]);
      const last = newest.results.find(({ type }) => !HARMLESS.has(type));
      const isKnown = last !== undefined || newest.total <= LOOKED_AT;
      return open.total > 0 || !isKnown ? undefined : `${id}@${last?.uid ?? "none"}`;
    }),
  ).catch((error: unknown) => {
    logger.debug({ err: error }, "whether nodes are written to is not known");
    return [undefined];
  });
  return marks.includes(undefined) ? undefined : [...marks, indexUid].join();
}
