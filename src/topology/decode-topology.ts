import { fromBinary } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { type Index, IndexSchema, type Topology, TopologySchema } from "../gen/miroir/v1/topology_pb.js";
import { INDEXES_FIELD, noteIndexPiece } from "./topology-bytes.js";

/**
 * A topology of its binary form, as `fromBinary` decodes it. Its indexes never change: they are known by the bytes that they came in, which are what
 * the topology's hash was made of, and lists of nodes that are the same are one list.
 */
export function decodeTopology(bytes: Uint8Array): Topology {
  const lists = new NodeLists();
  const indexes: Index[] = [];
  const rest: Uint8Array[] = [];
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const [field, type] = reader.tag();
    if (field === INDEXES_FIELD && type === WireType.LengthDelimited) {
      const index = fromBinary(IndexSchema, reader.bytes());
      lists.shareIn(index);
      noteIndexPiece(index, bytes.subarray(start, reader.pos));
      indexes.push(index);
    } else {
      reader.skip(type, field);
      rest.push(bytes.subarray(start, reader.pos));
    }
  }
  const topology = fromBinary(TopologySchema, Buffer.concat(rest));
  topology.indexes = indexes;
  return topology;
}

/** The lists of node ids of many shards, of which there are few different ones. */
class NodeLists {
  readonly #known = new Map<string, string[]>();

  shareIn({ placement }: Index): void {
    for (const shard of placement) {
      shard.nodeIds = this.#shared(shard.nodeIds);
      shard.joiningNodeIds = this.#shared(shard.joiningNodeIds);
      shard.leavingNodeIds = this.#shared(shard.leavingNodeIds);
      shard.leftoverNodeIds = this.#shared(shard.leftoverNodeIds);
    }
  }

  #shared(ids: string[]): string[] {
    // No id has a line break.
    const name = ids.length === 1 ? (ids[0] ?? "") : ids.join("\n");
    const known = this.#known.get(name);
    if (known !== undefined && known.length === ids.length) return known;
    // A copy has no room to grow.
    const list = Object.freeze([...ids]) as string[];
    this.#known.set(name, list);
    return list;
  }
}
