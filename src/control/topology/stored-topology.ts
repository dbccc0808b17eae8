import { fromBinary } from "@bufbuild/protobuf";
import { type Topology, TopologySchema } from "../../gen/miroir/v1/topology_pb.js";
import { StoreCorruptError, type TopologyTable } from "../../store/task-store.js";
import { contentHash } from "../../topology/content-hash.js";

/** The stored topology; undefined in a fresh store. @throws StoreCorruptError where it cannot be read, or is not what was stored */
export async function loadTopology(table: TopologyTable): Promise<Topology | undefined> {
  const row = await table.load();
  if (row === undefined) return undefined;
  const topology = decode(row.document);
  const hash = contentHash(topology);
  if (hash !== row.contentHash) {
    throw new StoreCorruptError(`the topology's content has hash ${hash}, recorded is ${row.contentHash}`);
  }
  return topology;
}

function decode(document: Uint8Array): Topology {
  try {
    return fromBinary(TopologySchema, document);
  } catch (error) {
    throw new StoreCorruptError("the topology cannot be decoded", { cause: error });
  }
}
