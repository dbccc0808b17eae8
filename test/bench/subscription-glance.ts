import { gunzipSync } from "node:zlib";
import { fromBinary } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import {
  DeltaSchema,
  type Epoch,
  EpochSchema,
  SnapshotPartSchema,
  SnapshotSchema,
  SubscribeResponseSchema,
  TopologySchema,
} from "../../src/gen/miroir/v1/topology_pb.js";

/** What an acknowledgement of a topology names. */
export interface Glance {
  readonly nonce: bigint;
  readonly epoch: Epoch;
}

/**
 * Reads of a topology stream's messages what a proxy has to acknowledge, without what takes a proxy most of its time: the indexes are not
 * decoded.
 */
export class StreamGlance {
  /** Of the snapshot whose parts come in. */
  #epoch: Epoch | undefined;

  /** Undefined for a message with which no topology is complete. */
  at(message: Uint8Array): Glance | undefined {
    const { delta, snapshot, snapshotPart } = SubscribeResponseSchema.field;
    const sent = fieldsOf(message);
    const part = sent.get(snapshotPart.number);
    if (part !== undefined) {
      const data = fieldsOf(part.bytes).get(SnapshotPartSchema.field.data.number);
      this.#epoch ??= data && epochOf(gunzipSync(data.bytes));
      return undefined;
    }
    const whole = sent.get(snapshot.number);
    const changes = sent.get(delta.number);
    if (whole !== undefined) {
      const fields = fieldsOf(whole.bytes);
      const topology = fields.get(SnapshotSchema.field.topology.number);
      const epoch = topology === undefined ? this.#epoch : epochOf(topology.bytes);
      this.#epoch = undefined;
      return glance(fields.get(SnapshotSchema.field.nonce.number), epoch);
    }
    if (changes === undefined) return undefined;
    const fields = fieldsOf(changes.bytes);
    const topology = fields.get(DeltaSchema.field.changes.number);
    return glance(fields.get(DeltaSchema.field.nonce.number), topology && epochOf(topology.bytes));
  }
}

function glance(nonce: Field | undefined, epoch: Epoch | undefined): Glance {
  if (epoch === undefined) throw new Error("a topology came without its epoch");
  return { nonce: nonce?.number ?? 0n, epoch };
}

/** Of a topology's binary form, or of what it begins with. */
function epochOf(topology: Uint8Array): Epoch | undefined {
  const { number } = TopologySchema.field.epoch;
  const found = fieldsOf(topology, number).get(number);
  return found && fromBinary(EpochSchema, found.bytes);
}

interface Field {
  readonly bytes: Uint8Array;
  readonly number: bigint;
}

/** The last of each field, up to the field with the number `until`. */
function fieldsOf(message: Uint8Array, until?: number): Map<number, Field> {
  const fields = new Map<number, Field>();
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    if (type === WireType.Varint)
      fields.set(number, { bytes: new Uint8Array(), number: BigInt(reader.uint64()) });
    else if (type === WireType.LengthDelimited) fields.set(number, { bytes: reader.bytes(), number: 0n });
    else reader.skip(type);
    if (number === until) break;
  }
  return fields;
}
