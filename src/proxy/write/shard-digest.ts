import { createHash } from "node:crypto";
import { SEQUENCE_FIELD } from "../../placement/injected-fields.js";
import { physicalName } from "../../placement/physical-name.js";
import type { WriterContext } from "./generation-change.js";
import { askPatiently } from "./node-of.js";
import { inShard, type Standing } from "./standing.js";

/** Documents of one shard that are compared at most; more count as different. */
const MAX_COMPARED_DOCUMENTS = 1_000_000;

/**
 * Says the same for two replicas of a shard exactly when they hold the same versions of the same documents. Rejects where the node does not
 * answer.
 */
export async function shardDigest(
  context: WriterContext,
  standing: Standing,
  nodeId: string,
  shard: number,
): Promise<string> {
  const path = `/indexes/${physicalName(standing.instance, standing.generation)}/documents/fetch`;
  const body = JSON.stringify({
    filter: [inShard(standing, shard)],
    fields: [SEQUENCE_FIELD],
    limit: MAX_COMPARED_DOCUMENTS,
  });
  const answer = (await askPatiently(context, standing, nodeId, (node) =>
    context.calls
      .client(node.writeAddress)
      .json({ method: "POST", path, contentType: "application/json", body }),
  )) as { readonly total: number; readonly results: readonly Record<string, unknown>[] };
  const sequences = answer.results.map((document) => String(document[SEQUENCE_FIELD])).sort();
  return `${answer.total}:${createHash("sha256").update(sequences.join("\n")).digest("hex")}`;
}
