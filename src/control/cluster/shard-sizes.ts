import type { Logger } from "pino";
import type { Index, Topology } from "../../gen/miroir/v1/topology_pb.js";
import type { NodeClient } from "../../meilisearch/node-client.js";
import { physicalName } from "../../placement/physical-name.js";
import type { ShardSize } from "../../placement/plan-estimate.js";

/** What `GET /stats` of a node tells of its indexes, as far as it matters here. */
interface NodeStats {
  readonly indexes: Readonly<
    Record<string, { readonly numberOfDocuments: number; readonly rawDocumentDbSize?: number }>
  >;
}

/**
 * What a shard of each index holds on average, by instance, as its nodes count. A node that does not answer is left out; an index
 * that none of them tells of is absent.
 */
export async function shardSizes(
  topology: Topology,
  admin: (nodeId: string) => NodeClient,
  logger: Logger,
): Promise<ReadonlyMap<string, ShardSize>> {
  const stats = await Promise.all(
    topology.nodes.map(async ({ id }) => {
      try {
        return [id, (await admin(id).json({ method: "GET", path: "/stats" })) as NodeStats] as const;
      } catch (error) {
        logger.debug({ err: error, node: id }, "a node does not tell the sizes of its indexes");
        return undefined;
      }
    }),
  );
  const byNode = new Map(stats.filter((entry) => entry !== undefined));
  const sizes = new Map<string, ShardSize>();
  for (const index of topology.indexes) {
    const size = sizeOf(index, byNode);
    if (size !== undefined) sizes.set(index.instance, size);
  }
  return sizes;
}

function sizeOf(index: Index, byNode: ReadonlyMap<string, NodeStats>): ShardSize | undefined {
  const name = physicalName(index.instance, index.generation);
  let shards = 0;
  let documents = 0;
  let bytes = 0;
  for (const [nodeId, { indexes }] of byNode) {
    const held = index.placement.filter(({ nodeIds }) => nodeIds.includes(nodeId)).length;
    const counted = indexes[name];
    if (held === 0 || counted === undefined) continue;
    shards += held;
    documents += counted.numberOfDocuments;
    bytes += counted.rawDocumentDbSize ?? 0;
  }
  return shards === 0 ? undefined : { documents: documents / shards, bytes: bytes / shards };
}
