import { parsePhysicalName } from "../../placement/physical-name.js";
import type { NodeView } from "../topology/topology-view.js";
import type { WriterContext } from "./generation-change.js";

/** Indexes that a node is asked for at once. */
const PAGE = 1_000;

/**
 * The generation that the index's name on a node shows; undefined where the node does not hold it. A late request of a former writer can
 * have made an empty index under an old name: the one that was created first is the index.
 */
export async function generationOnNode(
  context: WriterContext,
  node: NodeView,
  instance: string,
): Promise<bigint | undefined> {
  const client = context.calls.client(node.adminAddress);
  let oldest: { readonly generation: bigint; readonly createdAt: string } | undefined;
  for (let offset = 0; ; offset += PAGE) {
    const page = (await client.json({ method: "GET", path: `/indexes?limit=${PAGE}&offset=${offset}` })) as {
      readonly results: readonly { readonly uid: string; readonly createdAt: string }[];
      readonly total: number;
    };
    for (const { uid, createdAt } of page.results) {
      const name = parsePhysicalName(uid);
      if (name?.instance !== instance) continue;
      if (oldest === undefined || createdAt < oldest.createdAt)
        oldest = { generation: name.generation, createdAt };
    }
    if (page.results.length === 0 || offset + PAGE >= page.total) return oldest?.generation;
  }
}
