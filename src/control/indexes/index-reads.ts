import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { DocumentReplicaSchema, type IndexService } from "../../gen/miroir/v1/indexes_pb.js";
import { type Index, IndexSchema, ReplicaState, type Topology } from "../../gen/miroir/v1/topology_pb.js";
import { physicalName } from "../../placement/physical-name.js";
import type { ShardHasher } from "../../placement/shard.js";

/** What {@link createIndexReads} reads. */
export interface IndexReadsOptions {
  /** The topology to answer from. */
  readonly topology: () => Topology | Promise<Topology>;
  readonly hasher: ShardHasher;
  /** When documents of the index changed last, where the topology does not say it yet; nobody knows more than it unless given. */
  readonly updatedAt?: (instance: string) => number | undefined;
}

/** The methods of the index service that only read the topology: any control process answers them. */
export function createIndexReads(
  options: IndexReadsOptions,
): Pick<ServiceImpl<typeof IndexService>, "getIndex" | "listIndexes" | "explainDocument"> {
  return {
    async getIndex({ uid }) {
      return { index: withUpdatedAt(options, indexOf(await options.topology(), uid)) };
    },
    async listIndexes({ pageSize, pageToken }) {
      const { indexes } = await options.topology();
      const size = pageSize === 0 ? 100 : pageSize;
      const rest = pageToken === "" ? indexes : indexes.filter((index) => index.uid > pageToken);
      const page = rest.slice(0, size);
      return {
        indexes: page.map((index) => withUpdatedAt(options, index)),
        nextPageToken: rest.length > size ? (page.at(-1)?.uid ?? "") : "",
        total: BigInt(indexes.length),
      };
    },
    async explainDocument({ indexUid, primaryKey }) {
      const current = await options.topology();
      const index = indexOf(current, indexUid);
      const shard = options.hasher.shardOf(primaryKey, index.shards);
      const nodes = new Map(current.nodes.map((node) => [node.id, node]));
      const states = new Map(index.replicas.map((replica) => [replica.nodeId, replica.state]));
      const replicas = (index.placement[shard]?.nodeIds ?? []).map((id) =>
        create(DocumentReplicaSchema, {
          nodeId: id,
          url: nodes.get(id)?.url ?? "",
          group: nodes.get(id)?.group ?? 0,
          state: states.get(id) ?? ReplicaState.UNSPECIFIED,
          physicalIndex: physicalName(index.instance, index.generation),
        }),
      );
      return { shard, replicas };
    },
  };
}

/** The index that clients call `uid`. @throws ConnectError NOT_FOUND */
export function indexOf(topology: Topology, uid: string): Index {
  const index = topology.indexes.find((candidate) => candidate.uid === uid);
  if (index === undefined) throw new ConnectError(`no index is called ${uid}`, Code.NotFound);
  return index;
}

function withUpdatedAt(options: IndexReadsOptions, index: Index): Index {
  const at = options.updatedAt?.(index.instance);
  return at === undefined ? index : create(IndexSchema, { ...index, updatedAt: timestampFromMs(at) });
}
