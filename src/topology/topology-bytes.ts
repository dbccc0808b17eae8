import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { type Index, IndexSchema, type Topology, TopologySchema } from "../gen/miroir/v1/topology_pb.js";

/** `Topology.indexes`, as the protocol numbers it. */
export const INDEXES_FIELD = 5;

/** Encoded indexes, with the tag and length that they have inside a topology. */
const encoded = new WeakMap<Index, Uint8Array>();

/**
 * The binary form of a topology, just as `toBinary` makes it, in pieces that follow each other. An index is encoded once for as long as it is
 * in memory, so that a topology costs what it does not share with those before it.
 *
 * Freezes the indexes: one whose bytes are known must never change. Whoever wants another one makes a copy.
 */
export function topologyPieces(topology: Topology): readonly Uint8Array[] {
  const { epoch, contentHash, nodes, groups } = topology;
  // Fields go out in ascending order, so that those before the indexes are a prefix of all others.
  const rest = toBinary(TopologySchema, { ...topology, indexes: [] });
  const head = toBinary(
    TopologySchema,
    create(TopologySchema, { ...(epoch === undefined ? {} : { epoch }), contentHash, nodes, groups }),
  ).length;
  return [rest.subarray(0, head), ...topology.indexes.map(indexPiece), rest.subarray(head)];
}

/** {@link topologyPieces} in one. */
export function topologyBytes(topology: Topology): Uint8Array {
  return Buffer.concat(topologyPieces(topology));
}

/** Notes what an index was decoded from, with the tag and length that it had inside a topology, so that it need not be encoded. Freezes it. */
export function noteIndexPiece(index: Index, piece: Uint8Array): void {
  encoded.set(Object.freeze(index), piece);
}

function indexPiece(index: Index): Uint8Array {
  const known = encoded.get(index);
  if (known !== undefined) return known;
  const piece = new BinaryWriter()
    .tag(INDEXES_FIELD, WireType.LengthDelimited)
    .bytes(toBinary(IndexSchema, index))
    .finish();
  encoded.set(Object.freeze(index), piece);
  return piece;
}
